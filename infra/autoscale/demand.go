package autoscale

import (
	"fmt"
	"math"
	"strconv"
)

// demand is how many replicas one observation asks for.
type demand struct {
	// replicas is what the known figures ask for; where none is known, what there are.
	replicas int
	// known says that at least one figure is, complete that all are: without that nothing may be taken away.
	known, complete bool
	// why names the figure that asks for the most, missing one that is not known.
	why, missing string
}

// demand of one observation: the largest of its figures.
func (c Config) demand(o Observation) demand {
	o.Ready = min(o.Ready, o.Replicas)
	most := demand{replicas: o.Replicas}
	if o.Ready < 1 {
		most.missing = fmt.Sprintf("none of %d replicas is ready", o.Replicas)
		return most
	}
	for _, f := range c.figures(o) {
		if f.missing {
			most.missing = f.words
			continue
		}
		if n := c.want(o, f.load); !most.known || n > most.replicas {
			most.replicas, most.known, most.why = n, true, f.words
		}
	}
	most.complete = most.missing == ""
	return most
}

// figure is one of an observation's figures, as far as there is a target for it.
type figure struct {
	// load is how many replicas it keeps busy at the target.
	load    float64
	missing bool
	words   string
}

func (c Config) figures(o Observation) []figure {
	var figures []figure
	add := func(known bool, load float64, missing, format string, args ...any) {
		if !known {
			figures = append(figures, figure{missing: true, words: missing})
			return
		}
		figures = append(figures, figure{load: load, words: fmt.Sprintf(format, args...)})
	}
	ready := float64(o.Ready)
	if c.TargetInFlight > 0 {
		v := o.InFlight.Value
		add(o.InFlight.Known && finite(v), v/c.TargetInFlight, "it is not known how many requests are in flight",
			"%.1f requests in flight on %d of %d replicas, %.1f each where %s is the target", v, o.Ready, o.Replicas, v/ready, short(c.TargetInFlight))
	}
	if c.TargetCPU > 0 {
		v := o.CPU.Value
		add(o.CPU.Known && finite(v), v*ready/c.TargetCPU, "it is not known how much CPU is used",
			"%.0f %% CPU on %d of %d replicas where %s %% is the target", v, o.Ready, o.Replicas, short(c.TargetCPU))
	}
	return figures
}

// want is ceil(replicas × value / target), which is the load rounded up, unless the ready replicas are within the tolerance. A replica
// that is not ready is taken for idle where more are asked for, and for busy where fewer are; neither may turn one into the other.
func (c Config) want(o Observation, load float64) int {
	switch ratio := load / float64(o.Ready); {
	case ratio > 1+c.Tolerance:
		if load/float64(o.Replicas) <= 1+c.Tolerance {
			return o.Replicas
		}
		return max(o.Replicas, whole(load))
	case ratio < 1-c.Tolerance:
		return min(o.Replicas, whole(load)+o.Replicas-o.Ready)
	default:
		return o.Replicas
	}
}

// whole rounds up, past what floating point adds by itself, to a number that is an int on every machine.
func whole(load float64) int {
	const noise, most = 1e-9, 1 << 30
	return int(min(math.Ceil(load-noise), most))
}

// finite reports whether a figure can be one: it is neither negative nor infinite nor no number at all.
func finite(v float64) bool { return v >= 0 && v <= math.MaxFloat64 }

func short(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
