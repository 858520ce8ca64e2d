package plan

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// measured makes rounds of one operation, in which this image has the throughput and the tail of the last one times a factor, and both
// are as uneven as the noise, the standard deviation of their logarithms.
func measured(seed uint64, rounds int, throughput, tail, noise float64) Comparison {
	random := rand.New(rand.NewPCG(seed, 7))
	uneven := func(value float64) float64 { return value * math.Exp(noise*random.NormFloat64()) }
	c := Comparison{This: Side{Image: "this:1"}, Last: Side{Image: "last:1"}}
	for i := range rounds {
		c.Rounds = append(c.Rounds, Round{
			Round: i, Operation: "get",
			This: Speed{PerSecond: uneven(1000 * throughput), P99: uneven(0.01 / tail)},
			Last: Speed{PerSecond: uneven(1000), P99: uneven(0.01)},
		})
	}
	return c
}

func TestAComparisonIsJudgedByItsInterval(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		throughput, tail, noise float64
		rounds                  int
		want                    Outcome
		says                    string // in the error
	}{
		"the same on a quiet machine passes":                     {1, 1, 0.03, 12, Passed, ""},
		"faster passes":                                          {1.5, 2, 0.03, 12, Passed, ""},
		"a little slower is within what is allowed":              {0.95, 0.95, 0.02, 12, Passed, ""},
		"half the throughput is worse":                           {0.5, 1, 0.03, 12, Worse, "get throughput"},
		"a tail of twice the length is worse":                    {1, 0.5, 0.03, 12, Worse, "get p99"},
		"a fifth slower is worse":                                {0.8, 1, 0.03, 12, Worse, "get throughput 0.8"},
		"a fifth slower is seen through moderate noise":          {0.8, 1, 0.08, 48, Worse, "get throughput"},
		"the same on a machine full of noise is no pass":         {1, 1, 1, 12, Undecided, "too noisy to tell, which is no pass"},
		"what is slower, but not yet with certainty, is no pass": {0.87, 1, 0.01, 9, Undecided, "too noisy to tell"},
		"much slower is seen through much noise":                 {0.1, 0.1, 0.6, 12, Worse, "get throughput"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j, err := measured(1, test.rounds, test.throughput, test.tail, test.noise).Judge()
			if err != nil {
				t.Fatal(err)
			}
			if j.Outcome != test.want {
				t.Errorf("the outcome is %s, want %s: %+v", j.Outcome, test.want, j.Ratios)
			}
			if err := j.Err(); (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("it says %v, want %q", err, test.says)
			}
		})
	}
}

// What the constants promise, over many runs: hardly ever is the same called worse, however noisy the machine, although it it is looked at
// four times; and half as fast never passes.
func TestHardlyAnyFalseAlarmAndNoRegressionIsMissed(t *testing.T) {
	t.Parallel()
	outcome := func(seed uint64, throughput, noise float64) Outcome {
		for rounds := RoundsAtOnce; ; rounds += RoundsAtOnce {
			var c Comparison
			for i, operation := range Operations() { // as many ratios as the gate judges: each of them may be the false alarm
				for _, r := range measured(seed*8+uint64(i), rounds, throughput, 1, noise).Rounds {
					r.Operation = operation
					c.Rounds = append(c.Rounds, r)
				}
			}
			j, err := c.Judge()
			if err != nil {
				t.Fatal(err)
			}
			if j.Final() {
				return j.Outcome
			}
		}
	}
	const runs = 1000
	for _, noise := range []float64{0.02, 0.1, 0.3, 0.6} {
		count := map[string]int{}
		for seed := range uint64(runs) {
			count["same "+string(outcome(seed, 1, noise))]++
			count["slower "+string(outcome(seed, 0.5, noise))]++
		}
		t.Logf("noise %v: %v", noise, count)
		if count["same worse"] > runs/100 {
			t.Errorf("noise %v: the same is called worse %d times in %d", noise, count["same worse"], runs)
		}
		if count["slower passed"] > runs/100 {
			t.Errorf("noise %v: half as fast passes %d times in %d", noise, count["slower passed"], runs)
		}
	}
}

func TestTheIntervalHasItsConfidence(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{7: 0, 8: 1, 11: 1, 12: 2, 16: 3, 20: 4, 48: 15} {
		if got := rank(n, (1-Confidence)/2); got != want {
			t.Errorf("of %d rounds the interval leaves out %d at each end, want %d", n, got-1, want-1)
		}
	}
	random := rand.New(rand.NewPCG(3, 3))
	const runs = 20_000
	held := 0
	for range runs {
		values := make([]float64, 16)
		for i := range values {
			values[i] = random.ExpFloat64() // as skewed as latencies
		}
		slices.Sort(values)
		if k := rank(16, (1-Confidence)/2); values[k-1] <= math.Ln2 && math.Ln2 <= values[16-k] {
			held++
		}
	}
	if share := float64(held) / runs; share < Confidence {
		t.Errorf("the interval holds the median in %.2f %% of the cases, want %g %%", 100*share, 100*Confidence)
	}
}

func TestWhatWasNotMeasuredHasNotPassed(t *testing.T) {
	t.Parallel()
	broken := func(change func(*Round)) Comparison {
		c := measured(1, 12, 1, 1, 0.01)
		change(&c.Rounds[3])
		return c
	}
	for name, test := range map[string]struct {
		c    Comparison
		want string
	}{
		"no round":                    {Comparison{}, "nothing was measured"},
		"too few rounds":              {measured(1, 7, 1, 1, 0.01), "too few for an interval of 99 %"},
		"a rate of nothing":           {broken(func(r *Round) { r.This.PerSecond = 0 }), "get, round 3"},
		"a rate that is not a number": {broken(func(r *Round) { r.Last.PerSecond = math.NaN() }), "get, round 3"},
		"a time that was not taken":   {broken(func(r *Round) { r.Last.P99 = 0 }), "get, round 3"},
		"one round of another thing":  {broken(func(r *Round) { r.Operation = "list" }), "too few"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if j, err := test.c.Judge(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("it comes to %s with the error %v, want %q", j.Outcome, err, test.want)
			}
		})
	}
}

func TestRoundsAreAddedToThoseBefore(t *testing.T) {
	t.Parallel()
	var c Comparison
	this, last := LoadTarget{Addr: "this:8080"}, LoadTarget{Addr: "last:8080"}
	if next := c.NextLoad(this, last); next.First != 0 || next.Rounds != RoundsAtOnce || len(next.Rates) != 0 {
		t.Errorf("the first plan is %+v", next)
	}
	for i := range 2 {
		var rounds []string
		for n := range RoundsAtOnce {
			rounds = append(rounds, fmt.Sprintf(`{"round": %d, "operation": "get", "this": {"per_second": 9, "p99_seconds": 1}, "other": {"per_second": 10, "p99_seconds": 1}}`, RoundsAtOnce*i+n))
		}
		if err := c.Add([]byte(`{"rates": {"get": 5}, "rounds": [` + strings.Join(rounds, ",") + `]}`)); err != nil {
			t.Fatal(err)
		}
	}
	if next := c.NextLoad(this, last); next.First != 2*RoundsAtOnce || next.Rates["get"] != 5 {
		t.Errorf("the third plan is %+v", next)
	}
	j, err := c.Judge()
	if err != nil || j.Ratios[0].Median != 0.9 || j.Outcome != Passed {
		t.Errorf("%+v, %v; exactly the limit is not below it", j.Ratios, err)
	}
	for _, nothing := range []string{"", "{}", `{"rounds": []}`} {
		if err := c.Add([]byte(nothing)); err == nil {
			t.Errorf("%q is taken for rounds", nothing)
		}
	}
}

func TestReportsSayBothImagesAndEveryRatio(t *testing.T) {
	t.Parallel()
	j, err := measured(1, 12, 0.5, 1, 0.01).Judge()
	if err != nil {
		t.Fatal(err)
	}
	reports, err := j.Reports()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"## Performance: worse", "this:1", "last:1", "| get | throughput | 0.5", "| get | p99 | "} {
		if !strings.Contains(reports["verdict.md"], want) {
			t.Errorf("the verdict lacks %q:\n%s", want, reports["verdict.md"])
		}
	}
	var read Judgement
	if err := json.Unmarshal([]byte(reports["perf.json"]), &read); err != nil || read.Outcome != Worse || len(read.Rounds) != 12 || read.This.Image != "this:1" {
		t.Errorf("the report reads as %+v, %v", read, err)
	}
}
