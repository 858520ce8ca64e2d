package edgetest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTenThousandRequestsAreDividedByWeight(t *testing.T) {
	t.Parallel()
	blue, green := newReplica(t, "blue"), newReplica(t, "green")
	e := newEdge(t)
	e.start()
	e.set(ask("", slot("blue", 95, blue), slot("green", 5, green)))
	e.healthy()
	const total, clients = 10_000, 8
	var all sync.WaitGroup
	var canary, failed atomic.Int64
	for range clients {
		all.Go(func() {
			for range total / clients {
				a, err := fetch(http.DefaultClient, "http://"+e.http+"/")
				switch {
				case err != nil:
					failed.Add(1)
				case a.header.Get("Delivery-Slot") == "green":
					canary.Add(1)
				}
			}
		})
	}
	all.Wait()
	if failed.Load() > 0 || math.Abs(float64(canary.Load())-total*0.05) > total*0.01 {
		t.Errorf("%d of %d went to the canary of 5 %%, %d failed", canary.Load(), total, failed.Load())
	}
	state := e.state()
	if n := state.Slots["blue"].Requests + state.Slots["green"].Requests; n != total || state.Slots["green"].Errors != 0 {
		t.Errorf("the edge counted %d requests, not %d: %+v", n, total, state)
	}
	if got, want := e.metric(`edge_slot_requests_total{code="2xx",slot="green"}`), fmt.Sprint(canary.Load()); got != want {
		t.Errorf("the metric says %s, not %s", got, want)
	}
}

// The reason for this program: weights move hundreds of times under kept-alive connections, and nobody notices.
func TestNoRequestIsLostWhileWeightsMove(t *testing.T) {
	t.Parallel()
	blue, blue2, green := newReplica(t, "blue"), newReplica(t, "blue2"), newReplica(t, "green")
	e := newEdge(t)
	e.start()
	e.set(ask("", slot("blue", 100, blue, blue2), slot("green", 0, green)))
	e.healthy()
	stop := make(chan struct{})
	var all sync.WaitGroup
	var sent, lost atomic.Int64
	for range 6 {
		all.Go(func() {
			conn, err := net.Dial("tcp", e.http)
			if err != nil {
				lost.Add(1)
				return
			}
			defer conn.Close()
			in := bufio.NewReader(conn)
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				sent.Add(1)
				// One connection for good, and no library that would try again.
				if err := once(conn, in, e.http, i%2 == 1); err != nil {
					lost.Add(1)
					t.Errorf("request %d: %v", i, err)
					return
				}
			}
		})
	}
	const switches = 200
	for i := range switches {
		green1 := i * 37 % 101
		members := []*replica{blue, blue2}[:1+i%2] // membership changes, too
		if err := e.shift(ask("", slot("blue", 100-green1, members...), slot("green", green1, green))); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	all.Wait()
	if lost.Load() != 0 || sent.Load() < switches {
		t.Errorf("%d of %d requests were lost over %d changes", lost.Load(), sent.Load(), switches)
	}
	t.Logf("%d requests over %d changes, %d lost", sent.Load(), switches, lost.Load())
}

// once sends one request on the connection and reads the whole answer.
func once(conn net.Conn, in *bufio.Reader, host string, post bool) error {
	method, body := http.MethodGet, io.Reader(http.NoBody)
	if post {
		method, body = http.MethodPost, strings.NewReader("a body")
	}
	req, err := http.NewRequest(method, "http://"+host+"/", body)
	if err != nil {
		return err
	}
	if err := req.Write(conn); err != nil {
		return err
	}
	res, err := http.ReadResponse(in, req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", res.Status, text)
	}
	return err
}

func TestADeadAndAHangingReplicaGetNoRequests(t *testing.T) {
	t.Parallel()
	good, unready := newReplica(t, "good"), newReplica(t, "unready")
	unready.unready.Store(true)
	dead := &replica{address: freeAddress(t), admin: freeAddress(t)}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0") // accepts, and never says a word
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	hanging := &replica{address: listener.Addr().String(), admin: freeAddress(t)}
	e := newEdge(t)
	e.start()
	e.set(ask("", slot("blue", 100, dead, hanging, unready, good)))
	e.eventually("each replica is judged", func() error {
		for i, r := range e.state().Slots["blue"].Replicas {
			if r.Healthy != (i == 3) || r.Detail == "not asked yet" {
				return fmt.Errorf("%+v", r)
			}
		}
		return nil
	})
	for range 50 {
		if a := get(t, "http://"+e.http+"/"); a.body != "good 0" {
			t.Fatalf("the answer is %q", a.body)
		}
	}
	if got := e.metric(fmt.Sprintf(`edge_replica_healthy{replica=%q,slot="blue"}`, dead.address)); got != "0" {
		t.Errorf("the metric of the dead replica is %q", got)
	}
}

func TestAPostThatWasNotSentIsTriedOnAnotherReplica(t *testing.T) {
	t.Parallel()
	stays, leaves := newReplica(t, "stays"), newReplica(t, "leaves")
	e := newEdge(t)
	e.start()
	e.set(ask("", slot("blue", 100, stays, leaves)))
	e.healthy()
	leaves.server.Close()
	for range 20 {
		if a, err := post("http://"+e.http+"/", "once"); err != nil || a.body != "stays 4" {
			t.Fatalf("%d: %q, %v", a.status, a.body, err)
		}
	}
	if stays.requests.Load() != 20 {
		t.Errorf("the replica that stayed got %d of 20", stays.requests.Load())
	}
}

// A server that reads a request and resets the connection has perhaps done what it was asked.
func TestAPostThatWasSentIsNeverSentTwice(t *testing.T) {
	t.Parallel()
	var posts atomic.Int64
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				req, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				if req.URL.Path == "/readyz" {
					fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
					return
				}
				_, _ = io.Copy(io.Discard, req.Body)
				posts.Add(1)
			}()
		}
	}()
	good := newReplica(t, "good")
	bad := &replica{address: listener.Addr().String(), admin: freeAddress(t)}
	e := newEdge(t)
	e.start()
	e.set(ask("", slot("blue", 100, bad), slot("green", 0, good)))
	e.healthy()
	a, err := post("http://"+e.http+"/", "once")
	if err != nil || a.status != http.StatusBadGateway || a.header.Get("Delivery-Slot") != "" {
		t.Errorf("the answer is %d with slot %q, %v", a.status, a.header.Get("Delivery-Slot"), err)
	}
	if posts.Load() != 1 || good.requests.Load() != 0 {
		t.Errorf("it was sent %d times, and %d times to another", posts.Load(), good.requests.Load())
	}
	if blue := e.state().Slots["blue"]; blue.Requests != 1 || blue.Errors != 1 || !blue.Replicas[0].Healthy {
		t.Errorf("the slot is %+v", blue)
	}
}

func TestInFlightIsCountedToTheLastByteAndDrains(t *testing.T) {
	t.Parallel()
	blue, green := newReplica(t, "blue"), newReplica(t, "green")
	e := newEdge(t)
	e.start()
	e.set(ask("", slot("blue", 0, blue), slot("green", 100, green)))
	e.healthy()
	res, err := http.Get("http://" + e.http + "/slow?ms=3000")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	state := e.set(ask("", slot("blue", 100, blue), slot("green", 0, green)))
	if g := state.Slots["green"]; g.InFlight != 1 || g.Replicas[0].InFlight != 1 {
		t.Errorf("with its header answered: %+v", g)
	}
	state = e.set(ask("", slot("blue", 100, blue)))
	if diff := cmp.Diff(map[string]int64{"green": 1}, state.Draining); diff != "" {
		t.Errorf("draining (-want +got):\n%s", diff)
	}
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "begun ended" {
		t.Errorf("the answer of the removed replica is %q, %v", body, err)
	}
	e.eventually("nothing drains", func() error {
		if d := e.state().Draining; len(d) != 0 {
			return fmt.Errorf("%v", d)
		}
		return nil
	})
}

func TestErrorsAreStatusesFrom500AndAnswersThatBreakOff(t *testing.T) {
	t.Parallel()
	blue := newReplica(t, "blue")
	e := newEdge(t)
	e.start()
	e.set(ask("", slot("blue", 100, blue)))
	e.healthy()
	for _, code := range []int{200, 404, 500, 503} {
		if a := get(t, fmt.Sprintf("http://%s/status?code=%d", e.http, code)); a.status != code || a.header.Get("Delivery-Slot") != "blue" {
			t.Errorf("%d with slot %q", a.status, a.header.Get("Delivery-Slot"))
		}
	}
	if _, err := fetch(http.DefaultClient, "http://"+e.http+"/cut"); err == nil {
		t.Error("half an answer passes for a whole one")
	}
	// A client that leaves is nobody's failure.
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+e.http+"/slow?ms=60000", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	res.Body.Close()
	e.eventually("all are counted", func() error {
		if b := e.state().Slots["blue"]; b.Requests != 6 || b.Errors != 3 || b.InFlight != 0 {
			return fmt.Errorf("%+v", b)
		}
		return nil
	})
}

func TestWithNobodyHealthyARequestWaitsAndIsThenRefused(t *testing.T) {
	t.Parallel()
	blue := newReplica(t, "blue")
	blue.unready.Store(true)
	e := newEdge(t, "EDGE_RETRY_FOR", "2s")
	e.start()
	a := get(t, "http://"+e.http+"/") // with no slots at all
	want := `{"status":503,"title":"Service Unavailable","type":"about:blank"}`
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") != "2" || a.body != want ||
		a.header.Get("Content-Type") != "application/problem+json" || a.header.Get("Delivery-Slot") != "" || a.header.Get("Server") != "" {
		t.Errorf("%d %v %s", a.status, a.header, a.body)
	}
	e.set(ask("", slot("blue", 100, blue)))
	answered := make(chan string, 1)
	go func() {
		a, err := post("http://"+e.http+"/", "late")
		if err != nil {
			a.body = err.Error()
		}
		answered <- a.body
	}()
	blue.unready.Store(false)
	if got := <-answered; got != "blue 4" {
		t.Errorf("the request that waited got %q", got)
	}
}

func TestTheFallbackOfALeaseHelpsOutAndTakesOver(t *testing.T) {
	t.Parallel()
	blue, green := newReplica(t, "blue"), newReplica(t, "green")
	e := newEdge(t)
	e.start()
	e.set(ask(`,"lease_seconds":4,"fallback":{"blue":100}`, slot("blue", 0, blue), slot("green", 100, green)))
	e.healthy()
	if a := get(t, "http://"+e.http+"/"); a.header.Get("Delivery-Slot") != "green" {
		t.Errorf("slot %q answered, not the one with the weight", a.header.Get("Delivery-Slot"))
	}
	green.server.Close()
	if a := get(t, "http://"+e.http+"/"); a.header.Get("Delivery-Slot") != "blue" {
		t.Errorf("slot %q answered while green is down", a.header.Get("Delivery-Slot"))
	}
	e.eventually("the lease ran out", func() error {
		if s := e.state(); s.Lease != nil || s.Slots["blue"].Weight != 100 || s.Generation != 2 {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
}
