// Package load puts the same load on slots, past their weights, and tells what the requests met.
package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"bookshelf/edge/internal/slots"
)

// Limits of an order. What is answered late is waiting in memory.
const (
	maxRate    = 1000 // requests per second and slot
	maxSeconds = 3600
	maxTimeout = 60 // seconds
)

// Order is the load.
type Order struct {
	Slots []string `json:"slots"`
	// Rate is the number of requests that each slot gets in a second.
	Rate    int     `json:"rate"`
	Seconds float64 `json:"seconds"`
	// WarmUp is how many requests of each slot are counted and not timed, the first ones.
	WarmUp         int     `json:"warm_up"`
	TimeoutSeconds float64 `json:"timeout_seconds"`
	// Requests are sent in turn. They must change nothing.
	Requests []Request `json:"requests"`
}

// Request is one of the requests of an order, and the statuses that are expected of it.
type Request struct {
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Headers map[string]string `json:"headers"`
	Status  []int             `json:"status"`
}

// Result is what the requests of one slot met.
type Result struct {
	// Requests counts all; Failed those with an answer of 500 or more, or another than is expected; Lost those without a whole answer.
	Requests int `json:"requests"`
	Failed   int `json:"failed"`
	Lost     int `json:"lost"`
	// Microseconds are how long the answered requests took from the moment at which they were due, in the order of their answers.
	Microseconds []int64 `json:"microseconds"`
}

// InvalidError says what is wrong with an order: nothing was sent.
type InvalidError struct{ Problem string }

func (e *InvalidError) Error() string { return e.Problem }

// Parse reads an order from JSON.
func Parse(r io.Reader) (Order, error) {
	var o Order
	decoder := json.NewDecoder(r)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&o); err != nil {
		return o, &InvalidError{"not the JSON that is expected: " + err.Error()}
	}
	problem := ""
	switch {
	case len(o.Slots) == 0:
		problem = "slots: want at least one"
	case o.Rate < 1 || o.Rate > maxRate:
		problem = fmt.Sprintf("rate = %d: want 1 to %d", o.Rate, maxRate)
	case o.Seconds <= 0 || o.Seconds > maxSeconds:
		problem = fmt.Sprintf("seconds = %v: want more than 0, at most %d", o.Seconds, maxSeconds)
	case o.WarmUp < 0:
		problem = fmt.Sprintf("warm_up = %d: want 0 or more", o.WarmUp)
	case o.TimeoutSeconds <= 0 || o.TimeoutSeconds > maxTimeout:
		problem = fmt.Sprintf("timeout_seconds = %v: want more than 0, at most %d", o.TimeoutSeconds, maxTimeout)
	case len(o.Requests) == 0:
		problem = "requests: want at least one"
	}
	for i, r := range o.Requests {
		if (r.Method != http.MethodGet && r.Method != http.MethodHead) || !strings.HasPrefix(r.Path, "/") || len(r.Status) == 0 {
			problem = fmt.Sprintf("requests[%d]: want GET or HEAD, a path that begins with / and statuses", i)
		}
	}
	if problem != "" {
		return o, &InvalidError{problem}
	}
	return o, nil
}

// Run sends the requests of an order, to each slot the same number and in turns, each when it is due whether or not others have been
// answered: a slot that is slow gets no fewer, and the wait counts (an open loop). It returns what they met by slot.
func Run(ctx context.Context, o Order, state slots.State) (map[string]*Result, error) {
	replicas := map[string][]slots.ReplicaState{}
	results := map[string]*Result{}
	for _, name := range o.Slots {
		if len(state.Slots[name].Replicas) == 0 {
			return nil, &InvalidError{fmt.Sprintf("slots: %q has no replica", name)}
		}
		replicas[name], results[name] = state.Slots[name].Replicas, &Result{Microseconds: []int64{}}
	}
	client := &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: maxRate},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       time.Duration(o.TimeoutSeconds * float64(time.Second)),
	}
	defer client.CloseIdleConnections()
	turns := int(o.Seconds * float64(o.Rate))
	apart := time.Second / time.Duration(o.Rate*len(o.Slots))
	var all sync.WaitGroup
	var mu sync.Mutex
	start := time.Now()
	for i := range turns * len(o.Slots) {
		due := start.Add(time.Duration(i) * apart)
		select {
		case <-ctx.Done():
			all.Wait()
			return nil, context.Cause(ctx)
		case <-time.After(time.Until(due)):
		}
		turn, name := i/len(o.Slots), o.Slots[i%len(o.Slots)]
		address := replicas[name][turn%len(replicas[name])].Address
		all.Go(func() {
			met := send(ctx, client, address, o.Requests[turn%len(o.Requests)])
			took := time.Since(due)
			mu.Lock()
			defer mu.Unlock()
			results[name].count(met, took, turn >= o.WarmUp)
		})
	}
	all.Wait()
	return results, nil
}

var (
	errLost   = errors.New("lost")
	errFailed = errors.New("failed")
)

// send sends one request and reads its whole answer.
func send(ctx context.Context, client *http.Client, address string, r Request) error {
	req, err := http.NewRequestWithContext(ctx, r.Method, "http://"+address+r.Path, http.NoBody)
	if err != nil {
		return errFailed
	}
	for name, value := range r.Headers {
		req.Header.Set(name, value)
	}
	res, err := client.Do(req)
	if err != nil {
		return errLost
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return errLost
	}
	if !slices.Contains(r.Status, res.StatusCode) {
		return errFailed
	}
	return nil
}

func (r *Result) count(met error, took time.Duration, timed bool) {
	r.Requests++
	switch {
	case errors.Is(met, errLost):
		r.Lost++
	case met != nil:
		r.Failed++
	case timed:
		r.Microseconds = append(r.Microseconds, took.Microseconds())
	}
}
