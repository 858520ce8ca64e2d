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

// close completes the report with what is known at the end.
func (x *run) close() Report {
	x.report.Ended = time.Now()
	switch {
	case !x.returned.IsZero():
		x.report.After = latency(x.between(x.returned, x.report.Ended))
	case !x.full.IsZero():
		x.report.After = latency(x.between(x.full, x.report.Ended))
	}
	return x.report
}

// latency is that of all slots together.
func latency(samples map[string]Sample) Latency {
	var all []time.Duration
	for _, s := range samples {
		all = append(all, s.Latencies...)
	}
	slices.Sort(all)
	return Latency{Requests: len(all), P50: milliseconds(quantile(all, 0.5)), P99: milliseconds(quantile(all, 0.99))}
}

// quantile of values in ascending order; 0 of none.
func quantile(ascending []time.Duration, share float64) time.Duration {
	if len(ascending) == 0 {
		return 0
	}
	return ascending[min(len(ascending)-1, int(share*float64(len(ascending))))]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
