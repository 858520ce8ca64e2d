// Package verdict compares a new version of a service with the one that it replaces, by what the requests of both have met: a difference
// counts when it is larger than chance, and than is tolerated. docs/releases.md has the formulas.
package verdict

import (
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"
)

// Decision is what a verdict asks for.
type Decision string

// Decisions. Inconclusive is not good: the step is held for more samples, and then taken back.
const (
	Pass         Decision = "pass"
	Fail         Decision = "fail"
	Inconclusive Decision = "inconclusive"
)

// Verdict is what a comparison came to.
type Verdict struct {
	Decision Decision `json:"decision"`
	Checks   []Check  `json:"checks"`
}

// Check is one figure of a verdict with everything that is needed to follow it.
type Check struct {
	// Name says what is compared and where it comes from: "error ratio (probe)", "slow requests (service's metrics)".
	Name     string   `json:"name"`
	Decision Decision `json:"decision"`
	// New and Old are the two values, Low and High the bounds of their difference: High at the profile's confidence, Low at that of all
	// looks of the step together, which is further away. Of a quantile, the values are in milliseconds and the bounds those of their ratio.
	New  float64 `json:"new"`
	Old  float64 `json:"old"`
	Low  float64 `json:"low"`
	High float64 `json:"high"`
	// Threshold is the difference, or the ratio, that is tolerated.
	Threshold float64 `json:"threshold"`
	// NewSamples and OldSamples are how many requests they were taken from.
	NewSamples int `json:"new_samples"`
	OldSamples int `json:"old_samples"`
	// Why puts it in words.
	Why string `json:"why"`
}

// Evidence is what a verdict is made of.
type Evidence struct {
	// Percent is the new slot's share of the traffic.
	Percent int
	// Step is what the slots have shown since the step began: whether they fail is judged by that. How fast they are is judged by
	// Lately, without the new slot's first requests, which find its connections and caches unmade.
	Step, Lately Sides
	// Nobody is what met the requests since the step began that no slot answered.
	Nobody Sample
	// LostBefore and SentBefore say how many requests no slot answered, of how many, before the new slot had any traffic.
	LostBefore, SentBefore int
	// Apart says from when the old slot's figures are, where it has no traffic any more; "" where they are from the same time.
	Apart string
	// Unknown is why it is not known whether the new slot's replicas are alive.
	Unknown error
	// Looks is how often at most this step is judged.
	Looks int
}

// Sides are the two slots.
type Sides struct{ New, Old Side }

// Side is what one slot has shown: its probe requests, and its own metrics.
type Side struct {
	Probe   Sample
	Metrics Observation
	// Problem is why there are no metrics.
	Problem error
}

// Judge compares the new slot with the old one. It fails when one check does, passes when all do, and is inconclusive otherwise.
func Judge(e Evidence, rules Rules) Verdict {
	return e.verdict(probeErrors(e, rules), probeSlow(e, rules), metricErrors(e, rules), metricSlow(e, rules))
}

// verdict is what checks of the evidence come to.
func (e Evidence) verdict(checks ...Check) Verdict {
	if e.Unknown != nil {
		checks = append(checks, Check{Name: "replicas", Decision: Inconclusive, Why: e.Unknown.Error()})
	}
	v := Verdict{Decision: Pass, Checks: checks}
	for _, c := range checks {
		if c.Decision == Fail || c.Decision == Inconclusive && v.Decision == Pass {
			v.Decision = c.Decision
		}
	}
	return v
}

// Why puts in words what made a verdict what it is.
func (v Verdict) Why() string {
	var reasons []string
	for _, c := range v.Checks {
		if c.Decision == v.Decision {
			reasons = append(reasons, c.Name+": "+c.Why)
		}
	}
	return strings.Join(reasons, "; ")
}

// comparison is a pair of shares with what is needed to decide on their difference.
type comparison struct {
	name      string
	what      string // what the bad ones of the requests are: "failed"
	new, old  proportion
	tolerance float64
	// soft never fails: what is worse than at another time may be the host's doing, and may pass.
	soft bool
}

// decide makes a comparison a check. To fail, the difference must be larger than is tolerated even at its lower bound, whose certainty
// is shared out among all looks of a step (Bonferroni): a step that is judged every second may not fail by chance for being looked at
// often. To pass, enough requests must have been seen, what they show be tolerable, and the upper bound be what this step may risk.
func (c comparison) decide(e Evidence, rules Rules) Check {
	alpha := 1 - rules.Confidence
	check := Check{
		Name: c.name, Decision: Inconclusive, New: c.new.share(), Old: c.old.share(), Threshold: c.tolerance,
		NewSamples: int(c.new.All), OldSamples: int(c.old.All),
		Low:  lower(c.new, c.old, deviation(alpha/float64(max(1, e.Looks)))),
		High: upper(c.new, c.old, deviation(alpha)),
	}
	fewest := float64(rules.Fewest)
	enough := min(c.new.All, c.old.All) >= float64(rules.MinSamples)
	risk := max(c.tolerance, min(1, rules.Risk*100/float64(max(1, e.Percent))))
	worse := check.Low > c.tolerance && min(c.new.All, c.old.All) >= fewest
	values := fmt.Sprintf("%s of %d %s, %s of %d of the old slot's", percent(check.New), check.NewSamples, c.what, percent(check.Old), check.OldSamples)
	if e.Apart != "" {
		values += " " + e.Apart
	}
	switch {
	case worse && c.soft:
		check.Why = fmt.Sprintf("%s: at least %s more, %s is tolerated; no slot to compare with at the same time, so it may pass", values, percent(check.Low), percent(c.tolerance))
	case worse:
		check.Decision = Fail
		check.Why = fmt.Sprintf("%s: at least %s more, %s is tolerated", values, percent(check.Low), percent(c.tolerance))
	case !enough:
		check.Why = fmt.Sprintf("%s: too few requests, want %d of each", values, rules.MinSamples)
	case check.New-check.Old > c.tolerance:
		check.Why = fmt.Sprintf("%s: %s more, %s is tolerated, and it may be chance", values, percent(check.New-check.Old), percent(c.tolerance))
	case check.High > risk:
		check.Why = fmt.Sprintf("%s: may be up to %s more, and %s may be risked at %d %%", values, percent(check.High), percent(risk), e.Percent)
	default:
		check.Decision = Pass
		check.Why = fmt.Sprintf("%s: at most %s more, and %s may be risked at %d %%", values, percent(check.High), percent(risk), e.Percent)
	}
	return check
}

func percent(share float64) string { return fmt.Sprintf("%.2f %%", 100*share) }

const (
	errorsOfProbe   = "error ratio (probe)"
	slowOfProbe     = "slow requests (probe)"
	errorsOfMetrics = "error ratio (service's metrics)"
	slowOfMetrics   = "slow requests (service's metrics)"
)

// probeErrors compares failed and lost requests. One that no slot answered counts as the new slot's, which is what has changed; only
// where just as many were lost before it had any traffic, they are nobody's.
func probeErrors(e Evidence, rules Rules) Check {
	c := comparison{name: errorsOfProbe, what: "failed", new: bad(e.Step.New.Probe), old: bad(e.Step.Old.Probe), tolerance: rules.ErrorTolerance}
	nobody := bad(e.Nobody)
	all := float64(e.Step.New.Probe.Requests + e.Nobody.Requests)
	if e.Apart == "" {
		all += float64(e.Step.Old.Probe.Requests)
	}
	before := proportion{Bad: float64(e.LostBefore), All: float64(e.SentBefore)}
	usual := e.LostBefore > 0 && e.SentBefore >= rules.Fewest &&
		lower(proportion{Bad: nobody.Bad, All: all}, before, deviation(1-rules.Confidence)) <= 0
	if !usual {
		c.new.Bad += nobody.Bad
		c.new.All += nobody.All
	}
	return c.decide(e, rules)
}

func bad(s Sample) proportion {
	return proportion{Bad: float64(s.Failed + s.Lost), All: float64(s.Requests)}
}

// probeSlow compares how many requests took longer than nearly all of the old slot's, and by more than a host's noise.
func probeSlow(e Evidence, rules Rules) Check {
	latencies, old := e.Lately.New.Probe.Latencies, e.Lately.Old.Probe.Latencies
	limit := rules.slow(Quantile(old, 0.9))
	c := comparison{
		name: slowOfProbe, what: fmt.Sprintf("slower than %s", limit.Round(time.Millisecond/10)), tolerance: rules.SlowTolerance, soft: e.Apart != "",
		new: slower(latencies, limit), old: slower(old, limit),
	}
	return c.decide(e, rules)
}

// slow is where the slow requests begin.
func (r Rules) slow(p90 time.Duration) time.Duration {
	return max(time.Duration(r.SlowFactor*float64(p90)), p90+r.SlowAddition)
}

func slower(latencies []time.Duration, limit time.Duration) proportion {
	i := sort.Search(len(latencies), func(i int) bool { return latencies[i] > limit })
	return proportion{Bad: float64(len(latencies) - i), All: float64(len(latencies))}
}

// metricErrors compares the answers with a status of 500 or more that the slots have counted themselves, of all clients.
func metricErrors(e Evidence, rules Rules) Check {
	c := comparison{name: errorsOfMetrics, what: "failed", tolerance: rules.ErrorTolerance}
	new, old, err := e.Step.metrics()
	if err != nil {
		return Check{Name: c.name, Decision: Inconclusive, Threshold: c.tolerance, Why: err.Error()}
	}
	c.new = proportion{Bad: new.Errors, All: new.Requests}
	c.old = proportion{Bad: old.Errors, All: old.Requests}
	return c.decide(e, rules)
}

// metricSlow is probeSlow by the service's own histogram, which is only as fine as its bounds.
func metricSlow(e Evidence, rules Rules) Check {
	c := comparison{name: slowOfMetrics, tolerance: rules.SlowTolerance, soft: e.Apart != ""}
	new, old, err := e.Lately.metrics()
	if err == nil && !sameBounds(new, old) {
		err = errors.New("the slots' distributions of latencies have different bounds")
	}
	if err != nil {
		return Check{Name: c.name, Decision: Inconclusive, Threshold: c.tolerance, Why: err.Error()}
	}
	limit := rules.slow(time.Duration(old.quantile(0.9) * float64(time.Second)))
	at := old.bound(limit.Seconds())
	above := func(o Observation) proportion {
		return proportion{Bad: o.observed() - o.Latency[at].Count, All: o.observed()}
	}
	c.new, c.old = above(new), above(old)
	c.what = fmt.Sprintf("slower than %v s", old.Latency[at].Seconds)
	return c.decide(e, rules)
}

// metrics returns both slots' metrics, or why they cannot be compared.
func (s Sides) metrics() (new, old Observation, err error) {
	if err := s.New.problem(); err != nil {
		return new, old, fmt.Errorf("the new slot: %w", err)
	}
	if err := s.Old.problem(); err != nil {
		return new, old, fmt.Errorf("the old slot: %w", err)
	}
	return s.New.Metrics, s.Old.Metrics, nil
}

// problem is why there are no metrics to reckon with.
func (s Side) problem() error {
	if s.Problem != nil {
		return s.Problem
	}
	return s.Metrics.Check()
}
