package slots

import (
	"maps"
	"slices"
	"sync/atomic"
)

// routing is one immutable plan of where requests go; a change makes a new one.
type routing struct {
	slots    map[string]*slot
	weighted schedule // by weight
	fallback schedule // by the lease's fallback: used only while nothing of weighted is healthy
}

// slot is one slot within a plan.
type slot struct {
	weight   int
	replicas []*Replica
	counts   *counts
}

// counts are what a slot has done since the process started, whichever plan was in force.
type counts struct {
	requests, errors atomic.Int64
	classes          [len(classes)]atomic.Int64
	turn             atomic.Uint64 // breaks ties between replicas
}

// classes name what can become of a request, as metrics call it; none is no whole answer.
var classes = [...]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}

// count records one finished request. Status 0 says that there was no whole answer.
func (c *counts) count(status int) {
	c.requests.Add(1)
	if status < 100 || status >= 500 {
		c.errors.Add(1)
	}
	if class := status / 100; class > 0 && class < len(classes) {
		c.classes[class].Add(1)
	} else {
		c.classes[0].Add(1)
	}
}

// schedule says which slot each of 100 consecutive requests goes to. Precomputed, choosing costs one atomic addition, and
// any 100 requests in a row are divided exactly.
type schedule []*slot

// newSchedule spreads the slots evenly over the schedule: smooth weighted round robin, as nginx does it. The weights sum to
// 100 or there are none.
func newSchedule(slots map[string]*slot, weight func(name string) int) schedule {
	names := slices.Sorted(maps.Keys(slots))
	names = slices.DeleteFunc(names, func(name string) bool { return weight(name) == 0 })
	if len(names) == 0 {
		return nil
	}
	plan := make(schedule, 100)
	current := make([]int, len(names))
	for i := range plan {
		best := 0
		for n, name := range names {
			current[n] += weight(name)
			if current[n] > current[best] {
				best = n
			}
		}
		current[best] -= 100
		plan[i] = slots[names[best]]
	}
	return plan
}

// choose returns a healthy replica of the slot whose turn n is, or of the next slot of the schedule that has one, or nil.
func (s schedule) choose(n uint64) (*slot, *Replica) {
	var last *slot
	for i := range uint64(len(s)) {
		candidate := s[(n+i)%uint64(len(s))]
		if candidate == last {
			continue
		}
		if replica := candidate.leastBusy(); replica != nil {
			return candidate, replica
		}
		last = candidate
	}
	return nil, nil
}

// leastBusy returns the healthy replica with the least in flight; equals take turns.
func (s *slot) leastBusy() *Replica {
	var best *Replica
	var load int64
	first := s.counts.turn.Add(1)
	for i := range uint64(len(s.replicas)) {
		r := s.replicas[(first+i)%uint64(len(s.replicas))]
		if !r.healthy.Load() {
			continue
		}
		if n := r.inFlight.Load(); best == nil || n < load {
			best, load = r, n
		}
	}
	return best
}
