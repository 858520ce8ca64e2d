// Package autoscale decides how many replicas a load asks for. It is a pure function of what was observed: it starts nothing, asks
// nobody and reads no clock, so that a day can be replayed in a moment and every decision explains itself.
//
// The rules are those of the Kubernetes Horizontal Pod Autoscaler
// (https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/, "Algorithm details" and "Stabilization window"):
// the number asked for is ceil(replicas × value / target), of several figures the largest counts, nothing happens within a tolerance,
// fewer replicas take what was the most asked for within a window, and what is not known never takes a replica away.
package autoscale

import (
	"fmt"
	"time"
)

// Reading is a figure that may not be known. Its zero value is not.
type Reading struct {
	Value float64
	Known bool
}

// Of is a figure that is known.
func Of(value float64) Reading { return Reading{Value: value, Known: true} }

// Observation is what was seen at one moment.
type Observation struct {
	At time.Time
	// Replicas is how many there are to be, Ready is how many of them are given requests.
	Replicas, Ready int
	// InFlight is how many requests were in flight over all replicas together.
	InFlight Reading
	// CPU is what the ready replicas used of their limits on average, in percent.
	CPU Reading
}

// Config says what is held, and how patiently.
type Config struct {
	// Min and Max bound every decision.
	Min, Max int
	// TargetInFlight is how many requests in flight one replica is to have, TargetCPU what it is to use of its limit in percent. Either
	// may be 0, which leaves that figure out.
	TargetInFlight, TargetCPU float64
	// UpAfter is how long more must have been asked for without a break before there are more, since the last change. DownAfter is the
	// window whose largest demand decides how few there may be.
	UpAfter, DownAfter time.Duration
	// CoolDown is how long after any change nothing is taken away. It never keeps back what a load needs more of.
	CoolDown time.Duration
	// MaxStep is how many replicas one decision adds or removes at most. What is out of bounds is put right at once.
	MaxStep int
	// Tolerance is the share by which a figure may differ from its target before anything follows from it.
	Tolerance float64
	// Gap is how long there may be no observation before that counts as missing data, 0 for any time.
	Gap time.Duration
}

// DefaultTolerance is that of Kubernetes.
const DefaultTolerance = 0.1

// Check says what is wrong with a configuration, by the names that its fields have on a command line. Most is how many replicas there
// can be at all.
func (c Config) Check(most int) error {
	switch {
	case c.Min < 1 || c.Min > most:
		return fmt.Errorf("min %d: want 1 to %d", c.Min, most)
	case c.Max < c.Min || c.Max > most:
		return fmt.Errorf("max %d: want %d, which is min, to %d", c.Max, c.Min, most)
	case !finite(c.TargetInFlight):
		return fmt.Errorf("target-in-flight %v: want a number of requests per replica, or 0 to leave them out", c.TargetInFlight)
	case !finite(c.TargetCPU) || c.TargetCPU > 100:
		return fmt.Errorf("target-cpu %v: want a percentage of a replica's limit up to 100, or 0 to leave it out", c.TargetCPU)
	case c.TargetInFlight == 0 && c.TargetCPU == 0:
		return fmt.Errorf("no target: want target-in-flight or target-cpu above 0")
	case c.UpAfter < 0 || c.DownAfter < 0 || c.CoolDown < 0 || c.Gap < 0:
		return fmt.Errorf("up-after %s, down-after %s, cool-down %s: want none below 0s", c.UpAfter, c.DownAfter, c.CoolDown)
	case c.MaxStep < 1:
		return fmt.Errorf("max-step %d: want 1 or more", c.MaxStep)
	case !finite(c.Tolerance) || c.Tolerance >= 1:
		return fmt.Errorf("tolerance %v: want a share from 0 to below 1", c.Tolerance)
	}
	return nil
}

// Rule is what a decision follows from.
type Rule string

// Rules.
const (
	Steady   Rule = "steady"    // what there is fits
	More     Rule = "more"      // replicas are added
	Fewer    Rule = "fewer"     // replicas are removed
	Wait     Rule = "wait"      // another number is asked for, and not for long enough yet
	CoolDown Rule = "cool-down" // fewer would do, and the last change is too recent
	Limit    Rule = "limit"     // min or max decides
	Unknown  Rule = "unknown"   // a figure is missing
)

// Decision is how many replicas there are to be.
type Decision struct {
	Replicas int `json:"replicas"`
	// Change is how many that is more than there are, negative for fewer.
	Change int  `json:"change"`
	Rule   Rule `json:"rule"`
	// Why is one sentence with the figures that it follows from.
	Why string `json:"why"`
}

// News reports whether a decision says something that the one before it did not: figures alone are none.
func (d Decision) News(before Decision) bool {
	return d.Replicas != before.Replicas || d.Rule != before.Rule
}
