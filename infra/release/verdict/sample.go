package verdict

import (
	"slices"
	"time"
)

// Sample is what a number of requests met.
type Sample struct {
	// Requests counts all; Failed those answered with a status of 500 or more, or another than was expected; Lost those without a
	// whole answer of the service.
	Requests, Failed, Lost int
	// Latencies are how long the answered requests took from the moment at which they were due, ascending. Requests that are slow on
	// purpose are left out.
	Latencies []time.Duration
}

// Add counts another sample of the same slot in.
func (s *Sample) Add(more Sample) {
	s.Requests += more.Requests
	s.Failed += more.Failed
	s.Lost += more.Lost
	s.Latencies = append(s.Latencies, more.Latencies...)
	slices.Sort(s.Latencies)
}

// Quantile of values in ascending order; 0 of none.
func Quantile(ascending []time.Duration, share float64) time.Duration {
	if len(ascending) == 0 {
		return 0
	}
	return ascending[min(len(ascending)-1, int(share*float64(len(ascending))))]
}

// Milliseconds is how reports give latencies.
func Milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
