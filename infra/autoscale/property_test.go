package autoscale

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// anyConfig is one that passes Check.
func anyConfig(r *rand.Rand) Config {
	seconds := func(n int) time.Duration { return time.Duration(r.IntN(n)) * time.Second }
	c := Config{
		Min: 1 + r.IntN(4), TargetInFlight: 0.5 + 10*r.Float64(), Tolerance: r.Float64() / 2, MaxStep: 1 + r.IntN(5),
		UpAfter: seconds(30), DownAfter: seconds(90), CoolDown: seconds(90), Gap: seconds(60),
	}
	c.Max = c.Min + r.IntN(8)
	if r.IntN(2) == 0 {
		c.TargetCPU = 1 + 99*r.Float64()
	}
	return c
}

// anyHistory has holes, replicas that are not ready, numbers that change, and at times more or fewer than there may be.
func anyHistory(r *rand.Rand, c Config) []Observation {
	at, replicas := noon, c.Min+r.IntN(c.Max-c.Min+1)
	history := make([]Observation, 1+r.IntN(40))
	for i := range history {
		if r.IntN(10) == 0 {
			replicas = 1 + r.IntN(c.Max+2)
		}
		o := Observation{At: at, Replicas: replicas, Ready: replicas}
		if r.IntN(4) == 0 {
			o.Ready = r.IntN(replicas + 2)
		}
		if r.IntN(12) > 0 {
			o.InFlight = Of(80 * r.Float64() * r.Float64())
		}
		if r.IntN(12) > 0 {
			o.CPU = Of(120 * r.Float64() * r.Float64())
		}
		history[i] = o
		at = at.Add(time.Duration(1+r.IntN(12)) * time.Second)
	}
	return history
}

// heavier is a history in which everything that is known is at least as much.
func heavier(r *rand.Rand, history []Observation) []Observation {
	var loaded []Observation
	for _, o := range history {
		o.InFlight.Value += 20 * r.Float64() * r.Float64()
		o.CPU.Value += 30 * r.Float64() * r.Float64()
		loaded = append(loaded, o)
	}
	return loaded
}

// FuzzEveryDecisionKeepsItsPromises tries histories of every kind; its seeds run in every test.
func FuzzEveryDecisionKeepsItsPromises(f *testing.F) {
	for seed := range uint64(4000) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		c := anyConfig(r)
		if err := c.Check(c.Max); err != nil {
			t.Fatal(err)
		}
		history := anyHistory(r, c)
		now := history[len(history)-1]
		d := Decide(history, c)
		bounded := now.Replicas >= c.Min && now.Replicas <= c.Max
		switch {
		case d.Replicas < c.Min || d.Replicas > c.Max:
			t.Errorf("%d replicas are out of %d to %d", d.Replicas, c.Min, c.Max)
		case d.Change != d.Replicas-now.Replicas:
			t.Errorf("a change of %d from %d to %d", d.Change, now.Replicas, d.Replicas)
		case bounded && max(d.Change, -d.Change) > c.MaxStep:
			t.Errorf("a change of %d where one step is %d", d.Change, c.MaxStep)
		case bounded && d.Change < 0 && (!now.InFlight.Known || now.Ready == 0 || c.TargetCPU > 0 && !now.CPU.Known):
			t.Errorf("fewer although something is not known: %s", d.Why)
		case d.Why == "":
			t.Error("a decision without a reason")
		}
		if more := Decide(heavier(r, history), c); more.Replicas < d.Replicas {
			t.Errorf("%d replicas for more load than %d are for:\n%s\n%s", more.Replicas, d.Replicas, more.Why, d.Why)
		}
		if diff := cmp.Diff(d, Decide(c.Trim(history), c)); diff != "" {
			t.Error("what was trimmed was needed:\n" + diff)
		}
	})
}
