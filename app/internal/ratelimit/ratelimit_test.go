package ratelimit

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var start = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

func TestAClientHasItsQuotaAndGetsItBackEvenly(t *testing.T) {
	t.Parallel()
	l := New(Policy{Name: "address", Quota: 3, Window: 6 * time.Second})
	steps := []struct {
		at   time.Duration
		want Result
	}{
		{0, Result{Allowed: true, Remaining: 2, Reset: 2 * time.Second}},
		{0, Result{Allowed: true, Remaining: 1, Reset: 4 * time.Second}},
		{0, Result{Allowed: true, Remaining: 0, Reset: 6 * time.Second, RetryAfter: 2 * time.Second}},
		{time.Second, Result{Remaining: 0, Reset: 5 * time.Second, RetryAfter: time.Second}},
		{2 * time.Second, Result{Allowed: true, Remaining: 0, Reset: 6 * time.Second, RetryAfter: 2 * time.Second}},
		{time.Hour, Result{Allowed: true, Remaining: 2, Reset: 2 * time.Second}},
	}
	for i, step := range steps {
		if diff := cmp.Diff(step.want, l.Take("a", start.Add(step.at))); diff != "" {
			t.Errorf("step %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestClientsDoNotShareAQuota(t *testing.T) {
	t.Parallel()
	l := New(Policy{Quota: 1, Window: time.Second})
	for _, client := range []string{"a", "b"} {
		if !l.Take(client, start).Allowed {
			t.Errorf("the first request of %s is refused", client)
		}
		if l.Take(client, start).Allowed {
			t.Errorf("the second request of %s is allowed", client)
		}
	}
}

func TestRequestsAtOnceDoNotExceedTheQuota(t *testing.T) {
	t.Parallel()
	l := New(Policy{Quota: 20, Window: time.Minute})
	var allowed atomic.Int64
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if l.Take("a", start).Allowed {
				allowed.Add(1)
			}
		})
	}
	wg.Wait()
	if allowed.Load() != 20 {
		t.Errorf("%d of 200 requests were allowed, want 20", allowed.Load())
	}
}

func TestTheNumberOfClientsIsBounded(t *testing.T) {
	t.Parallel()
	l := New(Policy{Quota: 1, Window: time.Hour})
	for i := range 2 * maxClients {
		l.Take(strconv.Itoa(i), start)
		l.Take("busy", start) // is in use all the while
	}
	if n := l.clients.Len(); n != maxClients {
		t.Errorf("%d clients are remembered, want %d", n, maxClients)
	}
	if l.Take("busy", start).Allowed {
		t.Error("a client that never paused was forgotten")
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	p := Policy{Name: "address", Quota: 600, Window: time.Minute}
	if got, want := p.Header(), `"address";q=600;w=60`; got != want {
		t.Errorf("policy %s, want %s", got, want)
	}
	got, want := Result{Remaining: 5, Reset: 1500 * time.Millisecond}.Header(p), `"address";r=5;t=2`
	if got != want {
		t.Errorf("result %s, want %s", got, want)
	}
}
