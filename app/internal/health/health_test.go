package health

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// clock is moved by hand.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// ask returns the status and the body, read as a report where it is one.
func ask(t *testing.T, h *Handler, path string) (int, string, report) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
	var r report
	if w.Header().Get("Content-Type") == "application/json" {
		if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
	}
	return w.Code, w.Body.String(), r
}

func TestTheAnswerTellsLatencyAndAgeOfEach(t *testing.T) {
	t.Parallel()
	c := &clock{at: time.Unix(1000, 0)}
	var problem error
	h := New("v1", time.Minute, c.now,
		Check{Name: "database", Essential: true, Look: func(context.Context) error { c.advance(250 * time.Millisecond); return problem }})
	if code, body, _ := ask(t, h, "/readyz"); code != 200 || body != "ready\n" {
		t.Errorf("%d %q", code, body)
	}
	c.advance(10 * time.Second)
	problem = errors.New("connection refused")
	code, _, got := ask(t, h, "/readyz?verbose")
	age := 10.25
	want := report{Status: "not ready", Version: "v1", Uptime: 10.5, Checks: []result{
		{Name: "database", Status: "failing", Essential: true, Latency: 0.25, Age: &age, Detail: "connection refused"},
	}}
	if diff := cmp.Diff(want, got); code != 503 || diff != "" {
		t.Errorf("%d, -want +got\n%s", code, diff)
	}
	if code, body, _ := ask(t, h, "/readyz"); code != 503 || body != "not ready\n" {
		t.Errorf("%d %q", code, body)
	}
	problem = nil
	if code, _, got = ask(t, h, "/readyz?verbose"); code != 200 || got.Checks[0].Age == nil || *got.Checks[0].Age != 0 || got.Checks[0].Detail != "" {
		t.Errorf("%d %+v", code, got)
	}
}

func TestWhatIsNotEssentialIsToldAndDecidesNothing(t *testing.T) {
	t.Parallel()
	h := New("v1", time.Minute, time.Now,
		Check{Name: "database", Essential: true, Look: func(context.Context) error { return nil }},
		Check{Name: "traces", Look: func(context.Context) error { return errors.New("the collector is away") }})
	code, _, got := ask(t, h, "/readyz?verbose")
	if code != 200 || got.Status != "ready" || got.Checks[1].Status != "failing" || got.Checks[1].Age != nil {
		t.Errorf("%d %+v", code, got)
	}
}

func TestACheckThatHangsIsEndedAndDelaysNoOther(t *testing.T) {
	t.Parallel()
	looked := make(chan struct{})
	h := New("v1", 20*time.Millisecond, time.Now,
		Check{Name: "hangs", Essential: true, Look: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
		Check{Name: "answers", Essential: true, Look: func(context.Context) error { close(looked); return nil }})
	code, _, got := ask(t, h, "/readyz?verbose")
	<-looked
	if code != 503 || got.Checks[0].Detail != context.DeadlineExceeded.Error() || got.Checks[1].Status != "ok" {
		t.Errorf("%d %+v", code, got)
	}
}
