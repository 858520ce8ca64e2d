package verdict

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// ErrRestarted says that a counter has fallen: a replica has begun to count anew.
var ErrRestarted = errors.New("a counter fell: a replica has restarted")

// Observation is what a slot's own metrics say since its start.
type Observation struct {
	// Requests counts answers, Errors those with a status of 500 or more.
	Requests, Errors float64
	// Latency is the distribution of the answers' duration, by ascending upper bound.
	Latency []Bucket
	// Missing counts replicas whose metrics could not be read: what they know is not in the numbers.
	Missing int
}

// Bucket says how many requests took at most so long. The last one of a distribution has an infinite bound.
type Bucket struct {
	Seconds float64
	Count   float64
}

// Check returns why an observation cannot be reckoned with.
func (o Observation) Check() error {
	if o.Missing > 0 {
		return fmt.Errorf("the metrics of %d replicas could not be read", o.Missing)
	}
	if len(o.Latency) == 0 {
		return errors.New("there is no distribution of latencies")
	}
	if !counts(o.Requests, o.Errors) || o.Errors > o.Requests {
		return fmt.Errorf("there cannot be %v errors in %v requests", o.Errors, o.Requests)
	}
	last := Bucket{Seconds: math.Inf(-1)}
	for _, b := range o.Latency {
		if math.IsNaN(b.Seconds) || b.Seconds <= last.Seconds || !counts(b.Count) || b.Count < last.Count {
			return fmt.Errorf("the distribution of latencies does not ascend at %v s", b.Seconds)
		}
		last = b
	}
	if !math.IsInf(last.Seconds, 1) {
		return errors.New("the distribution of latencies has no infinite bound")
	}
	return nil
}

// counts reports whether all of the values can be a number of requests.
func counts(values ...float64) bool {
	return !slices.ContainsFunc(values, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) || v < 0 })
}

// since is what happened after an earlier observation of the same slot. It returns ErrRestarted when that cannot be known.
func (o Observation) since(earlier Observation) (Observation, error) {
	if !sameBounds(o, earlier) {
		return Observation{}, errors.New("the bounds of the distribution of latencies have changed")
	}
	d := Observation{Requests: o.Requests - earlier.Requests, Errors: o.Errors - earlier.Errors, Latency: slices.Clone(o.Latency)}
	fallen := d.Requests < 0 || d.Errors < 0
	for i := range d.Latency {
		d.Latency[i].Count -= earlier.Latency[i].Count
		fallen = fallen || d.Latency[i].Count < 0
	}
	if fallen {
		return Observation{}, ErrRestarted
	}
	return d, nil
}

func sameBounds(a, b Observation) bool {
	return slices.EqualFunc(a.Latency, b.Latency, func(a, b Bucket) bool { return a.Seconds == b.Seconds })
}

// quantile estimates the latency in seconds that a share of the requests stayed within, as Prometheus does: evenly spread within a
// bucket, and the largest finite bound for what is beyond it.
func (o Observation) quantile(share float64) float64 {
	var below Bucket
	want := share * o.observed()
	for _, b := range o.Latency {
		if math.IsInf(b.Seconds, 1) {
			break
		}
		if b.Count >= want && b.Count > below.Count {
			return below.Seconds + (b.Seconds-below.Seconds)*(want-below.Count)/(b.Count-below.Count)
		}
		below = b
	}
	return below.Seconds
}

// observed is how many requests the distribution is of.
func (o Observation) observed() float64 {
	if len(o.Latency) == 0 {
		return 0
	}
	return o.Latency[len(o.Latency)-1].Count
}

// bound is the first finite bound of at least so many seconds, or the last one there is.
func (o Observation) bound(seconds float64) (index int) {
	for i, b := range o.Latency {
		if math.IsInf(b.Seconds, 1) {
			break
		}
		index = i
		if b.Seconds >= seconds {
			break
		}
	}
	return index
}
