package load

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// catalogue is a service that answers what the load asks and remembers what that was.
type catalogue struct {
	delay time.Duration // before each answer, but not while books are stored

	mutex  sync.Mutex
	stored int // books of the filling
}

func (c *catalogue) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status := http.StatusOK
	if r.Method == http.MethodPost {
		status = http.StatusCreated
		var draft struct{ Title string }
		if json.NewDecoder(r.Body).Decode(&draft) == nil && strings.Contains(draft.Title, " of word") {
			c.mutex.Lock()
			c.stored++
			c.mutex.Unlock()
		}
	} else {
		<-time.After(c.delay)
	}
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(status)
}

// between compares two of them.
func between(t *testing.T, this, other http.Handler, change func(*Plan)) (Batch, error) {
	t.Helper()
	p := Plan{
		This: Target{Addr: server(t, this.ServeHTTP)}, Other: Target{Addr: server(t, other.ServeHTTP)},
		Operations: []string{"get", "create"}, Books: 100, Connections: 2, Rounds: 2, Seconds: 0.1,
	}
	if change != nil {
		change(&p)
	}
	return Compare(t.Context(), p)
}

func TestAComparisonMeasuresEachOperationOfBothInEachRound(t *testing.T) {
	t.Parallel()
	quick, slow := &catalogue{}, &catalogue{delay: 50 * time.Millisecond}
	batch, err := between(t, quick, slow, nil)
	if err != nil {
		t.Fatal(err)
	}
	type place struct {
		round     int
		operation string
	}
	var places []place
	for _, pair := range batch.Rounds {
		places = append(places, place{pair.Round, pair.Operation})
		for _, value := range []float64{pair.This.PerSecond, pair.This.P99, pair.Other.PerSecond, pair.Other.P99} {
			if !(value > 0) {
				t.Errorf("%s in round %d: %+v", pair.Operation, pair.Round, pair)
			}
		}
		if pair.Operation == "get" && pair.This.PerSecond <= pair.Other.PerSecond {
			t.Errorf("the slow one is not seen in round %d: %+v", pair.Round, pair)
		}
	}
	if want := []place{{0, "get"}, {0, "create"}, {1, "get"}, {1, "create"}}; !slices.Equal(places, want) {
		t.Errorf("measured were %v, want %v", places, want)
	}
	first := batch.Rounds[0]
	if half := min(first.This.PerSecond, first.Other.PerSecond) / 2; batch.Rates["get"] != half {
		t.Errorf("the open loop had %v requests per second, want half of the slower one's rate, %v", batch.Rates["get"], half)
	}
	if quick.stored != 100 || slow.stored != 100 {
		t.Errorf("the services were filled with %d and %d books, want 100 each", quick.stored, slow.stored)
	}
}

// What one leaves behind meets the one after it: who is the first must change, or it always meets the same one.
func TestWhoIsMeasuredFirstChangesFromRoundToRound(t *testing.T) {
	t.Parallel()
	var mutex sync.Mutex
	var turns []string
	taking := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			mutex.Lock()
			defer mutex.Unlock()
			if len(turns) == 0 || turns[len(turns)-1] != name {
				turns = append(turns, name)
			}
			w.Header().Set("Content-Length", "0")
		}
	}
	batch, err := between(t, taking("this"), taking("other"), func(p *Plan) {
		p.Operations, p.First, p.Rates = []string{"get"}, 2, map[string]float64{"get": 100}
	})
	if err != nil {
		t.Fatal(err)
	}
	// Closed loops, then open ones in the opposite order: this, other, other, this; and in the next round the other way round.
	if want := []string{"this", "other", "this", "other", "this", "other"}; !slices.Equal(turns, want) {
		t.Errorf("the turns are %v, want %v", turns, want)
	}
	if batch.Rounds[0].Round != 2 || batch.Rounds[1].Round != 3 || batch.Rates["get"] != 100 {
		t.Errorf("rounds that follow others are %+v at %v", batch.Rounds, batch.Rates)
	}
}

func TestOnlyAnEmptyServiceIsFilled(t *testing.T) {
	t.Parallel()
	filled, empty := &catalogue{}, &catalogue{}
	if _, err := between(t, filled, empty, func(p *Plan) { p.This.Filled, p.Rounds = true, 1 }); err != nil {
		t.Fatal(err)
	}
	if filled.stored != 0 || empty.stored != 100 {
		t.Errorf("stored were %d and %d books, want none and 100", filled.stored, empty.stored)
	}
}

func TestAServiceThatFailsEndsTheComparisonAndIsNamed(t *testing.T) {
	t.Parallel()
	var address string
	_, err := between(t, &catalogue{}, http.NotFoundHandler(), func(p *Plan) { address = p.Other.Addr })
	if err == nil || !strings.Contains(err.Error(), "fill "+address) || !strings.Contains(err.Error(), "answered 404 instead of 201") {
		t.Errorf("%v, want who it was and what it answered", err)
	}
}

func TestAMeasurementThatIsCutShortIsNone(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	address := server(t, func(w http.ResponseWriter, _ *http.Request) {
		cancel() // the answer to this very request still comes
		w.Header().Set("Content-Length", "0")
	})
	result, err := Run(ctx, Spec{Addr: address, Operation: "get", Books: 10, Connections: 1, Seconds: 30})
	if !errors.Is(err, context.Canceled) || result.Requests != 0 {
		t.Errorf("it comes to %+v, %v", result, err)
	}
}

func TestAPlanIsRefusedForEverythingThatIsWrongWithIt(t *testing.T) {
	t.Parallel()
	good := Plan{
		This: Target{Addr: "this:8080"}, Other: Target{Addr: "other:8080"},
		Operations: []string{"get"}, Books: 1, Connections: 1, Rounds: 1, Seconds: 0.05,
	}
	if err := good.Validate(); err != nil {
		t.Errorf("the least that can be asked for is refused: %v", err)
	}
	for name, test := range map[string]struct {
		change func(*Plan)
		want   []string
	}{
		"no address":            {func(p *Plan) { p.This.Addr, p.Other.Addr = "", "" }, []string{"this: addr is missing", "other: addr is missing"}},
		"no operation":          {func(p *Plan) { p.Operations = nil }, []string{"operations: none is named"}},
		"an unknown operation":  {func(p *Plan) { p.Operations = []string{"get", "gte"} }, []string{`there is no operation "gte", but get, list`}},
		"nothing to do it with": {func(p *Plan) { p.Books, p.Connections, p.Rounds = 0, -1, 0 }, []string{"books: want 1 or more, have 0", "connections: want 1 or more, have -1", "rounds: "}},
		"a round before all":    {func(p *Plan) { p.First = -1 }, []string{"first: want 0 or more, have -1"}},
		"no time":               {func(p *Plan) { p.Seconds = 0.04 }, []string{"seconds: want 0.05 to 60, have 0.04"}},
		"an hour":               {func(p *Plan) { p.Seconds = 3600 }, []string{"have 3600"}},
		"no number":             {func(p *Plan) { p.Seconds = math.NaN() }, []string{"have NaN"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := good
			test.change(&p)
			_, err := Compare(t.Context(), p)
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%v, want %q", err, want)
				}
			}
		})
	}
}
