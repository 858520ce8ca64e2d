package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bookshelf/infra/release"
	"bookshelf/infra/release/verdict"
)

func TestAReleaseIsShownAsPhasesAndWhatIsNewInVerdicts(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	show := (&deliver{stderr: &out}).progress()
	pass := &release.Verdict{Verdict: verdict.Verdict{Decision: verdict.Pass}}
	for _, p := range []release.Progress{
		{Phase: release.PhasePreflight},
		{Phase: release.PhaseCanary, Percent: 5, Elapsed: 12340 * time.Millisecond},
		{Phase: release.PhaseCanary, Percent: 5, Rates: map[string]float64{"blue": 95}, Verdict: pass},
		{Phase: release.PhaseCanary, Percent: 5, Rates: map[string]float64{"blue": 95}, Verdict: pass},
		{Phase: release.PhaseCanary, Percent: 25, Elapsed: 15 * time.Second},
	} {
		show(p)
	}
	want := "      0s  preflight\n   12.3s  canary: 5 % of the traffic\n          verdict: pass\n     15s  canary: 25 % of the traffic\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestOnATerminalTheRatesStayInOneLine(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	v := &releaseView{to: &out, live: true}
	rates := map[string]float64{"green": 5.2, "blue": 94.8, "": 1}
	v.show(release.Progress{Phase: release.PhaseBake, Rates: rates})
	v.show(release.Progress{Phase: release.PhaseDone})
	want := "      0s  bake\n\r\x1b[K        lost 1/s  blue 95/s  green 5/s\r\x1b[K      0s  done\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}
