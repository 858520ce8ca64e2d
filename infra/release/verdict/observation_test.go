package verdict

import (
	"math"
	"testing"
)

func TestAQuantileIsReadFromBuckets(t *testing.T) {
	t.Parallel()
	inf := math.Inf(1)
	for name, test := range map[string]struct {
		buckets []Bucket
		want    float64
	}{
		"evenly within a bucket": {[]Bucket{{0.1, 0}, {0.2, 100}, {inf, 100}}, 0.19},
		"in the first":           {[]Bucket{{0.1, 100}, {inf, 100}}, 0.09},
		"at a bound":             {[]Bucket{{0.1, 90}, {0.2, 100}, {inf, 100}}, 0.1},
		"past an empty one":      {[]Bucket{{0.1, 50}, {0.2, 50}, {0.3, 100}, {inf, 100}}, 0.28},
		"beyond all bounds":      {[]Bucket{{0.1, 50}, {0.2, 50}, {inf, 100}}, 0.2},
		"of nothing":             {nil, 0},
	} {
		if have := (Observation{Latency: test.buckets}).quantile(0.9); math.Abs(have-test.want) > 1e-9 {
			t.Errorf("%s: want %v, have %v", name, test.want, have)
		}
	}
}

func TestABoundIsTheFirstThatIsFarEnough(t *testing.T) {
	t.Parallel()
	o := Observation{Latency: []Bucket{{Seconds: 0.1}, {Seconds: 0.2}, {Seconds: math.Inf(1)}}}
	for seconds, want := range map[float64]int{0: 0, 0.1: 0, 0.11: 1, 0.2: 1, 5: 1} {
		if have := o.bound(seconds); have != want {
			t.Errorf("%v: want %d, have %d", seconds, want, have)
		}
	}
}
