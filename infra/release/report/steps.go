package report

import (
	"fmt"
	"slices"
	"strings"

	"bookshelf/infra/release"
	"bookshelf/infra/release/verdict"
)

// maxVerdicts is how many verdicts of a step are listed; a bake may have thousands.
const maxVerdicts = 100

// step is what was judged in one phase at one share of the traffic.
type step struct {
	Name    string
	Last    release.Verdict // the one that decided
	Open    bool            // to be seen at once, because it did not pass
	Counts  string          // "12 pass, 1 fail"
	Earlier []release.Verdict
	// Omitted is how many of the earlier ones are left out.
	Omitted int
}

// steps groups the verdicts, which are in the order of time.
func steps(verdicts []release.Verdict) []step {
	var all []step
	for len(verdicts) > 0 {
		first := verdicts[0]
		end := slices.IndexFunc(verdicts, func(v release.Verdict) bool { return v.Phase != first.Phase || v.Percent != first.Percent })
		if end < 0 {
			end = len(verdicts)
		}
		last := verdicts[end-1]
		s := step{Name: phaseName(first.Phase, first.Percent), Last: last, Open: last.Decision != verdict.Pass, Earlier: verdicts[:end-1]}
		s.Omitted = max(0, len(s.Earlier)-maxVerdicts)
		s.Earlier = s.Earlier[s.Omitted:]
		s.Counts = decisions(verdicts[:end])
		all = append(all, s)
		verdicts = verdicts[end:]
	}
	return all
}

func decisions(verdicts []release.Verdict) string {
	counts := map[verdict.Decision]int{}
	for _, v := range verdicts {
		counts[v.Decision]++
	}
	var texts []string
	for _, d := range []verdict.Decision{verdict.Pass, verdict.Inconclusive, verdict.Fail} {
		if counts[d] > 0 {
			texts = append(texts, count(counts[d])+" "+string(d))
		}
	}
	return strings.Join(texts, ", ")
}

// phaseName is what a phase is called: "canary 5 %".
func phaseName(phase release.Phase, percent int) string {
	if percent == 0 {
		return string(phase)
	}
	return fmt.Sprintf("%s %d %%", phase, percent)
}
