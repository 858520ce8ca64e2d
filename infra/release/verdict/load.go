package verdict

import (
	"fmt"
	"math"
	"time"
)

// Loaded is what the same load has met at each slot.
type Loaded struct{ New, Old Sample }

// JudgeLoad compares how both slots bear the same load: how many requests failed, and how long the others took. Looks is how often at
// most it is judged, unknown why it is not known whether the new slot's replicas are alive.
func JudgeLoad(l Loaded, unknown error, looks int, rules Rules) Verdict {
	e := Evidence{Looks: looks, Unknown: unknown}
	failures := comparison{name: "error ratio (load)", what: "failed", new: bad(l.New), old: bad(l.Old), tolerance: rules.ErrorTolerance}
	return e.verdict(failures.decide(e, rules),
		quantiles{name: "p50 (load)", share: 0.5, ratio: rules.P50Ratio}.decide(l, looks, rules),
		quantiles{name: "p90 (load)", share: 0.9, ratio: rules.P90Ratio}.decide(l, looks, rules),
	)
}

// quantiles compares a quantile of the new slot's latencies with the old slot's.
type quantiles struct {
	name string
	// share is the quantile's, ratio how many times the old slot's it may be.
	share, ratio float64
}

// trifle is a difference that is none, however large the ratio: a scheduler's.
const trifle = time.Millisecond

// decide makes a comparison a check. It fails when the ratio is too large even at its lower bound, whose certainty is shared out among
// all looks, and passes when enough requests were seen and the ratio that they show is tolerable.
func (q quantiles) decide(l Loaded, looks int, rules Rules) Check {
	alpha := 1 - rules.Confidence
	news, olds := l.New.Latencies, l.Old.Latencies
	check := Check{
		Name: q.name, Decision: Inconclusive, Threshold: q.ratio, NewSamples: len(news), OldSamples: len(olds),
		New: Milliseconds(Quantile(news, q.share)), Old: Milliseconds(Quantile(olds, q.share)),
	}
	if min(len(news), len(olds)) < rules.MinSamples {
		check.Why = fmt.Sprintf("%d requests of the new slot, %d of the old one: too few, want %d of each", len(news), len(olds), rules.MinSamples)
		return check
	}
	certain := deviation(alpha / float64(max(1, looks)))
	newLow, _ := bounds(news, q.share, certain)
	_, oldHigh := bounds(olds, q.share, certain)
	_, newHigh := bounds(news, q.share, deviation(alpha))
	oldLow, _ := bounds(olds, q.share, deviation(alpha))
	check.Low, check.High = over(newLow, oldHigh), over(newHigh, oldLow)
	seen := over(Quantile(news, q.share), Quantile(olds, q.share))
	slower := Quantile(news, q.share)-Quantile(olds, q.share) > trifle
	check.Why = fmt.Sprintf("%.1f ms, %.2f times the old slot's %.1f ms under the same load (%.2f to %.2f): %.2f times is tolerated",
		check.New, seen, check.Old, check.Low, check.High, q.ratio)
	switch {
	case check.Low > q.ratio && newLow-oldHigh > trifle:
		check.Decision = Fail
	case seen > q.ratio && slower:
		check.Why += ", and it may be chance"
	default:
		check.Decision = Pass
	}
	return check
}

// bounds are the sample's own values between which the quantile that it was drawn from lies, for a deviation of z: their ranks follow
// from the binomial distribution alone, whatever that of the values is.
//
// H. A. David and H. N. Nagaraja, Order Statistics, 3rd edition, Wiley 2003, section 7.1.
func bounds(ascending []time.Duration, share, z float64) (low, high time.Duration) {
	n := float64(len(ascending))
	spread := z * math.Sqrt(n*share*(1-share))
	rank := func(r float64) time.Duration { return ascending[int(min(max(r, 0), n-1))] }
	return rank(math.Floor(n*share - spread)), rank(math.Ceil(n*share + spread))
}

// over is a ratio of two latencies. It is finite, because it is written down: nothing takes less than a microsecond.
func over(a, b time.Duration) float64 {
	return float64(max(a, time.Microsecond)) / float64(max(b, time.Microsecond))
}
