package probe

import (
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bookshelf/infra/release"

	"github.com/google/go-cmp/cmp"
)

var _ release.Traffic = (*Probe)(nil)

func TestARealServiceLosesNothingAndHasEveryWriteOnce(t *testing.T) {
	t.Parallel()
	for name, configure := range map[string]func(*httptest.Server){
		"kept connections":          nil,
		"a connection each":         func(s *httptest.Server) { s.Config.SetKeepAlivesEnabled(false) },
		"TLS 1.3":                   func(s *httptest.Server) { s.StartTLS() },
		"TLS 1.2":                   func(s *httptest.Server) { s.TLS = &tls.Config{MaxVersion: tls.VersionTLS12}; s.StartTLS() },
		"TLS and a connection each": func(s *httptest.Server) { s.StartTLS(); s.Config.SetKeepAlivesEnabled(false) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &service{version: "v1", all: newCounter(40)}
			server := behind(t, s, configure)
			c := mixed(25)
			c.Timeout = time.Minute // a handshake may take long on a machine that does other things as well
			c.RootCA, c.ServerName = trusted(t, server), "example.com"
			p := start(t, c, server.URL)
			s.all.wait(t)
			account := p.Stop(t.Context())
			balanced(t, account)
			if account.Answered != account.Sent || int64(account.Sent) != s.all.n.Load() {
				t.Errorf("%d came: %+v", s.all.n.Load(), account)
			}
			if len(account.Kinds) != 6 {
				t.Errorf("kinds are %v, want reads, writes and slow ones, each kept and fresh", account.Kinds)
			}
			fresh := account.Kinds["read/fresh"].Sent + account.Kinds["write/fresh"].Sent + account.Kinds["slow/fresh"].Sent
			if s.closing != fresh {
				t.Errorf("%d requests announced the end of their connection, want the %d fresh ones", s.closing, fresh)
			}
			written := p.Written()
			want := release.Writes{Sent: len(written), Acknowledged: len(written), Once: len(written)}
			if got := Reckon(s.numbers, written); got != want || len(written) == 0 {
				t.Errorf("found %+v, want %+v", got, want)
			}
			slices.Sort(s.keys)
			if unique := slices.Compact(slices.Clone(s.keys)); len(unique) != len(s.keys) {
				t.Errorf("%d of %d idempotency keys are different", len(unique), len(s.keys))
			}
		})
	}
}

func TestConnectionsAreKept(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(*httptest.Server){"plain": (*httptest.Server).Start, "TLS": (*httptest.Server).StartTLS} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var opened atomic.Int64
			server := behind(t, &service{version: "v1", all: newCounter(1)}, func(server *httptest.Server) {
				server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
					if state == http.StateNew {
						opened.Add(1)
					}
				}
				begin(server)
			})
			c := reading(10)
			c.RootCA, c.ServerName = trusted(t, server), "example.com"
			p, err := prepare(t.Context(), c, server.URL, "run-1")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.pool.close)
			for n := range 3 * keptConnections {
				if r := p.send(c.Read[0], n, 0, read, false); r.outcome != answered {
					t.Errorf("request %d: %+v", n, r)
				}
			}
			if got := opened.Load(); got != keptConnections {
				t.Errorf("%d connections were opened, want %d", got, keptConnections)
			}
		})
	}
}

func TestACertificateOfNobodyWhoIsTrustedRefusesTheStart(t *testing.T) {
	t.Parallel()
	server := behind(t, http.NotFoundHandler(), (*httptest.Server).StartTLS)
	if _, err := Start(t.Context(), reading(10), server.URL, "run"); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("error %v, want one about the certificate", err)
	}
	c := reading(10)
	c.RootCA = filepath.Join(t.TempDir(), "absent.pem")
	if _, err := Start(t.Context(), c, server.URL, "run"); err == nil || !strings.Contains(err.Error(), "root_ca") {
		t.Errorf("error %v, want one about root_ca", err)
	}
}

// A server that is gone for a while is seen as that: requests are lost while it is away, and nothing has to be mended afterwards.
func TestARestartLosesWhatItMeetsAndNoMore(t *testing.T) {
	t.Parallel()
	first := &service{version: "v1", all: newCounter(50)}
	server := behind(t, first, nil)
	address := server.Listener.Addr().String()
	p := start(t, mixed(200), server.URL)
	first.all.wait(t)
	server.Listener.Close()
	server.CloseClientConnections()
	until(t, "a lost request", func() bool { return p.ledger.account().Lost > 0 })
	var listener net.Listener
	until(t, "the port is free", func() bool { // a connection of somebody else may have it meanwhile
		var err error
		listener, err = net.Listen("tcp", address)
		return err == nil
	})
	second := &service{version: "v2", all: newCounter(50)}
	again := &http.Server{Handler: second}
	var serving sync.WaitGroup
	serving.Go(func() { _ = again.Serve(listener) })
	t.Cleanup(serving.Wait)
	t.Cleanup(func() { again.Close() })
	up := time.Now()
	second.all.wait(t)
	account := p.Stop(t.Context())
	balanced(t, account)
	if account.Lost == 0 || account.Failed != 0 {
		t.Errorf("%+v", account)
	}
	if after := p.Between(up.Add(50*time.Millisecond), time.Now())[""]; after.Lost != 0 {
		t.Errorf("%d requests were lost after the server was back", after.Lost)
	}
	if w := Reckon(slices.Concat(first.numbers, second.numbers), p.Written()); w.Missing != 0 || w.Twice != 0 {
		t.Errorf("%+v: nothing that was acknowledged is missing, nothing was sent twice", w)
	}
}

// Whatever a server does, and whenever the stream is stopped: every request has exactly one line, and none comes twice.
func TestEveryRequestIsAccountedForOnce(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 0))
			came := newCounter(20 + random.Int64N(60))
			var dice atomic.Uint64
			var mu sync.Mutex
			keys := map[string]int{}
			url := raw(t, func(conn *net.TCPConn, request *http.Request) bool {
				mu.Lock()
				keys[request.Header.Get(idempotencyKey)]++
				mu.Unlock()
				came.add()
				switch rand.New(rand.NewPCG(seed, dice.Add(1))).IntN(6) {
				case 0:
					return say(whole[:len(whole)-1], false)(conn, request)
				case 1:
					return say("", false)(conn, request)
				case 2:
					return say(strings.Replace(whole, "200", "500", 1), true)(conn, request)
				case 3:
					return true // never answers
				default:
					return say(whole, true)(conn, request)
				}
			})
			c := mixed(300)
			c.Write.Status = []int{http.StatusOK}
			c.Timeout, c.SlowFor = 300*time.Millisecond, 50*time.Millisecond
			p := start(t, c, url)
			came.wait(t)
			account := p.Stop(t.Context())
			balanced(t, account)
			if len(p.ledger.records) != account.Sent || came.n.Load() > int64(account.Sent) {
				t.Errorf("%d lines, %d came, %d sent", len(p.ledger.records), came.n.Load(), account.Sent)
			}
			mu.Lock() // a request that was given up may still arrive
			defer mu.Unlock()
			for key, times := range keys {
				if key != "" && times != 1 {
					t.Errorf("%s came %d times", key, times)
				}
			}
			if again := p.Stop(t.Context()); cmp.Diff(account, again) != "" {
				t.Errorf("a second Stop has another account: %s", cmp.Diff(account, again))
			}
			sum := 0
			for _, second := range p.Seconds() {
				for _, slot := range second.Slots {
					sum += slot.Requests
				}
			}
			if sum != account.Sent {
				t.Errorf("the seconds have %d requests, the account %d", sum, account.Sent)
			}
		})
	}
}

// The rate holds whatever the service does, and the wait of requests that a standstill delays is in their latency.
func TestAStandstillNeitherSlowsTheStreamNorHidesInIt(t *testing.T) {
	t.Parallel()
	const rate, standstill = 200.0, 500 * time.Millisecond
	s := &service{version: "v1", all: newCounter(100)}
	var gate sync.RWMutex
	server := behind(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		gate.RLock()
		defer gate.RUnlock()
		s.ServeHTTP(w, r)
	}), nil)
	p := start(t, reading(rate), server.URL)
	s.all.wait(t)
	gate.Lock()
	from := time.Now()
	<-time.After(standstill)
	to := time.Now()
	gate.Unlock()
	until(t, "everything that was due is sent", func() bool { return p.ledger.account().Sent > p.ledger.first(to) })
	account := p.Stop(t.Context())
	balanced(t, account)
	sample := p.Between(from, to)["blue"]
	if ratio := float64(sample.Requests) / (to.Sub(from).Seconds() * rate); ratio < 0.98 || ratio > 1.02 {
		t.Errorf("%d requests in %s: %.2f of the rate", sample.Requests, to.Sub(from), ratio)
	}
	// Those that were due evenly over the standstill waited from all of it down to nothing.
	if median := quantile(sample.Latencies, 0.5); float64(median)/float64(to.Sub(from)) < 0.4 {
		t.Errorf("the median wait is %s of %s, want about half", median, to.Sub(from))
	}
}

func TestAnAnswerOfAnotherVersionIsCounted(t *testing.T) {
	t.Parallel()
	s := &service{version: "old", all: newCounter(40)}
	server := behind(t, s, nil)
	p := start(t, reading(100), server.URL)
	become := func(version string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.version, s.old = version, 0
	}
	s.all.wait(t)
	become("new")
	p.Expect("new")
	// What was sent before may have had either.
	before := p.ledger.account().Sent
	until(t, "answers to all that were sent before the shift", func() bool {
		a := p.ledger.account()
		return a.Answered >= before+20 && a.Answered == a.Sent
	})
	if wrong := p.ledger.account().WrongVersion; wrong != 0 {
		t.Errorf("%d wrong versions, before there were any", wrong)
	}
	become("old")
	until(t, "answers of the wrong version", func() bool { return p.ledger.account().WrongVersion > 10 })
	account := p.Stop(t.Context())
	balanced(t, account)
	if account.WrongVersion != s.old || account.Answered != account.Sent {
		t.Errorf("%d wrong versions, want %d: %+v", account.WrongVersion, s.old, account)
	}
}
