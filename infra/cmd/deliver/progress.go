package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"bookshelf/infra/release"
	"bookshelf/infra/release/verdict"
)

// progress returns what shows a release while it goes on: a line for each phase and each verdict that says something new, and on a
// terminal the live rates in the line below.
func (d *deliver) progress() func(release.Progress) {
	v := &releaseView{to: d.stderr}
	if file, ok := d.stderr.(*os.File); ok {
		v.live = term.IsTerminal(int(file.Fd()))
	}
	return v.show
}

// releaseView remembers what was shown last.
type releaseView struct {
	to      io.Writer
	live    bool
	phase   release.Phase
	percent int
	said    verdict.Decision // of the latest verdict that was shown
	pending bool             // the line of the rates has no end yet
}

func (v *releaseView) show(p release.Progress) {
	if p.Phase != v.phase || p.Percent != v.percent {
		v.phase, v.percent, v.said = p.Phase, p.Percent, ""
		v.line("%6s  %s", p.Elapsed.Round(100*time.Millisecond), phaseWords(p))
	}
	// Its figures change every second, and all of them are in the report.
	if p.Verdict != nil && p.Verdict.Decision != v.said {
		v.said = p.Verdict.Decision
		v.line("        %s", verdictWords(*p.Verdict))
	}
	if v.live && len(p.Rates) > 0 {
		fmt.Fprintf(v.to, "\r\x1b[K        %s", rateWords(p.Rates))
		v.pending = true
	}
}

// line writes a line in the place of the rates.
func (v *releaseView) line(format string, args ...any) {
	if v.pending {
		fmt.Fprint(v.to, "\r\x1b[K")
		v.pending = false
	}
	fmt.Fprintf(v.to, "  "+format+"\n", args...)
}

func phaseWords(p release.Progress) string {
	if p.Percent > 0 {
		return fmt.Sprintf("%s: %d %% of the traffic", p.Phase, p.Percent)
	}
	return string(p.Phase)
}

// verdictWords is a verdict in one line: that it is good, or what keeps it from being so.
func verdictWords(v release.Verdict) string {
	if v.Decision == verdict.Pass {
		return "verdict: pass"
	}
	return fmt.Sprintf("verdict: %s: %s", v.Decision, v.Why())
}

// rateWords names the slots in one order, so that the line does not jump.
func rateWords(rates map[string]float64) string {
	var parts []string
	for _, slot := range slices.Sorted(maps.Keys(rates)) {
		name := slot
		if name == "" {
			name = "lost"
		}
		parts = append(parts, fmt.Sprintf("%s %.0f/s", name, rates[slot]))
	}
	return strings.Join(parts, "  ")
}
