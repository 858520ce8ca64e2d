package report

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"bookshelf/infra/release"
)

// view is what the template shows: the report, and what is computed from it.
type view struct {
	release.Report
	// Mood is the class of the outcome: "good", "back", "calm" or "bad".
	Mood     string
	Headline string
	From, To string
	Tiles    []tile
	Timeline *timeline // nil where there is none
	Charts   []chart
	Kinds    []kindRow
	// Unaccounted is how many requests the account does not explain. It is 0, or something is wrong with the account.
	Unaccounted int
	Latencies   []latencyRow
	Steps       []step
	Slots       []slotKey
}

// tile is one of the figures that are seen first.
type tile struct{ Value, Label, Mood string }

type kindRow struct {
	Name string
	release.Count
}

type latencyRow struct {
	Name string
	release.Latency
	// P50Ratio and P99Ratio compare with before, "" where there is nothing to compare.
	P50Ratio, P99Ratio string
}

// slotKey explains the colour of a slot.
type slotKey struct{ Class, Label string }

func newView(r release.Report) view {
	v := view{Report: r, From: versionName(r.From), To: versionName(r.To), Steps: steps(r.Verdicts)}
	v.Mood, v.Headline = mood(r, v.From, v.To)
	v.Tiles = tiles(r)
	for _, name := range slices.Sorted(maps.Keys(r.Account.Kinds)) {
		v.Kinds = append(v.Kinds, kindRow{Name: name, Count: r.Account.Kinds[name]})
	}
	a := r.Account
	v.Unaccounted = a.Sent - a.Answered - a.Failed - a.Lost
	v.Latencies = latencies(r)
	if span, ok := spanOf(r); ok {
		v.Timeline = newTimeline(r, span)
		v.Charts = charts(r, span)
		v.Slots = slotKeys(r)
	}
	return v
}

// versionName is what a version is called: what the service says, or else the image.
func versionName(v release.Version) string {
	switch {
	case v.Version != "":
		return v.Version
	case v.Image != "":
		return v.Image
	default:
		return "nothing"
	}
}

// mood says how the page feels, and in one sentence how things are now.
func mood(r release.Report, from, to string) (class, headline string) {
	switch r.Outcome {
	case release.OutcomeReleased:
		return "good", fmt.Sprintf("%s now runs %s", r.Environment, to)
	case release.OutcomeRolledBack:
		return "back", fmt.Sprintf("%s runs %s, as before", r.Environment, from)
	case release.OutcomeRefused:
		return "calm", fmt.Sprintf("%s runs %s; nothing was touched", r.Environment, from)
	default:
		return "bad", fmt.Sprintf("%s needs a person now", r.Environment)
	}
}

// tiles chooses what is worth the first look. A figure that was not measured has none.
func tiles(r release.Report) []tile {
	var all []tile
	a := r.Account
	if a.Sent > 0 {
		all = append(all,
			tile{count(a.Sent), "requests sent", ""},
			tile{count(a.Lost), "lost", badIf(a.Lost > 0)},
			tile{count(a.Failed), "failed", badIf(a.Failed > 0)},
			tile{count(a.WrongVersion), "answered by the wrong version", badIf(a.WrongVersion > 0)},
		)
	}
	if w := a.Writes; w != nil {
		label := fmt.Sprintf("of %s found exactly once", counted(w.Acknowledged, "write"))
		all = append(all, tile{count(acknowledgedOnce(*w)), label, badIf(w.Missing+w.Twice > 0)})
	}
	switch {
	case r.RollbackMS > 0:
		all = append(all, tile{milliseconds(r.RollbackMS), "from the verdict until the traffic was back", ""})
	case r.SwitchMS > 0:
		all = append(all, tile{milliseconds(r.SwitchMS), "to give the new version everything", ""})
	}
	return all
}

// acknowledgedOnce is how many of the acknowledged writes were found exactly once. A write that is there several times is taken for an
// acknowledged one, so that the number is never too good.
func acknowledgedOnce(w release.Writes) int { return max(0, w.Acknowledged-w.Missing-w.Twice) }

func badIf(bad bool) string {
	if bad {
		return "bad"
	}
	return "good"
}

func latencies(r release.Report) []latencyRow {
	var rows []latencyRow
	for _, row := range []latencyRow{{Name: "before", Latency: r.Before}, {Name: "during", Latency: r.During}, {Name: "after", Latency: r.After}} {
		if row.Requests == 0 {
			continue
		}
		if row.Name != "before" {
			row.P50Ratio, row.P99Ratio = ratio(row.P50, r.Before.P50), ratio(row.P99, r.Before.P99)
		}
		rows = append(rows, row)
	}
	return rows
}

func ratio(value, base float64) string {
	if base <= 0 {
		return ""
	}
	return fmt.Sprintf("×%.2f", value/base)
}

// slotClass is the colour of a slot. Slots that are named for a colour have it; of others the former one is blue, the new one green.
func slotClass(r release.Report, slot string) string {
	switch {
	case slot == "":
		return "nobody"
	case slot == "blue" || slot == "green":
		return slot
	case slot == r.From.Slot:
		return "blue"
	case slot == r.To.Slot:
		return "green"
	default:
		return "other"
	}
}

// slotsOf lists the slots that answered, in the order in which they are drawn: the former one, the new one, others, nobody.
func slotsOf(r release.Report) []string {
	seen := map[string]bool{}
	for _, second := range r.Seconds {
		for slot := range second.Slots {
			seen[slot] = true
		}
	}
	rank := func(slot string) int {
		switch slot {
		case "":
			return 3
		case r.From.Slot:
			return 0
		case r.To.Slot:
			return 1
		default:
			return 2
		}
	}
	slots := slices.Sorted(maps.Keys(seen))
	slices.SortStableFunc(slots, func(a, b string) int { return rank(a) - rank(b) })
	return slots
}

func slotKeys(r release.Report) []slotKey {
	var keys []slotKey
	for _, slot := range slotsOf(r) {
		label := slot
		switch slot {
		case "":
			label = "no slot answered"
		case r.From.Slot:
			label = slot + ": " + versionName(r.From)
		case r.To.Slot:
			label = slot + ": " + versionName(r.To)
		}
		keys = append(keys, slotKey{Class: slotClass(r, slot), Label: label})
	}
	return keys
}

// span is the time that the pictures show.
type span struct{ from, to time.Time }

// spanOf is the time from the first to the last thing that is known, if that is any time at all.
func spanOf(r release.Report) (span, bool) {
	s := span{r.Started, r.Ended}
	if n := len(r.Seconds); n > 0 {
		if first := r.Seconds[0].At; s.from.IsZero() || first.Before(s.from) {
			s.from = first
		}
		if last := r.Seconds[n-1].At.Add(time.Second); last.After(s.to) {
			s.to = last
		}
	}
	return s, len(r.Phases)+len(r.Seconds) > 0 && !s.from.IsZero() && s.to.After(s.from)
}
