package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// What the gate of performance decides by; docs/performance.md explains each.
const (
	// WorseBelow: a ratio of this image's to the last release's is worse when all of its interval is below this.
	WorseBelow = 0.9
	// Confidence is that of each interval, and of the verdict that something is worse: as a whole, however many ratios are looked at
	// however often.
	Confidence = 0.99
	// RoundsAtOnce are measured before each look at them: the fewest with which four looks at ten ratios can be as certain as that.
	RoundsAtOnce = 12
	// MaxRounds ends the measuring where no verdict is to be had.
	MaxRounds = 48
	// quickRounds are those of a quick comparison, which is one look at four ratios.
	quickRounds = 9
)

// floors are how low the interval of a ratio may reach before it says too little to pass: a machine so noisy that a service which
// takes half as long again would not be noticed gives no verdict. A tail is a matter of few requests, so less is known of it.
var floors = map[string]float64{Throughput: 0.67, Tail: 0.4}

// What is compared of each operation. A ratio is always such that a greater one is better.
const (
	Throughput = "throughput" // requests per second, as fast as 16 connections can
	Tail       = "p99"        // the 99th percentile of the latency at a fixed rate
)

// Operations are those of the load (tools/internal/load) that the gate compares.
func Operations() []string { return []string{"get", "list", "search", "create", "update"} }

// LoadPlan is what the program tools/load is told; its own package describes the fields.
type LoadPlan struct {
	This        LoadTarget         `json:"this"`
	Other       LoadTarget         `json:"other"`
	Operations  []string           `json:"operations"`
	Books       int                `json:"books"`
	Connections int                `json:"connections"`
	Rounds      int                `json:"rounds"`
	Seconds     float64            `json:"seconds"`
	First       int                `json:"first"`
	Rates       map[string]float64 `json:"rates"`
}

// LoadTarget is a service under load.
type LoadTarget struct {
	Addr  string `json:"addr"` // host:port
	Token string `json:"token"`
}

// NextLoad is the plan of the next rounds between two services.
func (c Comparison) NextLoad(this, other LoadTarget) LoadPlan {
	p := LoadPlan{
		This: this, Other: other, Operations: Operations(), Books: 5000, Connections: 16, Rounds: RoundsAtOnce, Seconds: 0.5,
		First: c.rounds(), Rates: c.Rates,
	}
	if c.Quick {
		p.Operations, p.Books, p.Rounds, p.Seconds = []string{"get", "create"}, 200, quickRounds, 0.1
	}
	return p
}

// Side is one of the images that are compared.
type Side struct {
	Image string `json:"image"` // as it was named
	ID    string `json:"id"`    // as the engine or the registry knows it, sha256:…
}

// Comparison is what was measured of two images in turns.
type Comparison struct {
	MeasuredAt time.Time `json:"measured_at"`
	This       Side      `json:"this"`
	Last       Side      `json:"last"` // of the last release
	// Quick tells that only two operations were looked at, and for a short time: to try the gate, not to release by.
	Quick  bool               `json:"quick,omitempty"`
	Rates  map[string]float64 `json:"rates,omitempty"`
	Rounds []Round            `json:"rounds,omitempty"`
}

// Round is one operation in one round.
type Round struct {
	Round     int    `json:"round"`
	Operation string `json:"operation"`
	This      Speed  `json:"this"`
	Last      Speed  `json:"other"`
}

// Speed is what one of both did.
type Speed struct {
	PerSecond float64 `json:"per_second"`
	P99       float64 `json:"p99_seconds"`
}

// Add appends what the load program printed.
func (c *Comparison) Add(batch []byte) error {
	var more struct {
		Rates  map[string]float64 `json:"rates"`
		Rounds []Round            `json:"rounds"`
	}
	if err := json.Unmarshal(batch, &more); err != nil {
		return fmt.Errorf("read what the load has shown: %w", err)
	}
	if len(more.Rounds) == 0 {
		return errors.New("the load has shown nothing")
	}
	c.Rates, c.Rounds = more.Rates, append(c.Rounds, more.Rounds...)
	return nil
}

func (c Comparison) rounds() int {
	n := 0
	for _, r := range c.Rounds {
		n = max(n, r.Round+1)
	}
	return n
}

// Outcome is what a comparison comes to.
type Outcome string

// Outcomes.
const (
	Passed    Outcome = "passed"    // nothing is worse, and it would have been noticed
	Worse     Outcome = "worse"     // something is
	Undecided Outcome = "undecided" // nothing is known to be worse, but it might not have been noticed
)

// Ratio is one thing that was compared, with its interval.
type Ratio struct {
	Operation string  `json:"operation"`
	Of        string  `json:"of"`
	Median    float64 `json:"median"`
	Low       float64 `json:"low"`
	High      float64 `json:"high"`
	Outcome   Outcome `json:"outcome"`
}

// Judgement is a comparison with what it comes to.
type Judgement struct {
	Comparison

	Outcome Outcome `json:"outcome"`
	Ratios  []Ratio `json:"ratios"`
}

// Judge says what the rounds up to now come to. An error is about rounds that cannot be judged: a gate that did not measure has not
// passed.
func (c Comparison) Judge() (Judgement, error) {
	j := Judgement{Comparison: c, Outcome: Passed}
	if len(c.Rounds) == 0 {
		return Judgement{}, errors.New("nothing was measured")
	}
	operations := c.operations()
	// What may go wrong by chance is shared out among all that is looked at (C. E. Bonferroni 1936).
	share := (1 - Confidence) / float64(2*len(operations)*c.looks())
	for _, operation := range operations {
		var throughput, tail []float64
		for _, r := range c.Rounds {
			if r.Operation != operation {
				continue
			}
			for _, value := range []float64{r.This.PerSecond, r.Last.PerSecond, r.This.P99, r.Last.P99} {
				if !(value > 0) || math.IsInf(value, 0) {
					return Judgement{}, fmt.Errorf("%s, round %d: %v was measured, which is no rate and no time", operation, r.Round, value)
				}
			}
			throughput = append(throughput, r.This.PerSecond/r.Last.PerSecond)
			tail = append(tail, r.Last.P99/r.This.P99)
		}
		for _, one := range []struct {
			of     string
			ratios []float64
		}{{Throughput, throughput}, {Tail, tail}} {
			ratio, err := compare(operation, one.of, one.ratios, share)
			if err != nil {
				return Judgement{}, err
			}
			j.Ratios = append(j.Ratios, ratio)
		}
	}
	for _, outcome := range []Outcome{Undecided, Worse} { // the last word is the graver one
		if slices.ContainsFunc(j.Ratios, func(r Ratio) bool { return r.Outcome == outcome }) {
			j.Outcome = outcome
		}
	}
	return j, nil
}

// operations are those that were measured, in the order in which they were.
func (c Comparison) operations() []string {
	var names []string
	for _, r := range c.Rounds {
		if !slices.Contains(names, r.Operation) {
			names = append(names, r.Operation)
		}
	}
	return names
}

// looks is how often a comparison may be judged.
func (c Comparison) looks() int {
	if c.Quick {
		return 1
	}
	return MaxRounds / RoundsAtOnce
}

// compare takes the ratio of each round for one sample and judges their median. What its interval shows to be worse, but not with the
// certainty that many looks ask for (wrong is the chance that is left to this one), is undecided: it takes more rounds.
func compare(operation, of string, ratios []float64, wrong float64) (Ratio, error) {
	sorted := slices.Sorted(slices.Values(ratios))
	n := len(sorted)
	k := rank(n, (1-Confidence)/2)
	if k == 0 {
		return Ratio{}, fmt.Errorf("%s: %d rounds are too few for an interval of %g %%", operation, n, 100*Confidence)
	}
	certain := rank(n, wrong) // 0 where no number of slow rounds would be enough
	r := Ratio{
		Operation: operation, Of: of, Median: (sorted[(n-1)/2] + sorted[n/2]) / 2, Low: sorted[k-1], High: sorted[n-k], Outcome: Passed,
	}
	switch {
	case certain > 0 && sorted[n-certain] < WorseBelow:
		r.Outcome = Worse
	case r.High < WorseBelow, r.Low < floors[of]:
		r.Outcome = Undecided
	}
	return r, nil
}

// rank is the greatest k for which the median is above the kth greatest of n values, and as well below the kth smallest, with a chance
// of at most wrong, and 0 where there is none. Each value is below the median as often as above it, whatever its distribution, so how many are below is a
// matter of tossing a coin n times (W. R. Thompson, Annals of Mathematical Statistics 7 (1936) 122–128).
func rank(n int, wrong float64) int {
	below := 0.0 // the chance that fewer than k values are on one side of the median
	term := math.Pow(0.5, float64(n))
	for k := 1; k <= n/2; k++ {
		below += term
		if below > wrong {
			return k - 1
		}
		term *= float64(n-k+1) / float64(k)
	}
	return n / 2
}

// Final reports whether more rounds could change the outcome, and are still allowed.
func (j Judgement) Final() bool {
	return j.Outcome != Undecided || j.Quick || j.rounds() >= MaxRounds
}

// Err is nil when the comparison has passed.
func (j Judgement) Err() error {
	if j.Outcome == Passed {
		return nil
	}
	var problems []string
	for _, r := range j.Ratios {
		if r.Outcome == j.Outcome {
			problems = append(problems, fmt.Sprintf("%s %s %.2f (%.2f–%.2f)", r.Operation, r.Of, r.Median, r.Low, r.High))
		}
	}
	all := strings.Join(problems, ", ")
	if j.Outcome == Worse {
		return fmt.Errorf("slower than the last release, whose part is below %g with certainty: %s", WorseBelow, all)
	}
	return fmt.Errorf("after %d rounds it is too noisy to tell, which is no pass: %s; measure on a quieter machine", j.rounds(), all)
}

// Table writes the ratios for a terminal or, as Markdown, for a summary.
func (j Judgement) Table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## Performance: %s\n\n%s against the last release's %s, %d rounds in turns. Above 1 is faster; worse is below %g with certainty.\n\n",
		j.Outcome, j.This.Image, j.Last.Image, j.rounds(), WorseBelow)
	fmt.Fprintf(&b, "| operation | of | ratio | %g %% interval | |\n|---|---|---|---|---|\n", 100*Confidence)
	for _, r := range j.Ratios {
		fmt.Fprintf(&b, "| %s | %s | %.2f | %.2f–%.2f | %s |\n", r.Operation, r.Of, r.Median, r.Low, r.High, r.Outcome)
	}
	return b.String()
}

// Reports are the files that a judgement leaves, by name.
func (j Judgement) Reports() (map[string]string, error) {
	content, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the comparison: %w", err)
	}
	return map[string]string{"perf.json": string(content) + "\n", "verdict.md": j.Table()}, nil
}

// NoBaseline stands for the image of the last release before there is one.
const NoBaseline = "none"

// NothingToCompare is the report where there is no last release.
const NothingToCompare = "## Performance: nothing to compare\n\nThere is no last release yet: the first one sets the measure.\n"
