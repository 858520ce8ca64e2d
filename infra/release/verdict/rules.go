package verdict

import "time"

// Rules are the numbers of a verdict; docs/releases.md has the formulas.
type Rules struct {
	// Confidence is the probability with which a step's checks are right about a difference that is just tolerable.
	Confidence float64
	// MinSamples is how many requests of each slot it takes to pass, Fewest to fail.
	MinSamples, Fewest int
	// ErrorTolerance and SlowTolerance are how much larger the new slot's share of failed and of slow requests may be.
	ErrorTolerance, SlowTolerance float64
	// Risk is the share of all requests that a step may put at risk: at 5 percent, twenty times as large a share of the new slot's.
	Risk float64
	// SlowFactor and SlowAddition move the old slot's 90th percentile, whichever moves it further. Slow is what takes longer.
	SlowFactor   float64
	SlowAddition time.Duration
	// P50Ratio and P90Ratio are how many times the old slot's median and 90th percentile the new one's may be under the same load.
	P50Ratio, P90Ratio float64
}

// Standard are the rules for an environment that matters.
var Standard = Rules{
	Confidence: 0.99, MinSamples: 250, Fewest: 20, ErrorTolerance: 0.01, SlowTolerance: 0.1, Risk: 0.01,
	SlowFactor: 1.5, SlowAddition: 20 * time.Millisecond, P50Ratio: 1.5, P90Ratio: 2,
}
