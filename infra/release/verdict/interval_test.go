package verdict

import (
	"math"
	"math/rand/v2"
	"testing"
	"testing/quick"
	"time"
)

// TestIntervalsAreThoseOfTheirPaper compares with table II of Newcombe's paper, which gives four digits at 95 %.
func TestIntervalsAreThoseOfTheirPaper(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		new, old  proportion
		low, high float64
	}{
		"56/70 and 48/80": {proportion{56, 70}, proportion{48, 80}, 0.0524, 0.3339},
		"9/10 and 3/10":   {proportion{9, 10}, proportion{3, 10}, 0.1705, 0.8090},
		"5/56 and 0/29":   {proportion{5, 56}, proportion{0, 29}, -0.0381, 0.1926},
		"0/10 and 0/20":   {proportion{0, 10}, proportion{0, 20}, -0.1611, 0.2775},
		"10/10 and 0/10":  {proportion{10, 10}, proportion{0, 10}, 0.6075, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			z := deviation(0.05)
			if low := lower(test.new, test.old, z); math.Abs(low-test.low) > 0.00005 {
				t.Errorf("low: want %v, have %v", test.low, low)
			}
			if high := upper(test.new, test.old, z); math.Abs(high-test.high) > 0.00005 {
				t.Errorf("high: want %v, have %v", test.high, high)
			}
		})
	}
}

func TestDeviationsAreThoseOfTheNormalDistribution(t *testing.T) {
	t.Parallel()
	for alpha, want := range map[float64]float64{0.05: 1.959964, 0.01: 2.575829, 0.0027: 2.999977} {
		if have := deviation(alpha); math.Abs(have-want) > 1e-5 {
			t.Errorf("%v: want %v, have %v", alpha, want, have)
		}
	}
}

func TestAnIntervalHoldsItsDifference(t *testing.T) {
	t.Parallel()
	property := func(a, b uint16, x, y, confidence float64) bool {
		new := proportion{Bad: math.Floor(float64(a) * math.Abs(math.Mod(x, 1))), All: float64(a)}
		old := proportion{Bad: math.Floor(float64(b) * math.Abs(math.Mod(y, 1))), All: float64(b)}
		z := deviation(0.000001 + 0.5*math.Abs(math.Mod(confidence, 1)))
		low, high, difference := lower(new, old, z), upper(new, old, z), new.share()-old.share()
		wider := lower(new, old, z+1) <= low && upper(new, old, z+1) >= high
		mirrored := math.Abs(lower(old, new, z)+high) < 1e-9
		return low >= -1 && high <= 1 && low <= difference && difference <= high && wider && mirrored
	}
	if err := quick.Check(property, &quick.Config{MaxCount: 5000}); err != nil {
		t.Error(err)
	}
}

// TestAnIntervalIsRightAsOftenAsItSays draws samples of known shares. The method's coverage is known to be near its nominal one,
// and not exactly it.
func TestAnIntervalIsRightAsOftenAsItSays(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	draw := func(n int, share float64) proportion {
		p := proportion{All: float64(n)}
		for range n {
			if r.Float64() < share {
				p.Bad++
			}
		}
		return p
	}
	z := deviation(0.05)
	for _, shares := range [][2]float64{{0.01, 0.01}, {0.05, 0.01}, {0.3, 0.1}} {
		right := 0
		for range 2000 {
			new, old := draw(150, shares[0]), draw(800, shares[1])
			if d := shares[0] - shares[1]; lower(new, old, z) <= d && d <= upper(new, old, z) {
				right++
			}
		}
		if right < 1860 {
			t.Errorf("%v: right in %d of 2000 cases, want about 1900", shares, right)
		}
	}
}

func TestTheBoundsOfAQuantileHoldItAndWidenWithCertainty(t *testing.T) {
	t.Parallel()
	property := func(n uint16, q, z uint8) bool {
		sample := make([]time.Duration, int(n%2000)+1)
		for i := range sample {
			sample[i] = time.Millisecond + time.Duration(i)*time.Second/time.Duration(len(sample))
		}
		share, certain := float64(q%100)/100, float64(z%50)/10
		low, high := bounds(sample, share, certain)
		lower, higher := bounds(sample, share, certain+1)
		value := Quantile(sample, share)
		return low <= value && value <= high && lower <= low && high <= higher
	}
	if err := quick.Check(property, &quick.Config{MaxCount: 500}); err != nil {
		t.Error(err)
	}
}
