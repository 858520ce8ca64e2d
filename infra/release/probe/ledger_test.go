package probe

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	"bookshelf/infra/release"

	"github.com/google/go-cmp/cmp"
)

// filled is a ledger of n requests, of which the seed decides what they met; some are without an answer yet.
func filled(seed uint64, n int, rate float64) *ledger {
	random := rand.New(rand.NewPCG(seed, 1))
	l := newLedger(time.Now().Add(-time.Hour), rate)
	for i := range n {
		l.open(kind(random.IntN(3)), random.IntN(2) == 0)
		if what := outcome(random.IntN(4)); what != pending {
			l.close(i, result{outcome: what, slot: []string{"", "blue", "green"}[random.IntN(3)]})
		}
	}
	return l
}

func TestEveryRequestBelongsToExactlyOneInterval(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 2))
		rate := 0.5 + 300*random.Float64()
		l := filled(seed, 1000, rate)
		want := 0
		for _, r := range l.records {
			if r.outcome != pending {
				want++
			}
		}
		got := 0
		for from := l.start; from.Before(l.due(len(l.records))); {
			to := from.Add(time.Duration(1 + random.Int64N(int64(time.Second))))
			if random.IntN(3) == 0 {
				to = l.due(l.first(to)) // exactly when one is due
			}
			for _, sample := range l.between(from, to) {
				got += sample.Requests
			}
			if samples := l.between(to, from); len(samples) != 0 {
				t.Errorf("seed %d: an interval that ends before it begins has %v", seed, samples)
			}
			from = to
		}
		if got != want {
			t.Errorf("seed %d: the intervals have %d requests, the ledger %d", seed, got, want)
		}
	}
}

func TestTheFirstRequestOfAMomentIsNotDueBeforeIt(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 3))
		l := newLedger(time.Now(), 0.1+maxRate*random.Float64())
		at := l.start.Add(time.Duration(random.Int64N(int64(time.Hour))))
		if seed%2 == 0 {
			at = l.due(random.IntN(1_000_000))
		}
		n := l.first(at)
		if l.due(n).Before(at) || n > 0 && !l.due(n-1).Before(at) {
			t.Errorf("rate %v: request %d is due at %s, the one before at %s; want the first from %s on", l.rate, n, l.due(n), l.due(n-1), at)
		}
	}
	if l := newLedger(time.Now(), 10); l.first(l.start.Add(-time.Hour)) != 0 {
		t.Error("before the start everything is still to come")
	}
}

// The time that a request waited before it was sent belongs to its latency.
func TestLatencyCountsFromTheMomentAtWhichARequestWasDue(t *testing.T) {
	t.Parallel()
	l := newLedger(time.Now().Add(-time.Minute), 1)
	for n := range 2 {
		l.open(read, false)
		l.close(n, result{outcome: answered, slot: "blue", sent: time.Now()})
	}
	latencies := l.between(l.start, time.Now())["blue"].Latencies
	if len(latencies) != 2 || latencies[0] < 59*time.Second || latencies[1] < time.Minute {
		t.Errorf("latencies are %v, want a minute, and a second less for the one that was due later", latencies)
	}
}

func TestALineIsSmall(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(record{}); size != 8 {
		t.Errorf("a record has %d bytes, want 8", size)
	}
}

func TestASecondHasItsQuantilesBySlot(t *testing.T) {
	t.Parallel()
	l := newLedger(time.Now(), 100)
	for i := range 250 {
		l.open(read, false)
		l.records[i] = record{outcome: answered, took: uint32(i%100+1) * 1000, slot: l.slot("blue")}
	}
	l.records[3].outcome, l.records[4].outcome = lost, failed
	l.records[249] = record{}
	got := l.seconds()
	want := []release.Second{
		{At: l.start, Slots: map[string]release.SlotSecond{"blue": {Requests: 100, Failed: 1, Lost: 1, P50: 51, P99: 100}}},
		{At: l.start.Add(time.Second), Slots: map[string]release.SlotSecond{"blue": {Requests: 100, P50: 50, P99: 99}}},
		{At: l.start.Add(2 * time.Second), Slots: map[string]release.SlotSecond{"blue": {Requests: 49, P50: 25, P99: 49}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestSlotsThatNobodyKnowsDoNotGrowWithoutEnd(t *testing.T) {
	t.Parallel()
	l := newLedger(time.Now(), 1000)
	for i := range 1000 {
		l.open(read, false)
		l.close(i, result{outcome: answered, slot: fmt.Sprint("slot-", i)})
	}
	samples := l.between(l.start, l.start.Add(time.Minute))
	if len(samples) != maxSlots+1 || samples[otherSlots].Requests != 1000-maxSlots {
		t.Errorf("%d slots, %d requests of others", len(samples), samples[otherSlots].Requests)
	}
}

// What counts is the moment at which a request was sent, not that of its answer.
func TestAVersionIsWrongBySentTime(t *testing.T) {
	t.Parallel()
	l := newLedger(time.Now(), 100)
	first := time.Now().Add(-time.Nanosecond)
	l.expect("new")
	second := time.Now()
	l.expect("")
	third := time.Now()
	l.expect("old")
	fourth := time.Now()
	for n, test := range []struct {
		sent    time.Time
		version string
		wrong   bool
	}{
		{first, "old", false}, {first, "new", false}, {second, "new", false}, {second, "old", true},
		{third, "old", false}, {third, "new", false}, {fourth, "old", false}, {fourth, "new", true}, {fourth, "", false},
	} {
		l.open(read, false)
		before := l.wrong
		l.close(n, result{outcome: answered, sent: test.sent, version: test.version})
		if got := l.wrong > before; got != test.wrong {
			t.Errorf("%q, line %d: wrong is %t, want %t", test.version, n, got, test.wrong)
		}
	}
}

func TestKindsAreMixedEvenly(t *testing.T) {
	t.Parallel()
	c := Config{Shares: Shares{Read: 0.75, Write: 0.2, Slow: 0.05}, Fresh: 0.2}
	for _, window := range []int{200, 10_000} {
		for from := 0; from < 1_000_000; from += 99_991 {
			count := map[string]float64{}
			for n := range window {
				k, fresh := c.kindOf(from + n)
				count[k.String()]++
				if fresh {
					count["fresh"]++
					count["fresh "+k.String()]++
				}
			}
			for name, share := range map[string]float64{"read": 0.75, "write": 0.2, "slow": 0.05, "fresh": 0.2, "fresh write": 0.04} {
				if math.Abs(count[name]-share*float64(window)) > 5+0.005*float64(window) {
					t.Errorf("%v of %d from %d on are %s, want %v", count[name], window, from, name, share*float64(window))
				}
			}
		}
	}
}
