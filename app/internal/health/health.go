// Package health tells operators what a process depends on and how each of these does: not only whether, but how fast it answered
// and when it was last well. What clients and the edge ask is httpapi's /readyz; this is for the admin port.
package health

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// Check is a dependency, or a state of the process itself.
type Check struct {
	Name string
	// Essential ones decide whether the process is ready.
	Essential bool
	// Look returns nil when all is well. It ends when ctx does.
	Look func(ctx context.Context) error
}

// result is what a look found.
type result struct {
	Name      string  `json:"name"`
	Status    string  `json:"status"` // ok or failing
	Essential bool    `json:"essential"`
	Latency   float64 `json:"latency_seconds"` // that this look took
	// Age is how many seconds ago all was last found well: 0 now, absent when never.
	Age    *float64 `json:"age_seconds,omitempty"`
	Detail string   `json:"detail,omitempty"` // what is wrong
}

// report is the answer to ?verbose.
type report struct {
	Status  string   `json:"status"` // ready or not ready
	Version string   `json:"version"`
	Uptime  float64  `json:"uptime_seconds"`
	Checks  []result `json:"checks"`
}

// Handler answers 200 when every essential check is well and 503 otherwise; with ?verbose it says what it found, as JSON.
type Handler struct {
	version string
	timeout time.Duration
	now     func() time.Time
	started time.Time
	checks  []Check

	mu     sync.Mutex
	lastOK []time.Time // of each check; zero for never
}

// New returns a handler of the checks, each of which may take so long. now is the clock.
func New(version string, timeout time.Duration, now func() time.Time, checks ...Check) *Handler {
	return &Handler{version: version, timeout: timeout, now: now, started: now(), checks: checks, lastOK: make([]time.Time, len(checks))}
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	found := h.look(r.Context())
	status, word := http.StatusOK, "ready"
	for _, one := range found {
		if one.Essential && one.Status != "ok" {
			status, word = http.StatusServiceUnavailable, "not ready"
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	if !r.URL.Query().Has("verbose") {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(word + "\n"))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(report{Status: word, Version: h.version, Uptime: h.now().Sub(h.started).Seconds(), Checks: found})
}

// look runs all checks at once: one that hangs delays the answer by the time-out and no other.
func (h *Handler) look(ctx context.Context) []result {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	found := make([]result, len(h.checks))
	var all sync.WaitGroup
	for i, check := range h.checks {
		all.Go(func() {
			began := h.now()
			err := check.Look(ctx)
			ended := h.now()
			found[i] = h.note(i, err, ended)
			found[i].Latency = ended.Sub(began).Seconds()
		})
	}
	all.Wait()
	return found
}

// note keeps when a check was last well.
func (h *Handler) note(i int, err error, at time.Time) result {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := result{Name: h.checks[i].Name, Essential: h.checks[i].Essential, Status: "ok"}
	if err == nil {
		h.lastOK[i] = at
	} else {
		r.Status, r.Detail = "failing", err.Error()
	}
	if !h.lastOK[i].IsZero() {
		age := max(0, at.Sub(h.lastOK[i]).Seconds())
		r.Age = &age
	}
	return r
}
