package release

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"bookshelf/infra/release/verdict"
	"bookshelf/infra/release/verdict/verdicttest"
)

const blue, green = "blue", "green"

// answer is what one simulated request met.
type answer struct {
	due          time.Time
	slot         string
	latency      time.Duration
	failed, lost bool
}

// world is an environment in memory with a constant stream of requests through its edge. It is a Target, a Traffic and a Journal in
// one, keeps to the rules of an edge with leases, and notes every breach of what a release may never do.
type world struct {
	rate int // requests per second
	// startup is how long a slot takes to come up, linger how long the last requests of a slot take.
	startup, linger time.Duration
	// behave answers a request that a slot got; nil answers in 3 ms.
	behave func(slot string, due time.Time) answer
	// call is called before and after everything that a release does, with the method's name; what it returns before is the method's
	// failure.
	call func(method string, after bool) error

	weights  map[string]int
	expires  time.Time      // of the lease; zero for none
	fallback map[string]int // when it expires
	lost     map[string]time.Time
	up       map[string]bool
	tried    map[string]bool // smoke-tested since it came up
	live     string
	record   *Record
	breaches []string

	answers []answer
	due     time.Time
	credit  map[string]int
	metrics map[string]*verdict.Observation
	metered int
}

// newWorld is an environment of which blue serves.
func newWorld() *world {
	now := time.Now()
	return &world{
		rate: 100, linger: 30 * time.Millisecond, weights: map[string]int{blue: 100, green: 0}, lost: map[string]time.Time{blue: now, green: now},
		up: map[string]bool{blue: true}, tried: map[string]bool{blue: true}, live: blue, due: now, credit: map[string]int{},
		metrics: map[string]*verdict.Observation{},
	}
}

func order() Order {
	return Order{
		ID: "r1", Environment: "dev", From: Version{Slot: blue, Image: "sha256:a", Version: "1.0"}, To: Version{Slot: green, Image: "sha256:b", Version: "1.1"},
	}
}

func (w *world) release(p Profile) Release {
	return Release{Target: w, Traffic: w, Journal: w, Profile: p}
}

// do is one call of a method: it may fail before it has an effect, and the caller may be killed on both sides of it.
func (w *world) do(ctx context.Context, method string, effect func() error) error {
	if w.call != nil {
		if err := w.call(method, false); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	w.advance()
	if err := effect(); err != nil {
		return err
	}
	if w.call != nil {
		return w.call(method, true)
	}
	return nil
}

func (w *world) breach(format string, args ...any) {
	w.breaches = append(w.breaches, fmt.Sprintf(format, args...))
}

// advance answers the requests that have become due, by the weights of their time.
func (w *world) advance() {
	for now := time.Now(); w.due.Before(now); w.due = w.due.Add(time.Second / time.Duration(w.rate)) {
		w.lapse(w.due)
		slot := w.choose()
		a := answer{due: w.due, slot: slot, latency: 3 * time.Millisecond}
		if w.behave != nil {
			a = w.behave(slot, w.due)
		}
		w.answers = append(w.answers, a)
	}
	w.lapse(time.Now())
}

// choose is a smooth weighted round robin.
func (w *world) choose() string {
	best := blue
	for _, slot := range []string{blue, green} {
		w.credit[slot] += w.weights[slot]
		if w.credit[slot] > w.credit[best] {
			best = slot
		}
	}
	w.credit[best] -= 100
	return best
}

// lapse returns the traffic when nobody has renewed the lease.
func (w *world) lapse(now time.Time) {
	if !w.expires.IsZero() && !now.Before(w.expires) {
		w.weigh(w.fallback, w.expires)
		w.expires = time.Time{}
	}
}

func (w *world) weigh(weights map[string]int, now time.Time) {
	for slot, weight := range weights {
		if w.weights[slot] > 0 && weight == 0 {
			w.lost[slot] = now
		}
	}
	w.weights = maps.Clone(weights)
}

func (w *world) inFlight(slot string) int {
	if w.weights[slot] > 0 || time.Since(w.lost[slot]) < w.linger {
		return 2
	}
	return 0
}

func other(slot string) string {
	if slot == blue {
		return green
	}
	return blue
}

func (w *world) Preflight(ctx context.Context) error {
	return w.do(ctx, "Preflight", func() error { return nil })
}

func (w *world) RestorePoint(ctx context.Context) (string, error) {
	return "deliver restore -e dev --to r1", w.do(ctx, "RestorePoint", func() error { return nil })
}

func (w *world) Start(ctx context.Context, slot string) error {
	return w.do(ctx, "Start", func() error {
		if !w.up[slot] {
			<-time.After(w.startup)
			w.up[slot], w.tried[slot] = true, false
		}
		return nil
	})
}

func (w *world) Smoke(ctx context.Context, slot string) error {
	return w.do(ctx, "Smoke", func() error {
		if !w.up[slot] {
			return fmt.Errorf("%s is not up", slot)
		}
		w.tried[slot] = true
		return nil
	})
}

func (w *world) LoadBoth(ctx context.Context, rate int, duration time.Duration, warmUp int) (map[string]verdict.Sample, error) {
	met := map[string]verdict.Sample{}
	err := w.do(ctx, "LoadBoth", func() error {
		<-time.After(duration)
		for _, slot := range []string{blue, green} {
			var s verdict.Sample
			for i := range int(duration.Seconds() * float64(rate)) {
				a := answer{latency: 3 * time.Millisecond}
				if w.behave != nil {
					a = w.behave(slot, time.Now())
				}
				s.Requests++
				switch {
				case a.lost:
					s.Lost++
				case a.failed:
					s.Failed++
				case i >= warmUp:
					s.Latencies = append(s.Latencies, a.latency)
				}
			}
			slices.Sort(s.Latencies)
			met[slot] = s
		}
		return nil
	})
	return met, err
}

func (w *world) Shift(ctx context.Context, slot string, percent int, lease time.Duration) error {
	return w.do(ctx, "Shift", func() error {
		if !w.up[slot] || !w.tried[slot] {
			w.breach("shift to %s, which is up: %t, tried: %t", slot, w.up[slot], w.tried[slot])
		}
		w.weigh(map[string]int{slot: percent, other(slot): 100 - percent}, time.Now())
		w.expires = time.Time{}
		if lease > 0 {
			w.expires, w.fallback = time.Now().Add(lease), map[string]int{slot: 0, other(slot): 100}
		}
		return nil
	})
}

func (w *world) InFlight(ctx context.Context, slot string) (n int, err error) {
	err = w.do(ctx, "InFlight", func() error { n = w.inFlight(slot); return nil })
	return n, err
}

func (w *world) Alive(ctx context.Context, slot string) error {
	return w.do(ctx, "Alive", func() error { return nil })
}

func (w *world) Commit(ctx context.Context, slot string) error {
	return w.do(ctx, "Commit", func() error { w.live = slot; return nil })
}

func (w *world) Retire(ctx context.Context, slot string) error {
	return w.do(ctx, "Retire", func() error {
		if w.weights[slot] > 0 || w.inFlight(slot) > 0 {
			w.breach("stopped %s with weight %d and %d requests in flight", slot, w.weights[slot], w.inFlight(slot))
		}
		w.up[slot], w.tried[slot] = false, false
		return nil
	})
}

// Observe counts the answers anew by slot, as the service's own metrics do.
func (w *world) Observe(ctx context.Context) (map[string]verdict.Observation, error) {
	seen := map[string]verdict.Observation{}
	err := w.do(ctx, "Observe", func() error {
		for ; w.metered < len(w.answers); w.metered++ {
			a := w.answers[w.metered]
			if w.metrics[a.slot] == nil {
				w.metrics[a.slot] = verdicttest.Nothing()
			}
			if !a.lost {
				verdicttest.Meter(w.metrics[a.slot], a.latency, a.failed)
			}
		}
		for slot, up := range w.up {
			if up {
				o := w.metrics[slot]
				if o == nil {
					o = verdicttest.Nothing()
				}
				seen[slot] = verdict.Observation{Requests: o.Requests, Errors: o.Errors, Latency: slices.Clone(o.Latency)}
			}
		}
		return nil
	})
	return seen, err
}

// Between is what a probe would have seen.
func (w *world) Between(from, to time.Time) map[string]verdict.Sample {
	w.advance()
	at := func(t time.Time) int {
		i, _ := slices.BinarySearchFunc(w.answers, t, func(a answer, t time.Time) int { return a.due.Compare(t) })
		return i
	}
	samples := map[string]*verdict.Sample{}
	var s *verdict.Sample
	last := "none"
	for _, a := range w.answers[at(from):at(to)] {
		if a.slot != last {
			if samples[a.slot] == nil {
				samples[a.slot] = &verdict.Sample{}
			}
			s, last = samples[a.slot], a.slot
		}
		s.Requests++
		switch {
		case a.lost:
			s.Lost++
		case a.failed:
			s.Failed++
		}
		if !a.lost {
			s.Latencies = append(s.Latencies, a.latency)
		}
	}
	met := map[string]verdict.Sample{}
	for slot, s := range samples {
		slices.Sort(s.Latencies)
		met[slot] = *s
	}
	return met
}

func (w *world) Save(r Record) error {
	return w.do(context.Background(), "Save", func() error { w.record = &r; return nil })
}

func (w *world) Load() (Record, bool, error) {
	if w.record == nil {
		return Record{}, false, nil
	}
	return *w.record, true, nil
}

func (w *world) Clear() error {
	return w.do(context.Background(), "Clear", func() error { w.record = nil; return nil })
}

// whole complains unless the environment is in one of its two states of rest, with the given slot live.
func (w *world) whole(t *testing.T, live string) {
	t.Helper()
	w.advance()
	for _, breach := range w.breaches {
		t.Errorf("a breach of the rules: %s", breach)
	}
	if w.weights[live] != 100 || !w.expires.IsZero() {
		t.Errorf("want all of the traffic on %s for good, have %v until %v", live, w.weights, w.expires)
	}
	if w.live != live || !w.up[live] || w.up[other(live)] {
		t.Errorf("want %s live and nothing else up, have %s live, up: %v", live, w.live, w.up)
	}
	if w.record != nil {
		t.Errorf("the journal still has a record in phase %s", w.record.Phase)
	}
}

// errBroken is what a method returns that a test breaks.
var errBroken = errors.New("broken on purpose")

// killed is what a process panics with that a test kills.
type killed struct{}

// survive calls f, and reports whether it was killed on its way.
func survive(f func()) (dead bool) {
	defer func() {
		if r := recover(); r != nil {
			if _, ours := r.(killed); !ours {
				panic(r)
			}
			dead = true
		}
	}()
	f()
	return false
}

// brisk is a profile for tests of transitions, in which the same happens as in others, less often.
func brisk() Profile {
	p := Profiles["fast"]
	p.Steps, p.Step, p.Bake, p.Hold, p.Drain = []int{50, 100}, time.Second, 2*time.Second, 10*time.Second, 3*time.Second
	p.Lease, p.Load, p.Rules = 7*time.Second, 2*time.Second, verdicttest.Strict()
	return p
}

// noisy behaves like a small machine under load: lognormal latencies, a failure now and then, and bursts in which everything is slow,
// whoever answers.
func noisy(seed uint64, change func(r *rand.Rand, a *answer)) func(string, time.Time) answer {
	r := rand.New(rand.NewPCG(seed, 1))
	began := time.Now()
	var burst time.Duration
	next := time.Duration(r.ExpFloat64() * float64(8*time.Second))
	var extra float64
	return func(slot string, due time.Time) answer {
		now := due.Sub(began)
		if now > next {
			burst = now + time.Duration(100+r.IntN(1200))*time.Millisecond
			next = burst + time.Duration(r.ExpFloat64()*float64(8*time.Second))
			extra = float64(20+r.IntN(200)) * float64(time.Millisecond)
		}
		latency := 3 * math.Exp(0.6*r.NormFloat64()) * float64(time.Millisecond)
		if now < burst {
			latency += extra * r.Float64() * 2
		}
		a := answer{due: due, slot: slot, latency: time.Duration(latency), failed: r.IntN(1000) < 2}
		if change != nil && slot == green {
			change(r, &a)
		}
		return a
	}
}
