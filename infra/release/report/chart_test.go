package report

import (
	"math/rand/v2"
	"regexp"
	"strconv"
	"testing"
	"time"

	"bookshelf/infra/release"
	"bookshelf/infra/release/verdict"
)

var number = regexp.MustCompile(`-?[0-9.]+`)

// What is drawn stays within its picture, whatever the numbers are.
func TestChartsStayWithinTheirBounds(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 0))
		r := release.Report{Started: night, Ended: night.Add(time.Duration(1+random.IntN(600)) * time.Second)}
		for i := range random.IntN(900) { // the seconds may go on beyond the end
			second := release.Second{At: night.Add(time.Duration(i) * time.Second), Slots: map[string]release.SlotSecond{}}
			for _, slot := range []string{"", "blue", "x"} {
				if random.IntN(3) > 0 {
					second.Slots[slot] = release.SlotSecond{
						Requests: random.IntN(1000), Failed: random.IntN(2), Lost: random.IntN(3),
						P50: random.ExpFloat64() * 10, P99: random.ExpFloat64() * 1e4 * float64(random.IntN(2)),
					}
				}
			}
			r.Seconds = append(r.Seconds, second)
			r.Account.Failed++
		}
		s, ok := spanOf(r)
		if !ok {
			continue
		}
		for _, c := range charts(r, s) {
			for _, shape := range c.Shapes {
				for i, found := range number.FindAllString(shape.Path, -1) {
					v, err := strconv.ParseFloat(found, 64)
					low, high := float64(plotLeft), float64(width)
					if i%2 == 1 {
						low, high = float64(c.Top), float64(c.Bottom)
					}
					if err != nil || v < low || v > high {
						t.Fatalf("seed %d: %s has %s in %.80s, want %v to %v", seed, c.Title, found, shape.Path, low, high)
					}
				}
			}
			if len(c.Hovers) > maxPoints || len(c.Columns) > 9 || len(c.Rows) > 12 {
				t.Errorf("seed %d: %s has %d points, %d columns, %d rows", seed, c.Title, len(c.Hovers), len(c.Columns), len(c.Rows))
			}
		}
	}
}

func TestPointsLoseNoRequest(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, maxPoints, maxPoints + 1, 3600} {
		var seconds []release.Second
		for i := range n {
			seconds = append(seconds, release.Second{Slots: map[string]release.SlotSecond{"a": {Requests: i, Failed: i % 2, Lost: i % 3, P50: 2, P99: float64(i)}}})
		}
		all, each := points(seconds)
		var sum release.SlotSecond
		for _, p := range all {
			sum.Requests += p.slots["a"].Requests
			sum.P99 = max(sum.P99, p.slots["a"].P99)
			if p50 := p.slots["a"].P50; p.slots["a"].Requests > 0 && p50 != 2 {
				t.Errorf("the mean of medians that are all 2 is %v", p50)
			}
		}
		if len(all) > maxPoints || each*len(all) < n || sum.Requests != n*(n-1)/2 || sum.P99 != float64(n-1) {
			t.Errorf("%d seconds become %d points of %d with %+v", n, len(all), each, sum)
		}
	}
}

func TestScalesAreRound(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]float64{0: 1, -3: 1, 1: 1, 1.1: 1.2, 99: 100, 101: 120, 201: 250, 0.03: 0.03, 801: 1000} {
		if got := roundUp(v, linearSteps); got < want*0.999 || got > want*1.001 {
			t.Errorf("roundUp(%v) = %v, want %v", v, got, want)
		}
	}
	for v, want := range map[float64]float64{1: 1, 1.9: 1, 2.1: 2, 99: 50, 0.03: 0.02} {
		if got := roundDown(v); got < want*0.999 || got > want*1.001 {
			t.Errorf("roundDown(%v) = %v, want %v", v, got, want)
		}
	}
	for _, d := range []time.Duration{time.Second, 10 * time.Second, time.Minute, 7 * time.Minute, time.Hour, 26 * time.Hour} {
		ticks := span{night, night.Add(d)}.ticks()
		if len(ticks) > 8 || d >= 10*time.Second && len(ticks) < 2 {
			t.Errorf("%s has %d ticks", d, len(ticks))
		}
	}
}

func TestVerdictsOfAStepAreTogether(t *testing.T) {
	t.Parallel()
	all := steps(rolledBack().Verdicts)
	if len(all) != 2 || all[0].Name != "canary 5 %" || all[1].Name != "canary 25 %" {
		t.Fatalf("%+v", all)
	}
	if all[0].Open || !all[1].Open || all[1].Counts != "3 inconclusive, 1 fail" || len(all[1].Earlier) != 3 || all[1].Last.Decision != verdict.Fail {
		t.Errorf("%+v", all)
	}
}
