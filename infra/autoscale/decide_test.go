package autoscale

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// settings are those that the tests start from.
func settings(change func(*Config)) Config {
	c := Config{
		Min: 1, Max: 8, TargetInFlight: 4, Tolerance: DefaultTolerance, MaxStep: 4,
		UpAfter: 10 * time.Second, DownAfter: 30 * time.Second, CoolDown: 20 * time.Second, Gap: time.Minute,
	}
	if change != nil {
		change(&c)
	}
	return c
}

// every5s is a history of requests in flight on the same number of replicas, negative where it was not known.
func every5s(replicas int, inFlight ...float64) []Observation {
	var history []Observation
	for i, v := range inFlight {
		o := Observation{At: noon.Add(time.Duration(i) * 5 * time.Second), Replicas: replicas, Ready: replicas}
		if v >= 0 {
			o.InFlight = Of(v)
		}
		history = append(history, o)
	}
	return history
}

// then goes on with a history, 5 s after its end.
func then(history, more []Observation) []Observation {
	end := history[len(history)-1].At
	for i, o := range more {
		o.At = end.Add(time.Duration(i+1) * 5 * time.Second)
		history = append(history, o)
	}
	return history
}

// ready is a history in which only so many replicas are.
func ready(n int, history []Observation) []Observation {
	for i := range history {
		history[i].Ready = n
	}
	return history
}

// cpu is a history with another figure.
func cpu(percent float64, history []Observation) []Observation {
	for i := range history {
		history[i].CPU = Of(percent)
	}
	return history
}

func TestADecisionFollowsFromTheHistory(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		history []Observation
		change  func(*Config)
		to      int
		rule    Rule
		why     string // is in it
	}{
		"nothing was observed":       {nil, nil, 1, Unknown, "nothing has been observed yet"},
		"what there is fits":         {every5s(2, 8, 8, 8), nil, 2, Steady, "8.0 requests in flight on 2 of 2 replicas, 4.0 each where 4 is the target: 2 replicas fit"},
		"a little more is tolerated": {every5s(2, 8.7, 8.7, 8.7), nil, 2, Steady, "4.3 each"},
		"more, and for long":         {every5s(2, 15, 15, 15), nil, 4, More, "15.0 requests in flight on 2 of 2 replicas, 7.5 each where 4 is the target: 4 are needed, for 10s now"},
		"more, and not for long":     {every5s(2, 8, 15, 15), nil, 2, Wait, "4 are needed, and have to be for 10s"},
		"more since it began":        {every5s(2, 15, 15), nil, 2, Wait, "have to be for 10s"},
		"the least of what was more": {every5s(2, 12, 20, 16), nil, 3, More, "4 are needed, at least 3 for 10s"},
		"at once where nobody waits": {every5s(2, 15), func(c *Config) { c.UpAfter = 0 }, 4, More, "4 are needed"},
		"more than one step":         {every5s(2, 31, 31, 31), nil, 6, More, "8 are needed, for 10s now; one step is 4"},
		"more than may be":           {every5s(2, 31, 31, 31), func(c *Config) { c.Max = 3 }, 3, More, "; 3 is the limit"},
		"as many as may be":          {every5s(3, 31, 31, 31), func(c *Config) { c.Max = 3 }, 3, Limit, "8 are needed, and at most 3 may be"},
		"since the last change":      {then(every5s(2, 40, 40, 40), every5s(4, 40, 40)), nil, 4, Wait, "10 are needed, and have to be for 10s"},
		"a hole in what is more":     {every5s(2, 15, -1, 15), nil, 4, More, "4 are needed"},
		"fewer, and for long":        {every5s(4, 7, 7, 7, 7, 7, 7, 7), nil, 2, Fewer, "7.0 requests in flight on 4 of 4 replicas, 1.8 each where 4 is the target: 2 would do, for 30s now"},
		"fewer, and not for long":    {every5s(4, 7, 7, 7, 7, 7, 7), nil, 4, Wait, "2 would do, and has to for 30s"},
		"the most of what was fewer": {every5s(4, 7, 7, 12, 7, 7, 7, 7), nil, 3, Fewer, "2 would do, at most 3 for 30s"},
		"fewer than one step":        {every5s(8, 1, 1, 1, 1, 1, 1, 1), nil, 4, Fewer, "1 would do, for 30s now; one step is 4"},
		"no fewer than the least":    {every5s(2, 0, 0, 0, 0, 0, 0, 0), func(c *Config) { c.Min = 2 }, 2, Steady, "fewer would do, and at least 2 are to be"},
		"nobody asks for any":        {every5s(2, 0, 0, 0, 0, 0, 0, 0), nil, 1, Fewer, "1 would do"},
		"fewer after a change": {then(every5s(8, 7, 7, 7, 7), every5s(4, 7, 7, 7)), nil, 4, CoolDown,
			"2 would do, and the last change is 10s ago, which is less than 20s"},
		"fewer after the cool-down":  {then(every5s(8, 7, 7, 7, 7), every5s(4, 7, 7, 7, 7, 7)), nil, 2, Fewer, "2 would do"},
		"what floating point adds":   {every5s(2, 4.2, 4.2, 4.2), func(c *Config) { c.TargetInFlight = 0.7 }, 6, More, "6 are needed"},
		"more ready than there are":  {ready(6, every5s(4, 7, 7, 7, 7, 7, 7, 7)), nil, 2, Fewer, "on 4 of 4 replicas"},
		"more after a change":        {then(every5s(3, 4, 4, 4, 4), every5s(2, 15, 15, 15)), nil, 4, More, "4 are needed"},
		"nothing is known":           {every5s(4, 7, 7, 7, 7, 7, 7, 7, -1), nil, 4, Unknown, "it is not known how many requests are in flight: nothing changes"},
		"a hole in what was fewer":   {every5s(4, 7, 7, 7, -1, 7, 7, 7), nil, 4, Wait, "2 would do, and has to"},
		"a hole of another number":   {then(every5s(2, -1), every5s(4, 7, 7, 7, 7, 7, 7)), nil, 4, Wait, "2 would do"},
		"nobody looked for a while":  {append(every5s(4, 7), Observation{At: noon.Add(time.Hour), Replicas: 4, Ready: 4, InFlight: Of(7)}), nil, 4, Wait, "nothing was observed for 1h0m0s"},
		"no number is not known":     {every5s(4, 7, 7, 7, 7, 7, 7, math.Inf(1)), nil, 4, Unknown, "not known"},
		"none is ready":              {ready(0, every5s(2, 9, 9, 9)), nil, 2, Unknown, "none of 2 replicas is ready: nothing changes"},
		"too few":                    {every5s(1, 0), func(c *Config) { c.Min = 3 }, 3, Limit, "there are 1, and at least 3 are to be"},
		"too many":                   {every5s(12, 99), nil, 8, Limit, "there are 12, and at most 8 may be"},
		"the unready take theirs":    {ready(2, every5s(4, 15, 15, 15)), nil, 4, Steady, "15.0 requests in flight on 2 of 4 replicas, 7.5 each where 4 is the target: 4 replicas fit"},
		"more than the unready take": {ready(2, every5s(4, 23, 23, 23)), nil, 6, More, "6 are needed"},
		"the unready stay":           {ready(3, every5s(4, 3, 3, 3, 3, 3, 3, 3)), nil, 2, Fewer, "2 would do"},
		"CPU alone": {cpu(90, every5s(2, -1, -1, -1)), func(c *Config) { c.TargetInFlight, c.TargetCPU = 0, 60 }, 3, More,
			"90 % CPU on 2 of 2 replicas where 60 % is the target: 3 are needed"},
		"CPU asks for the most":         {cpu(90, every5s(2, 8, 8, 8)), func(c *Config) { c.TargetCPU = 60 }, 3, More, "90 % CPU"},
		"requests ask for the most":     {cpu(90, every5s(2, 15, 15, 15)), func(c *Config) { c.TargetCPU = 60 }, 4, More, "15.0 requests"},
		"CPU unknown, fewer requests":   {every5s(4, 7, 7, 7, 7, 7, 7, 7), func(c *Config) { c.TargetCPU = 60 }, 4, Unknown, "it is not known how much CPU is used"},
		"CPU unknown, more requests":    {every5s(2, 15, 15, 15), func(c *Config) { c.TargetCPU = 60 }, 4, More, "4 are needed"},
		"CPU idle, requests just fit":   {cpu(1, every5s(2, 8, 8, 8)), func(c *Config) { c.TargetCPU = 60 }, 2, Steady, "2 replicas fit"},
		"CPU was unknown, fewer now":    {then(every5s(4, 7, 7), cpu(1, every5s(4, 7, 7, 7, 7, 7, 7))), func(c *Config) { c.TargetCPU = 60 }, 4, Wait, "2 would do"},
		"CPU was unknown, more now":     {then(every5s(2, 15, 9), cpu(1, every5s(2, 15))), func(c *Config) { c.TargetCPU = 60 }, 3, More, "at least 3"},
		"as one where one is all it is": {every5s(1, 4, 4, 4), nil, 1, Steady, "1 replica fit"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := Decide(test.history, settings(test.change))
			want := Decision{Replicas: test.to, Rule: test.rule, Why: got.Why}
			if n := len(test.history); n > 0 {
				want.Change = test.to - test.history[n-1].Replicas
			}
			if diff := cmp.Diff(want, got); diff != "" || !strings.Contains(got.Why, test.why) {
				t.Errorf("%s\nwant %q in %q", diff, test.why, got.Why)
			}
		})
	}
}

func TestAConfigurationThatCannotBeMeantIsRefused(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Config){
		"":                                   nil,
		"min 0: want 1 to 16":                func(c *Config) { c.Min = 0 },
		"max 2: want 3, which is min, to 16": func(c *Config) { c.Min, c.Max = 3, 2 },
		"max 17: want 1, which is min":       func(c *Config) { c.Max = 17 },
		"target-in-flight -1: want":          func(c *Config) { c.TargetInFlight = -1 },
		"target-in-flight NaN: want":         func(c *Config) { c.TargetInFlight = math.NaN() },
		"target-cpu 101: want":               func(c *Config) { c.TargetCPU = 101 },
		"no target: want":                    func(c *Config) { c.TargetInFlight = 0 },
		"down-after -1s":                     func(c *Config) { c.DownAfter = -time.Second },
		"max-step 0: want 1 or more":         func(c *Config) { c.MaxStep = 0 },
		"tolerance 1: want":                  func(c *Config) { c.Tolerance = 1 },
	} {
		err := settings(change).Check(16)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("want %q, have %v", want, err)
		}
	}
}

func TestFiguresAloneAreNoNews(t *testing.T) {
	t.Parallel()
	before := Decision{Replicas: 2, Rule: Steady, Why: "8.0 requests"}
	for name, test := range map[string]struct {
		now  Decision
		want bool
	}{
		"other figures":  {Decision{Replicas: 2, Rule: Steady, Why: "8.1 requests"}, false},
		"another rule":   {Decision{Replicas: 2, Rule: Wait}, true},
		"another number": {Decision{Replicas: 3, Rule: Steady}, true},
	} {
		if got := test.now.News(before); got != test.want {
			t.Errorf("%s: news is %v, want %v", name, got, test.want)
		}
	}
}
