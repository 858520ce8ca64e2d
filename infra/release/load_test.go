package release

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bookshelf/infra/release/verdict"
)

func TestAVersionThatDoesNotBearTheLoadGetsNoTraffic(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(a *answer)
		want   string
	}{
		"it fails":          {func(a *answer) { a.failed = true }, "under load: error ratio (load): 100.00 % of 150"},
		"it loses requests": {func(a *answer) { a.lost = true }, "under load: error ratio (load): 100.00 % of 150"},
		"it is slower":      {func(a *answer) { a.latency *= 2 }, "under load: p50 (load): 6.0 ms, 2.00 times the old slot's 3.0 ms"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.behave = func(slot string, due time.Time) answer {
					a := answer{due: due, slot: slot, latency: 3 * time.Millisecond}
					if slot == green {
						test.change(&a)
					}
					return a
				}
				report := w.release(Profiles["fast"]).Run(t.Context(), order())
				w.whole(t, blue)
				if report.Outcome != OutcomeRolledBack || !strings.Contains(report.Reason, test.want) {
					t.Errorf("have %s, %q, want %q", report.Outcome, report.Reason, test.want)
				}
				if slices.ContainsFunc(w.answers, func(a answer) bool { return a.slot == green }) {
					t.Error("the new slot got traffic")
				}
				if last := report.Verdicts[len(report.Verdicts)-1]; last.Phase != PhaseLoad || last.Decision != verdict.Fail {
					t.Errorf("the report ends with the verdict %v", last)
				}
			})
		})
	}
}

func TestALoadThatLeavesDoubtIsPutOnAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		turns := 0
		w.call = func(method string, after bool) error {
			if method == "LoadBoth" && !after {
				turns++
			}
			return nil
		}
		profile := brisk()
		profile.LoadRate = 20 // 20 of 40 are timed in a turn of 2 s, of the 60 that it takes
		report := w.release(profile).Run(t.Context(), order())
		w.whole(t, green)
		if turns != 3 || report.Outcome != OutcomeReleased {
			t.Errorf("%d turns, %s: %s", turns, report.Outcome, report.Reason)
		}
		profile.LoadRate = 10
		turns = 0
		w = newWorld()
		report = w.release(profile).Run(t.Context(), order())
		w.whole(t, blue)
		if !strings.Contains(report.Reason, "under load: nothing certain for 12s: p50 (load): 0 requests of the new slot, 0 of the old one: too few, want 60 of each") {
			t.Errorf("have %q", report.Reason)
		}
	})
}
