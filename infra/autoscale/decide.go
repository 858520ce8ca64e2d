package autoscale

import (
	"fmt"
	"slices"
	"time"
)

// Decide says how many replicas there are to be after a history, the latest observation last. A change of their number within the
// history, whoever made it, is one that is cooled down from. Without any observation there are to be as few as allowed.
func Decide(history []Observation, c Config) Decision {
	if len(history) == 0 {
		return Decision{Replicas: c.Min, Rule: Unknown, Why: "nothing has been observed yet"}
	}
	now := history[len(history)-1]
	switch {
	case now.Replicas < c.Min:
		return now.to(c.Min, Limit, "there are %d, and at least %d are to be", now.Replicas, c.Min)
	case now.Replicas > c.Max:
		return now.to(c.Max, Limit, "there are %d, and at most %d may be", now.Replicas, c.Max)
	}
	d := c.demand(now)
	switch {
	case d.replicas > now.Replicas:
		return c.more(history, d)
	case !d.complete:
		return now.to(now.Replicas, Unknown, "%s: nothing changes", d.missing)
	case d.replicas < now.Replicas:
		return c.fewer(history, d)
	default:
		return now.to(now.Replicas, Steady, "%s: %s fit", d.why, count(now.Replicas))
	}
}

// more decides where the latest observation asks for more: as much as every observation of the last UpAfter did. One without figures
// neither asks for more nor speaks against it.
func (c Config) more(history []Observation, d demand) Decision {
	now := history[len(history)-1]
	if now.Replicas == c.Max {
		return now.to(now.Replicas, Limit, "%s: %d are needed, and at most %d may be", d.why, d.replicas, c.Max)
	}
	settled := history[changed(history):]
	least := d.replicas
	for _, o := range since(settled, c.UpAfter) {
		if earlier := c.demand(o); earlier.known {
			least = min(least, earlier.replicas)
		}
	}
	if !covers(settled, c.UpAfter) || least <= now.Replicas {
		return now.to(now.Replicas, Wait, "%s: %d are needed, and have to be for %s", d.why, d.replicas, c.UpAfter)
	}
	to := min(least, c.Max, now.Replicas+c.MaxStep)
	return now.to(to, More, "%s: %d are needed%s%s", d.why, d.replicas, lasting(least, d.replicas, "at least", c.UpAfter), c.limited(least, to, c.Max))
}

// fewer decides where the latest observation asks for fewer: for as many as any of the last DownAfter did, unless the last change was
// just now.
func (c Config) fewer(history []Observation, d demand) Decision {
	now := history[len(history)-1]
	if now.Replicas == c.Min {
		return now.to(now.Replicas, Steady, "%s: fewer would do, and at least %d are to be", d.why, c.Min)
	}
	d.replicas = max(d.replicas, c.Min)
	if start := changed(history); start > 0 {
		if age := now.At.Sub(history[start].At); age < c.CoolDown {
			return now.to(now.Replicas, CoolDown, "%s: %d would do, and the last change is %s ago, which is less than %s", d.why, d.replicas, age.Round(time.Second), c.CoolDown)
		}
	}
	most := d.replicas
	window := since(history, c.DownAfter)
	for i, o := range window {
		earlier := c.demand(o)
		most = max(most, earlier.replicas)
		if !earlier.complete {
			most = max(most, now.Replicas)
		}
		if i == 0 || c.Gap == 0 {
			continue
		}
		if hole := o.At.Sub(window[i-1].At); hole > c.Gap {
			return now.to(now.Replicas, Wait, "%s: %d would do, and nothing was observed for %s within the last %s",
				d.why, d.replicas, hole.Round(time.Second), c.DownAfter)
		}
	}
	if !covers(history, c.DownAfter) || most >= now.Replicas {
		return now.to(now.Replicas, Wait, "%s: %d would do, and has to for %s", d.why, d.replicas, c.DownAfter)
	}
	to := max(most, now.Replicas-c.MaxStep)
	return now.to(to, Fewer, "%s: %d would do%s%s", d.why, d.replicas, lasting(most, d.replicas, "at most", c.DownAfter), c.limited(most, to, c.Min))
}

// to is a decision for a number of replicas.
func (o Observation) to(replicas int, rule Rule, format string, args ...any) Decision {
	return Decision{Replicas: replicas, Change: replicas - o.Replicas, Rule: rule, Why: fmt.Sprintf(format, args...)}
}

// lasting says what a window has shown beyond the latest observation.
func lasting(shown, latest int, how string, window time.Duration) string {
	switch {
	case window == 0:
		return ""
	case shown == latest:
		return fmt.Sprintf(", for %s now", window)
	default:
		return fmt.Sprintf(", %s %d for %s", how, shown, window)
	}
}

// limited says why it is not as many as are wanted.
func (c Config) limited(wanted, to, bound int) string {
	switch {
	case wanted == to:
		return ""
	case to == bound:
		return fmt.Sprintf("; %d is the limit", bound)
	default:
		return fmt.Sprintf("; one step is %d", c.MaxStep)
	}
}

func count(replicas int) string {
	if replicas == 1 {
		return "1 replica"
	}
	return fmt.Sprintf("%d replicas", replicas)
}

// changed is the index of the first observation with the number of replicas that there are now.
func changed(history []Observation) int {
	i := len(history) - 1
	for i > 0 && history[i-1].Replicas == history[i].Replicas {
		i--
	}
	return i
}

// since is the end of a history that covers the window as far as the history does: the last observation at or before its begin, and all
// after it.
func since(history []Observation, window time.Duration) []Observation {
	begin := history[len(history)-1].At.Add(-window)
	i := len(history) - 1
	for i > 0 && history[i].At.After(begin) {
		i--
	}
	return history[i:]
}

// covers reports whether a history reaches back to the begin of a window.
func covers(history []Observation, window time.Duration) bool {
	return history[len(history)-1].At.Sub(history[0].At) >= window
}

// Trim drops what no later decision will ask for.
func (c Config) Trim(history []Observation) []Observation {
	if len(history) == 0 {
		return history
	}
	return slices.Clone(since(history, max(c.UpAfter, c.DownAfter, c.CoolDown)))
}
