package release

import (
	"slices"
	"time"

	"bookshelf/infra/release/verdict"
)

// between is what the probe's requests of an interval met; nothing where no probe runs.
func (x *run) between(from, to time.Time) map[string]verdict.Sample {
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
func latency(samples map[string]verdict.Sample) Latency {
	var all []time.Duration
	for _, s := range samples {
		all = append(all, s.Latencies...)
	}
	slices.Sort(all)
	return Latency{Requests: len(all), P50: verdict.Milliseconds(verdict.Quantile(all, 0.5)), P99: verdict.Milliseconds(verdict.Quantile(all, 0.99))}
}
