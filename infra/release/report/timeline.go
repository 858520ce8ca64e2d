package report

import (
	"fmt"

	"bookshelf/infra/release"
)

// timeline is the bar of a release's phases.
type timeline struct {
	Bars  []phaseBar
	Ticks []tick
}

// phaseBar is one phase in the bar.
type phaseBar struct {
	Class    string // "calm" before the traffic moves, "move", "wait", "done", "back"; "bad" where it ended badly
	X, Width px
	// Label is what fits into it.
	Label, Title string
	Middle       px
}

func newTimeline(r release.Report, s span) *timeline {
	t := &timeline{Ticks: s.ticks()}
	for _, phase := range r.Phases {
		from, to := s.x(phase.Started), s.x(phase.Ended)
		if phase.Ended.IsZero() {
			to = s.x(s.to)
		}
		bar := phaseBar{Class: phaseClass(phase), X: from, Width: max(to-from-1, 1), Middle: (from + to) / 2}
		name := phaseName(phase.Phase, phase.Percent)
		bar.Title = fmt.Sprintf("%s from %s, %s", name, clock(phase.Started), took(phase.Started, phase.Ended))
		for _, label := range []string{name, fmt.Sprintf("%d %%", phase.Percent)} {
			if float64(len(label))*charWidth+labelSpace <= float64(bar.Width) && (phase.Percent > 0 || label == name) {
				bar.Label = label
				break
			}
		}
		t.Bars = append(t.Bars, bar)
	}
	return t
}

func phaseClass(p release.PhaseRecord) string {
	switch {
	case p.Problem != "":
		return "bad"
	case p.Phase == release.PhaseCanary:
		return "move"
	case p.Phase == release.PhaseBake:
		return "wait"
	case p.Phase == release.PhaseCommit || p.Phase == release.PhaseRetire || p.Phase == release.PhaseDone:
		return "done"
	case p.Phase == release.PhaseRollback || p.Phase == release.PhaseUndone:
		return "back"
	default:
		return "calm"
	}
}
