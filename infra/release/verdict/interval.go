package verdict

import "math"

// proportion is how many of a number of requests had some property.
type proportion struct{ Bad, All float64 }

// share is 0 of none.
func (p proportion) share() float64 {
	if p.All == 0 {
		return 0
	}
	return p.Bad / p.All
}

// wilson returns the bounds between which the share that a sample was drawn from lies, for a deviation of z. Unlike the usual
// "± z standard errors" they are sensible at 0 errors, and with few samples.
//
// E. B. Wilson, Probable inference, the law of succession, and statistical inference, Journal of the American Statistical Association
// 22 (1927), 209–212.
func (p proportion) wilson(z float64) (low, high float64) {
	if p.All == 0 {
		return 0, 1
	}
	share, z2 := p.share(), z*z
	centre := (p.Bad + z2/2) / (p.All + z2)
	half := z / (p.All + z2) * math.Sqrt(p.All*share*(1-share)+z2/4)
	return max(0, centre-half), min(1, centre+half)
}

// lower and upper are the bounds of the difference of the shares that two samples were drawn from: the hybrid score interval, which
// takes from each sample's Wilson interval the side that matters.
//
// R. G. Newcombe, Interval estimation for the difference between independent proportions: comparison of eleven methods, Statistics in
// Medicine 17 (1998), 873–890, method 10.
func lower(new, old proportion, z float64) float64 {
	low, _ := new.wilson(z)
	_, high := old.wilson(z)
	return new.share() - old.share() - math.Hypot(new.share()-low, high-old.share())
}

func upper(new, old proportion, z float64) float64 { return -lower(old, new, z) }

// deviation is how many standard deviations from the mean a normal variable stays within with a probability of 1 - alpha.
func deviation(alpha float64) float64 { return math.Sqrt2 * math.Erfinv(1-alpha) }
