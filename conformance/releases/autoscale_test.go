package releases

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bookshelf/conformance/internal/images"
)

// slowBody is a request body that arrives in pieces: whoever answers it has it in flight for as long.
type slowBody struct {
	rest  string
	pause time.Duration
}

func (b *slowBody) Read(p []byte) (int, error) {
	if b.rest == "" {
		return 0, io.EOF
	}
	<-time.After(b.pause)
	n := copy(p, b.rest[:1])
	b.rest = b.rest[n:]
	return n, nil
}

// hold keeps so many requests in flight until the returned function is called, which returns how many were answered and how many not.
func (e *environment) hold(clients int) (release func() (answered, lost int64)) {
	var answered, lost atomic.Int64
	done := make(chan struct{})
	token := e.token()
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				// A client's mistake, which is only seen when all of it has come.
				body := &slowBody{rest: `{"title": ""}`, pause: 100 * time.Millisecond}
				request, err := http.NewRequestWithContext(e.t.Context(), http.MethodPost, e.url+"/api/v1/books", body)
				if err != nil {
					return
				}
				request.Header.Set("Content-Type", "application/json")
				request.Header.Set("Authorization", "Bearer "+token)
				response, err := e.client.Do(request)
				if err != nil || response.StatusCode >= http.StatusInternalServerError {
					lost.Add(1)
				} else {
					answered.Add(1)
				}
				if err == nil {
					response.Body.Close()
				}
			}
		})
	}
	return func() (int64, int64) {
		close(done)
		all.Wait()
		return answered.Load(), lost.Load()
	}
}

// TestReplicasFollowTheLoadAndNoRequestIsLost holds requests in flight until there are more replicas, and lets go until there are fewer.
func TestReplicasFollowTheLoadAndNoRequestIsLost(t *testing.T) {
	t.Parallel()
	if !full() {
		t.Skip("make e2e runs it: the decisions are unit tests")
	}
	v1 := images.Product(t, product(t), "v1")
	e := newEnvironment(t)
	e.up(v1)
	ready := func() int {
		s := e.status()
		for _, slot := range s.Traffic {
			if slot.Slot == s.Live {
				return slot.Ready
			}
		}
		return 0
	}
	out, wait := e.start(t.Context(), "autoscale", "--min", "1", "--max", "2", "--target-in-flight", "4", "--every", "2s", "--up-after", "4s",
		"--down-after", "8s", "--cool-down", "4s", "--for", "90s")
	release := e.hold(8)
	e.until("two replicas", func() bool { return ready() == 2 })
	answered, lost := release()
	few := e.hold(1)
	e.until("one replica", func() bool { return ready() == 1 })
	more, missed := few()
	wait()

	if out.code != exitDone || answered == 0 || lost != 0 || missed != 0 {
		t.Errorf("exit code %d: %s; %d answered and %d lost while it grew, %d and %d while it shrank", out.code, out.stderr, answered, lost, more, missed)
	}
	var changes []int
	for line := range strings.Lines(out.stdout) {
		var event struct {
			Change int
			Why    string
		}
		if err := json.Unmarshal([]byte(line), &event); err != nil || event.Why == "" {
			t.Errorf("an event without a reason (%v): %s", err, line)
		}
		if event.Change != 0 {
			changes = append(changes, event.Change)
		}
	}
	if !slices.Equal(changes, []int{1, -1}) {
		t.Errorf("it changed %v: %s", changes, out.stdout)
	}
	t.Logf("%d requests answered, 0 lost, from 1 to 2 replicas and back", answered+more)
}
