package probe

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"bookshelf/infra/release"
)

const whole = "HTTP/1.1 200 OK\r\nService-Version: v1\r\nDelivery-Slot: blue\r\nContent-Length: 2\r\n\r\n{}"

// say answers with these bytes and keeps the connection or closes it.
func say(bytes string, keep bool) func(*net.TCPConn, *http.Request) bool {
	return func(conn *net.TCPConn, _ *http.Request) bool {
		_, err := io.WriteString(conn, bytes)
		return err == nil && keep
	}
}

func TestEveryAnswerIsTakenForWhatItIs(t *testing.T) {
	t.Parallel()
	const requests = 40
	head := strings.TrimSuffix(whole, "Content-Length: 2\r\n\r\n{}")
	for name, test := range map[string]struct {
		answer func(*net.TCPConn, *http.Request) bool
		want   outcome
		slot   string
		detail string // of the losses
	}{
		"a whole answer":                          {say(whole, true), answered, "blue", ""},
		"chunks to the last":                      {say(head+"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", true), answered, "blue", ""},
		"an announced end of the connection":      {say(strings.Replace(whole, "\r\n", "\r\nConnection: close\r\n", 1), false), answered, "blue", ""},
		"HTTP/1.0":                                {say(strings.Replace(whole, "1.1", "1.0", 1), false), answered, "blue", ""},
		"informational responses before it":       {say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"+whole, true), answered, "blue", ""},
		"bytes that belong to no answer":          {say(whole+"HTTP/1.1 408", true), answered, "blue", ""},
		"a status of 500":                         {say(strings.Replace(whole, "200 OK", "500 Oh", 1), true), failed, "blue", "status 500, expected [200]"},
		"a status that was not expected":          {say(strings.Replace(whole, "200 OK", "404 No", 1), true), failed, "blue", "status 404, expected [200]"},
		"an answer of the edge":                   {say("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", true), lost, "", "status 503 without Service-Version"},
		"a good status of somebody else":          {say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true), lost, "", "status 200 without Service-Version"},
		"the end of the connection for an answer": {say("", false), lost, "", "no answer: unexpected EOF"},
		"half a head":                             {say(whole[:40], false), lost, "", "no answer: "},
		"half a body":                             {say(whole[:len(whole)-1], false), lost, "blue", "broke off after 1 bytes"},
		"a missing last chunk":                    {say(head+"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", false), lost, "blue", "broke off after 2 bytes"},
		"no declared end":                         {say(head+"\r\n{}", false), lost, "blue", "does not say where it ends"},
		"another protocol":                        {say("HTTP/1.1 101 Other\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", true), lost, "", "changes the protocol"},
		"nothing but informational responses":     {say(strings.Repeat("HTTP/1.1 102 Wait\r\n\r\n", 11), true), lost, "", "informational responses"},
		"something else than HTTP":                {say("SSH-2.0-OpenSSH_10.0\r\n", false), lost, "", "no answer: malformed HTTP"},
		"a reset": {func(conn *net.TCPConn, _ *http.Request) bool {
			_ = conn.SetLinger(0) // closes with a reset
			return false
		}, lost, "", "connection reset"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			came := newCounter(requests)
			url := raw(t, func(conn *net.TCPConn, request *http.Request) bool {
				came.add()
				return test.answer(conn, request)
			})
			p := start(t, reading(200), url)
			came.wait(t)
			account := p.Stop(t.Context())
			balanced(t, account)
			got := map[outcome]int{answered: account.Answered, failed: account.Failed, lost: account.Lost}[test.want]
			if got != account.Sent || int64(account.Sent) != came.n.Load() {
				t.Errorf("%d of %d requests are what they should be, %d came: %+v", got, account.Sent, came.n.Load(), account.Losses)
			}
			for _, loss := range account.Losses {
				if !strings.Contains(loss.Detail, test.detail) || loss.Slot != test.slot || loss.Kind != "read/kept" {
					t.Errorf("%+v, want %q of slot %q", loss, test.detail, test.slot)
				}
			}
			if sample := p.Between(p.ledger.start, time.Now())[test.slot]; sample.Requests != account.Sent {
				t.Errorf("slot %q has %+v, want all %d", test.slot, sample, account.Sent)
			}
		})
	}
}

func TestAnIdleConnectionThatWasClosedCostsNoRequest(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	conns := map[*net.TCPConn]bool{}
	url := raw(t, func(conn *net.TCPConn, request *http.Request) bool {
		mu.Lock()
		conns[conn] = true
		mu.Unlock()
		return say(whole, true)(conn, request)
	})
	p, err := prepare(t.Context(), reading(10), url, "run-1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.pool.close)
	n := 0
	everyConnection := func(want int) {
		for range keptConnections {
			if r := p.send(p.config.Read[0], n, 0, read, false); r.outcome != answered {
				t.Errorf("request %d: %+v", n, r)
			}
			n++
		}
		mu.Lock()
		defer mu.Unlock()
		if len(conns) != want {
			t.Errorf("%d connections, want %d", len(conns), want)
		}
		for conn := range conns {
			conn.Close()
		}
	}
	everyConnection(keptConnections)
	everyConnection(keptConnections + 1) // a new one, which then serves them all
}

func TestAnAnswerThatDoesNotComeIsLostAfterTheTimeout(t *testing.T) {
	t.Parallel()
	came := newCounter(20)
	url := raw(t, func(*net.TCPConn, *http.Request) bool {
		came.add()
		return true
	})
	c := reading(200)
	c.Timeout, c.SlowFor = 300*time.Millisecond, 100*time.Millisecond
	p := start(t, c, url)
	came.wait(t)
	account := p.Stop(t.Context())
	balanced(t, account)
	if account.Lost != account.Sent || !strings.Contains(account.Losses[0].Detail, "timeout") {
		t.Errorf("%+v", account)
	}
}

// A service may refuse a body that it has not seen the end of. That is an answer, and the rest is not sent.
func TestASlowRequestMayBeAnsweredBeforeItIsSent(t *testing.T) {
	t.Parallel()
	came := newCounter(5)
	url := raw(t, func(conn *net.TCPConn, request *http.Request) bool {
		defer came.add()
		return say(strings.Replace(whole, "200 OK", "403 No", 1), false)(conn, request)
	})
	c := mixed(100)
	c.Shares, c.SlowFor, c.Timeout = Shares{Slow: 1}, time.Minute, 2*time.Minute
	p := start(t, c, url)
	came.wait(t)
	account := p.Stop(t.Context())
	balanced(t, account)
	want := release.Loss{At: account.Losses[0].At, Kind: account.Losses[0].Kind, Slot: "blue", Status: 403, Detail: "status 403, expected [201]"}
	if account.Failed != account.Sent || account.Losses[0] != want {
		t.Errorf("%+v", account)
	}
}

// The body of a slow request spreads over the time that was asked for: half of the bytes are there after about half of it.
func TestASlowRequestTakesItsTime(t *testing.T) {
	t.Parallel()
	const over = time.Second
	shares := make(chan float64, 100)
	url := raw(t, func(conn *net.TCPConn, request *http.Request) bool {
		began := time.Now()
		if _, err := io.CopyN(io.Discard, request.Body, request.ContentLength/2); err != nil {
			return false
		}
		half := time.Since(began)
		if _, err := io.Copy(io.Discard, request.Body); err != nil {
			return false
		}
		shares <- float64(half) / float64(time.Since(began))
		return say(strings.Replace(whole, "200 OK", "201 OK", 1), true)(conn, request)
	})
	c := mixed(20)
	c.Shares, c.SlowFor = Shares{Slow: 1}, over
	p := start(t, c, url)
	// On a machine that is busy the server may not get to read in time; it does so more often than not.
	for tries := 0; ; tries++ {
		if share := <-shares; share > 0.3 && share < 0.7 {
			break
		} else if tries == 20 {
			t.Fatalf("half of the body took %.0f %% of the time", 100*share)
		}
	}
	account := p.Stop(t.Context())
	balanced(t, account)
	if account.Answered != account.Sent {
		t.Errorf("%+v", account)
	}
	if sample := p.Between(p.ledger.start, time.Now())["blue"]; sample.Requests != account.Sent || len(sample.Latencies) != 0 {
		t.Errorf("%d requests and %d latencies, want %d and none: they are slow on purpose", sample.Requests, len(sample.Latencies), account.Sent)
	}
}

func TestNothingCanBeStartedAgainstNobody(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	for name, test := range map[string]struct {
		url, run, want string
	}{
		"a closed port":      {"http://" + address, "run", "connection refused"},
		"a URL without host": {"http:///x", "run", `base URL "http:///x"`},
		"another scheme":     {"ftp://" + address, "run", "want http(s)://"},
		"credentials":        {"http://a:b@" + address, "run", "want http(s)://"},
		"no run":             {"http://" + address, "", `run ""`},
		"a run with a quote": {"http://" + address, `a"b`, `run "a\"b"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Start(t.Context(), reading(10), test.url, test.run)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestARequestThatWouldBeOneTooManyIsLostWithItsReason(t *testing.T) {
	t.Parallel()
	const most = 20
	url := raw(t, func(*net.TCPConn, *http.Request) bool { return true })
	p, err := prepare(t.Context(), reading(500), url, "run-1")
	if err != nil {
		t.Fatal(err)
	}
	p.places = make(chan struct{}, most)
	go p.run()
	until(t, "requests that can't be sent", func() bool { return p.ledger.account().Lost > 0 })
	if len(p.places) != most {
		t.Errorf("%d requests are in flight, want %d", len(p.places), most)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	account := p.Stop(ctx)
	balanced(t, account)
	if first := account.Losses[0]; account.Lost != account.Sent || first.Detail != "not sent: 20 requests are waiting for their answers" {
		t.Errorf("lost %d of %d, the first: %+v", account.Lost, account.Sent, first)
	}
}

func TestWhatIsCutOffIsLostAtOnce(t *testing.T) {
	t.Parallel()
	came := newCounter(1)
	url := raw(t, func(*net.TCPConn, *http.Request) bool {
		came.add()
		return true
	})
	p := start(t, reading(10), url)
	came.wait(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	account := p.Stop(ctx)
	balanced(t, account)
	if account.Lost != account.Sent || !strings.HasPrefix(account.Losses[0].Detail, "cut off when the probe was stopped: ") {
		t.Errorf("%+v", account)
	}
}
