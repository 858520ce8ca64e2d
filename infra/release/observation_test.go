package release

import (
	"errors"
	"math"
	"testing"
	"time"
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

func TestARestartBeginsTheMetricsAnew(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	at := func(second, requests int) (time.Time, Observation) {
		o := distribution()
		for range requests {
			o.meter(answer{latency: time.Millisecond})
		}
		return now.Add(time.Duration(second) * time.Second), *o
	}
	h := &history{}
	want := func(what string, from int, requests float64) {
		t.Helper()
		o, err := h.since(now.Add(time.Duration(from) * time.Second))
		if err != nil || o.Requests != requests {
			t.Errorf("%s: want %v requests, have %v, %v", what, requests, o.Requests, err)
		}
	}
	h.add(at(0, 100))
	if _, err := h.since(now); err == nil {
		t.Error("one observation is compared with itself")
	}
	h.add(at(1, 150))
	h.add(at(2, 250))
	want("from the beginning", 0, 150)
	want("from before it", -5, 150)
	want("from between two", 1, 100)
	h.add(at(3, 40))
	if !errors.Is(h.problem, errRestarted) {
		t.Errorf("a restart is no problem: %v", h.problem)
	}
	h.add(at(4, 90))
	if h.problem != nil {
		t.Errorf("a restart is a problem for ever: %v", h.problem)
	}
	want("after a restart", 0, 50)
	_, partial := at(5, 95)
	partial.Missing = 1
	if h.add(now, partial); h.problem == nil {
		t.Error("half of the replicas are taken for all")
	}
	h.add(at(6, 100))
	want("after a gap", 0, 60)
}
