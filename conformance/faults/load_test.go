package faults

import (
	"context"
	"crypto/md5" //nolint:gosec // to compare with what PostgreSQL computes
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bookshelf/conformance/internal/engine"
)

const (
	readers, writers = 8, 8
	// pace is between an answer and the next request of a client.
	pace = 10 * time.Millisecond
	// patience is after how long a client calls a request lost. The service promises an answer much earlier, so one that it forgot
	// is seen on any machine.
	patience = 30 * time.Second
)

// What became of a request.
const (
	good  = "2xx"
	later = "503" // with a problem that says so, and Retry-After
	inUse = "409" // the first request with this key is still at work
	lost  = "lost"
	wrong = "other"
)

// event is a request that has ended.
type event struct {
	write    bool
	outcome  string
	from, to time.Time
	detail   string // of what is not good
}

// load are clients that read and write all the time. A writer repeats a request under its Idempotency-Key until it is acknowledged, so in
// the end each of its books is there exactly once.
type load struct {
	t      *testing.T
	api    string
	token  string
	client *http.Client
	stop   context.CancelFunc // of reading, and of new writes
	all    sync.WaitGroup

	mu     sync.Mutex
	events []event
	books  []written
}

// written is a book whose creation was acknowledged.
type written struct {
	ID      int64
	Title   string
	Version int64
}

func (s *stack) load() *load {
	s.t.Helper()
	ctx, stop := context.WithCancel(s.t.Context())
	l := &load{t: s.t, api: s.api, token: s.token, stop: stop, client: &http.Client{
		Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: readers + writers},
	}}
	s.t.Cleanup(func() { // a test that fails half-way
		stop()
		l.all.Wait()
	})
	for n := range writers {
		l.all.Go(func() { l.write(ctx, n) })
	}
	for range readers {
		l.all.Go(func() { l.read(ctx) })
	}
	l.until("books to read", time.Now(), func(c counts) bool { return c.reads[good] >= 50 && c.writes[good] >= 50 })
	return l
}

func (l *load) write(ctx context.Context, writer int) {
	for n := 0; ctx.Err() == nil; n++ {
		title := fmt.Sprintf("Book %d of writer %d", n, writer)
		body := fmt.Sprintf(`{"title":%q,"authors":["A writer"]}`, title)
		for l.t.Context().Err() == nil {
			var book written
			// What was begun is brought to an end, also when the load is.
			if l.send(l.t.Context(), http.MethodPost, "/api/v1/books", body, fmt.Sprintf("%d-%d", writer, n), &book) {
				l.mu.Lock()
				l.books = append(l.books, book)
				l.mu.Unlock()
				break
			}
			<-time.After(5 * pace)
		}
		<-time.After(pace)
	}
}

// read reads acknowledged books, which have to be there, and lists in turn.
func (l *load) read(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		var book written
		l.mu.Lock()
		if len(l.books) > 0 {
			book = l.books[rand.IntN(len(l.books))]
		}
		l.mu.Unlock()
		path := "/api/v1/books?limit=5&sort=title"
		var got written
		if book.ID != 0 && n%2 == 0 {
			path = fmt.Sprintf("/api/v1/books/%d", book.ID)
		}
		if l.send(l.t.Context(), http.MethodGet, path, "", "", &got) && got.ID != 0 && got != book {
			l.record(event{outcome: wrong, from: time.Now(), to: time.Now(), detail: fmt.Sprintf("%s is %+v, acknowledged was %+v", path, got, book)})
		}
		<-time.After(pace)
	}
}

// send makes a request, writes down what became of it, and reports whether it was good.
func (l *load) send(ctx context.Context, method, path, body, key string, into any) bool {
	e := event{write: method != http.MethodGet, from: time.Now()}
	e.outcome, e.detail = l.try(ctx, method, path, body, key, into)
	e.to = time.Now()
	if ctx.Err() == nil {
		l.record(e)
	}
	return e.outcome == good
}

func (l *load) record(e event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
}

func (l *load) try(ctx context.Context, method, path, body, key string, into any) (outcome, detail string) {
	request, err := http.NewRequestWithContext(ctx, method, l.api+path, strings.NewReader(body))
	if err != nil {
		return wrong, err.Error()
	}
	if l.token != "" {
		request.Header.Set("Authorization", "Bearer "+l.token)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	response, err := l.client.Do(request)
	if err != nil {
		return lost, err.Error()
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return lost, err.Error()
	}
	said := fmt.Sprintf("%s %s: %s %s", method, path, response.Status, text)
	if response.StatusCode/100 == 2 {
		if err := json.Unmarshal(text, into); err != nil {
			return wrong, said
		}
		return good, ""
	}
	var problem struct{ Type string }
	if json.Unmarshal(text, &problem) != nil || response.Header.Get("Retry-After") == "" {
		return wrong, said
	}
	switch {
	case response.StatusCode == http.StatusServiceUnavailable:
		return later, problem.Type[strings.LastIndex(problem.Type, ":")+1:]
	case response.StatusCode == http.StatusConflict && strings.HasSuffix(problem.Type, ":idempotency-key-in-use"):
		return inUse, ""
	default:
		return wrong, said
	}
}

// counts are requests by outcome.
type counts struct {
	reads, writes map[string]int
	reasons       map[string]int // of 503s: the type of the problem
	slowest       time.Duration
	last          time.Time // end of the last request that was not good
}

// since counts the requests that ended after a moment.
func (l *load) since(moment time.Time) counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := counts{reads: map[string]int{}, writes: map[string]int{}, reasons: map[string]int{}}
	for _, e := range l.events {
		if e.to.Before(moment) {
			continue
		}
		if e.write {
			c.writes[e.outcome]++
		} else {
			c.reads[e.outcome]++
		}
		if e.outcome != good && e.to.After(c.last) {
			c.last = e.to
		}
		if e.outcome == later {
			c.reasons[e.detail]++
		}
		c.slowest = max(c.slowest, e.to.Sub(e.from))
	}
	return c
}

// until waits until the requests since a moment are as wanted.
func (l *load) until(what string, since time.Time, wanted func(counts) bool) {
	l.t.Helper()
	engine.Eventually(l.t, what, func() string {
		if c := l.since(since); !wanted(c) {
			return fmt.Sprintf("reads %v, writes %v %v", c.reads, c.writes, c.reasons)
		}
		return ""
	})
}

// recovered waits until nothing but good answers have come for a while, since the cause is mended, and returns when that began.
func (l *load) recovered(mended time.Time) time.Time {
	l.t.Helper()
	const while = time.Second
	from := mended
	engine.Eventually(l.t, "the service recovers", func() string {
		if last := l.since(from).last; last.After(from) {
			from = last
		}
		c := l.since(from.Add(1))
		if c.reads[good] < 2*readers || c.writes[good] < 2*writers || time.Since(from) < while {
			return fmt.Sprintf("reads %v, writes %v %v", c.reads, c.writes, c.reasons)
		}
		return ""
	})
	return from
}

// median of the good requests of a kind that ended between two moments.
func (l *load) median(write bool, from, to time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	var took []time.Duration
	for _, e := range l.events {
		if e.write == write && e.outcome == good && e.to.After(from) && e.to.Before(to) {
			took = append(took, e.to.Sub(e.from))
		}
	}
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// end brings what was begun to an end and returns the acknowledged books as PostgreSQL is asked for them: how many, and a hash.
func (l *load) end() (int, string) {
	l.t.Helper()
	l.stop()
	ended := make(chan struct{})
	go func() {
		l.all.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(3 * patience):
		l.t.Fatalf("some writes are never acknowledged: %+v", l.since(time.Now().Add(-patience)))
	}
	slices.SortFunc(l.books, func(a, b written) int { return int(a.ID - b.ID) })
	lines := make([]string, len(l.books))
	for i, b := range l.books {
		lines[i] = fmt.Sprintf("%d %s %d", b.ID, b.Title, b.Version)
	}
	return len(lines), fmt.Sprintf("%x", md5.Sum([]byte(strings.Join(lines, "\n")))) //nolint:gosec // no secret
}
