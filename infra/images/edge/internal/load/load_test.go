package load

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bookshelf/edge/internal/slots"
)

// replica counts what it is asked, and answers late, wrongly or not at all by path.
func replica(t *testing.T, asked *atomic.Int64) slots.ReplicaState {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		switch r.URL.Path {
		case "/slow":
			<-time.After(300 * time.Millisecond)
		case "/wrong":
			w.WriteHeader(http.StatusInternalServerError)
		case "/cut":
			w.Header().Set("Content-Length", "100")
		case "/header":
			if r.Header.Get("Accept") != "text/csv" {
				w.WriteHeader(http.StatusNotAcceptable)
			}
		}
	}))
	t.Cleanup(server.Close)
	return slots.ReplicaState{Address: strings.TrimPrefix(server.URL, "http://")}
}

func state(t *testing.T, replicas map[string]int) (slots.State, map[string][]*atomic.Int64) {
	t.Helper()
	s := slots.State{Slots: map[string]slots.SlotState{}}
	asked := map[string][]*atomic.Int64{}
	for name, n := range replicas {
		one := slots.SlotState{}
		for range n {
			counter := new(atomic.Int64)
			asked[name] = append(asked[name], counter)
			one.Replicas = append(one.Replicas, replica(t, counter))
		}
		s.Slots[name] = one
	}
	return s, asked
}

func order(path string) Order {
	return Order{
		Slots: []string{"blue", "green"}, Rate: 100, Seconds: 0.4, WarmUp: 10, TimeoutSeconds: 5,
		Requests: []Request{{Method: "GET", Path: path, Status: []int{200}}},
	}
}

func TestEachSlotAndEachReplicaGetsTheSame(t *testing.T) {
	t.Parallel()
	s, asked := state(t, map[string]int{"blue": 1, "green": 2})
	results, err := Run(t.Context(), order("/"), s)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"blue", "green"} {
		if r := results[name]; r.Requests != 40 || r.Failed+r.Lost != 0 || len(r.Microseconds) != 30 {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if asked["blue"][0].Load() != 40 || asked["green"][0].Load() != 20 || asked["green"][1].Load() != 20 {
		t.Errorf("blue was asked %d, green %d and %d times", asked["blue"][0].Load(), asked["green"][0].Load(), asked["green"][1].Load())
	}
}

func TestASlowSlotGetsNoFewerRequestsAndTheWaitCounts(t *testing.T) {
	t.Parallel()
	s, asked := state(t, map[string]int{"blue": 1, "green": 1})
	results, err := Run(t.Context(), order("/slow"), s)
	if err != nil {
		t.Fatal(err)
	}
	if n := asked["green"][0].Load(); n != 40 {
		t.Errorf("%d requests came", n)
	}
	for _, took := range results["green"].Microseconds {
		if took < 300_000 {
			t.Errorf("an answer after 300 ms took %d µs", took)
		}
	}
}

func TestWhatIsNotAnsweredAsExpectedIsToldApart(t *testing.T) {
	t.Parallel()
	s, _ := state(t, map[string]int{"blue": 1, "green": 1})
	for path, want := range map[string]Result{"/wrong": {Requests: 40, Failed: 40}, "/cut": {Requests: 40, Lost: 40}, "/header": {Requests: 40}} {
		o := order(path)
		o.Requests[0].Headers = map[string]string{"Accept": "text/csv"}
		results, err := Run(t.Context(), o, s)
		if err != nil {
			t.Fatal(err)
		}
		if r := results["blue"]; r.Requests != want.Requests || r.Failed != want.Failed || r.Lost != want.Lost {
			t.Errorf("%s: have %+v", path, r)
		}
	}
}

func TestAnOrderThatIsWrongSaysWhat(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`please`:                               "not the JSON",
		`{"speed": 1}`:                         `unknown field "speed"`,
		`{}`:                                   "slots: want at least one",
		`{"slots":["a"]}`:                      "rate = 0",
		`{"slots":["a"],"rate":1}`:             "seconds = 0",
		`{"slots":["a"],"rate":1,"seconds":1}`: "timeout_seconds = 0",
		`{"slots":["a"],"rate":1,"seconds":1,"timeout_seconds":1}`:                                                        "requests: want at least one",
		`{"slots":["a"],"rate":1,"seconds":1,"timeout_seconds":1,"requests":[{"method":"POST","path":"/","status":[1]}]}`: "requests[0]: want GET or HEAD",
	} {
		if _, err := Parse(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: want %q, have %v", text, want, err)
		}
	}
	s, _ := state(t, map[string]int{"blue": 1})
	if _, err := Run(t.Context(), order("/"), s); err == nil || !strings.Contains(err.Error(), `"green" has no replica`) {
		t.Errorf("a slot that is not there: %v", err)
	}
}
