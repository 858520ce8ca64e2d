// Package verdicttest makes what verdicts are made of.
package verdicttest

import (
	"math"
	"time"

	"bookshelf/infra/release/verdict"
)

// Nothing is an observation of nothing.
func Nothing() *verdict.Observation {
	o := &verdict.Observation{}
	for _, bound := range []float64{.001, .0025, .005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, math.Inf(1)} {
		o.Latency = append(o.Latency, verdict.Bucket{Seconds: bound})
	}
	return o
}

// Meter counts an answer in, as a service does.
func Meter(o *verdict.Observation, latency time.Duration, failed bool) {
	o.Requests++
	if failed {
		o.Errors++
	}
	for i := range o.Latency {
		if latency.Seconds() <= o.Latency[i].Seconds {
			o.Latency[i].Count++
		}
	}
}

// Strict are rules that few requests can meet, and that risk little.
func Strict() verdict.Rules {
	rules := verdict.Standard
	rules.MinSamples, rules.Risk = 60, 0.01
	return rules
}
