package probe

import (
	"math"
	"slices"
	"sync"
	"time"

	"bookshelf/infra/release"
	"bookshelf/infra/release/verdict"
)

const (
	// maxLosses is how many of the lost and failed requests are described.
	maxLosses = 50
	// maxSlots bounds the names that are taken from answers.
	maxSlots = 200
	// otherSlots stands for the slots beyond.
	otherSlots = "(others)"
)

// outcome is what became of a request.
type outcome uint8

const (
	pending outcome = iota
	answered
	failed
	lost
)

// record is what is kept of each request: 8 bytes. When it was due follows from its place in the ledger.
type record struct {
	took    uint32 // from the moment at which it was due, in microseconds
	slot    uint8  // index into the ledger's slots
	kind    kind
	outcome outcome
	fresh   bool
}

// result is what a request met, as the one who sent it reports it.
type result struct {
	outcome outcome
	slot    string
	version string // "" when it was not the service that answered
	status  int
	detail  string
	sent    time.Time // when it went out; zero when it did not
}

// ledger has a line for every request of a run.
type ledger struct {
	start time.Time
	rate  float64

	mu      sync.Mutex
	records []record
	slots   []string
	losses  []release.Loss
	// expected are the versions that had everything, each from a moment on; wrong counts the answers of another.
	expected []expectation
	wrong    int
}

type expectation struct {
	since   time.Time
	version string // "" when any may answer
}

func newLedger(start time.Time, rate float64) *ledger {
	return &ledger{start: start, rate: rate, slots: []string{""}}
}

// due is the moment of the n-th request: it depends on none of the others.
func (l *ledger) due(n int) time.Time {
	return l.start.Add(time.Duration(float64(n) / l.rate * float64(time.Second)))
}

// first is the number of the first request that is due at a moment or later.
func (l *ledger) first(at time.Time) int {
	n := max(0, int(math.Ceil(at.Sub(l.start).Seconds()*l.rate))-1)
	for l.due(n).Before(at) { // what was rounded
		n++
	}
	return n
}

// open begins the line of the next request.
func (l *ledger) open(k kind, fresh bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records = append(l.records, record{kind: k, fresh: fresh})
}

// expect says which version has to answer what is sent from now on.
func (l *ledger) expect(version string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expected = append(l.expected, expectation{since: time.Now(), version: version})
}

// close completes the line of the n-th request.
func (l *ledger) close(n int, r result) {
	took := time.Since(l.due(n)).Microseconds()
	l.mu.Lock()
	defer l.mu.Unlock()
	line := &l.records[n]
	line.took = uint32(min(max(took, 0), math.MaxUint32))
	line.outcome = r.outcome
	line.slot = l.slot(r.slot)
	if r.version != "" && !l.right(r) {
		l.wrong++
	}
	if r.outcome != answered && len(l.losses) < maxLosses {
		l.losses = append(l.losses, release.Loss{At: l.due(n), Kind: line.name(), Slot: r.slot, Status: r.status, Detail: r.detail})
	}
}

// right reports whether the version that answered was the one that had everything when the request was sent.
func (l *ledger) right(r result) bool {
	for _, e := range slices.Backward(l.expected) {
		if !r.sent.Before(e.since) {
			return e.version == "" || e.version == r.version
		}
	}
	return true
}

func (l *ledger) slot(name string) uint8 {
	i := slices.Index(l.slots, name)
	if i < 0 && len(l.slots) > maxSlots {
		name = otherSlots
		i = slices.Index(l.slots, name)
	}
	if i < 0 {
		i = len(l.slots)
		l.slots = append(l.slots, name)
	}
	return uint8(i)
}

func (r record) name() string {
	if r.fresh {
		return r.kind.String() + "/fresh"
	}
	return r.kind.String() + "/kept"
}

// between adds up the requests that were due from one moment until before another.
func (l *ledger) between(from, to time.Time) map[string]verdict.Sample {
	l.mu.Lock()
	begin, end := min(l.first(from), len(l.records)), min(l.first(to), len(l.records))
	records := slices.Clone(l.records[begin:max(begin, end)])
	slots := slices.Clone(l.slots)
	l.mu.Unlock()
	return samples(records, slots)
}

// samples adds up requests by slot. Those that have not been answered yet are not in it.
func samples(records []record, slots []string) map[string]verdict.Sample {
	found := map[string]verdict.Sample{}
	for _, r := range records {
		if r.outcome == pending {
			continue
		}
		sample := found[slots[r.slot]]
		sample.Requests++
		switch r.outcome {
		case failed:
			sample.Failed++
		case lost:
			sample.Lost++
		}
		if r.outcome == answered && r.kind != slow {
			sample.Latencies = append(sample.Latencies, time.Duration(r.took)*time.Microsecond)
		}
		found[slots[r.slot]] = sample
	}
	for _, sample := range found {
		slices.Sort(sample.Latencies)
	}
	return found
}

// described returns the first of the lost and failed requests.
func (l *ledger) described() []release.Loss {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.losses)
}

// account adds up everything.
func (l *ledger) account() release.Account {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := release.Account{WrongVersion: l.wrong, Kinds: map[string]release.Count{}, Losses: slices.Clone(l.losses)}
	for _, r := range l.records {
		count := a.Kinds[r.name()]
		count.Sent++
		a.Sent++
		switch r.outcome {
		case answered:
			count.Answered++
			a.Answered++
		case failed:
			count.Failed++
			a.Failed++
		case lost:
			count.Lost++
			a.Lost++
		}
		a.Kinds[r.name()] = count
	}
	return a
}

// seconds adds up each second since the start.
func (l *ledger) seconds() []release.Second {
	l.mu.Lock()
	records, slots := slices.Clone(l.records), slices.Clone(l.slots)
	l.mu.Unlock()
	var all []release.Second
	for begin, at := 0, l.start; begin < len(records); at = at.Add(time.Second) {
		end := min(l.first(at.Add(time.Second)), len(records))
		second := release.Second{At: at, Slots: map[string]release.SlotSecond{}}
		for slot, sample := range samples(records[begin:end], slots) {
			second.Slots[slot] = release.SlotSecond{
				Requests: sample.Requests, Failed: sample.Failed, Lost: sample.Lost,
				P50: milliseconds(quantile(sample.Latencies, 0.5)), P99: milliseconds(quantile(sample.Latencies, 0.99)),
			}
		}
		all = append(all, second)
		begin = end
	}
	return all
}

// quantile returns the value at a share of ascending values, the nearest rank; 0 where there are none.
func quantile(ascending []time.Duration, share float64) time.Duration {
	if len(ascending) == 0 {
		return 0
	}
	return ascending[max(1, int(math.Ceil(share*float64(len(ascending)))))-1]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
