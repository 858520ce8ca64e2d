package release

import (
	"slices"
	"time"
)

// between is what the probe's requests of an interval met; nothing where no probe runs.
func (x *run) between(from, to time.Time) map[string]Sample {
	if x.traffic == nil || !to.After(from) {
		return nil
	}
	return x.traffic.Between(from, to)
}

// total adds up samples.
func total(samples map[string]Sample) Sample {
	var sum Sample
	for _, s := range samples {
		sum.Requests += s.Requests
		sum.Failed += s.Failed
		sum.Lost += s.Lost
		sum.Latencies = append(sum.Latencies, s.Latencies...)
	}
	slices.Sort(sum.Latencies)
	return sum
}

// close completes the report with what is known at the end.
func (x *run) close() Report {
	x.report.Ended = time.Now()
	first, last := x.shifted, x.full
	if first.IsZero() {
		first = x.report.Ended
	}
	if !x.returned.IsZero() {
		last = x.returned
	}
	if last.Before(first) {
		last = x.report.Ended
	}
	x.report.Before = latency(total(x.between(x.report.Started, first)).Latencies)
	x.report.During = latency(total(x.between(first, last)).Latencies)
	x.report.After = latency(total(x.between(last, x.report.Ended)).Latencies)
	return x.report
}

func latency(ascending []time.Duration) Latency {
	return Latency{Requests: len(ascending), P50: milliseconds(quantile(ascending, 0.5)), P99: milliseconds(quantile(ascending, 0.99))}
}

// quantile of values in ascending order; 0 of none.
func quantile(ascending []time.Duration, share float64) time.Duration {
	if len(ascending) == 0 {
		return 0
	}
	return ascending[min(len(ascending)-1, int(share*float64(len(ascending))))]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
