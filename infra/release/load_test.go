package release

import (
	"slices"
	"strings"
	"testing"
	"testing/quick"
	"testing/synctest"
	"time"
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
				if last := report.Verdicts[len(report.Verdicts)-1]; last.Phase != PhaseLoad || last.Decision != Fail {
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

// under is what so many requests met that took between these times, evenly spread.
func under(n int, from, to time.Duration) Sample {
	s := Sample{Requests: n}
	for i := range n {
		s.Latencies = append(s.Latencies, from+(to-from)*time.Duration(i)/time.Duration(n))
	}
	return s
}

func TestQuantilesAreComparedByTheirRatio(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	tail := under(1000, 2*ms, 4*ms)
	for i := 800; i < 1000; i++ {
		tail.Latencies[i] = 90 * ms
	}
	for name, test := range map[string]struct {
		new, old Sample
		want     Decision
		why      string
	}{
		"alike":               {under(1000, 2*ms, 4*ms), under(1000, 2*ms, 4*ms), Pass, ""},
		"faster":              {under(1000, 1*ms, 2*ms), under(1000, 2*ms, 4*ms), Pass, ""},
		"a trifle":            {under(1000, 300*time.Microsecond, 900*time.Microsecond), under(1000, 100*time.Microsecond, 200*time.Microsecond), Pass, ""},
		"twice as slow":       {under(1000, 8*ms, 16*ms), under(1000, 4*ms, 8*ms), Fail, "p50 (load): 12.0 ms, 2.00 times the old slot's 6.0 ms"},
		"a slow fifth":        {tail, under(1000, 2*ms, 4*ms), Fail, "p90 (load): 90.0 ms, 23.68 times the old slot's 3.8 ms"},
		"perhaps a bit":       {under(100, 3*ms, 13*ms), under(100, ms, 9*ms), Inconclusive, "p50 (load): 8.0 ms, 1.60 times the old slot's 5.0 ms under the same load"},
		"too few of the new":  {under(59, 2*ms, 4*ms), under(1000, 2*ms, 4*ms), Inconclusive, "too few, want 60 of each"},
		"none of the old one": {under(1000, 2*ms, 4*ms), Sample{}, Inconclusive, "too few, want 60 of each"},
	} {
		v := judgeLoad(Loaded{New: test.new, Old: test.old}, nil, 20, strict())
		if v.Decision != test.want || !strings.Contains(v.Why(), test.why) {
			t.Errorf("%s: want %s with %q, have %s: %s", name, test.want, test.why, v.Decision, v.Why())
		}
	}
}

func TestTheBoundsOfAQuantileHoldItAndWidenWithCertainty(t *testing.T) {
	t.Parallel()
	property := func(n uint16, q, z uint8) bool {
		sample := under(int(n%2000)+1, time.Millisecond, time.Second).Latencies
		share, certain := float64(q%100)/100, float64(z%50)/10
		low, high := bounds(sample, share, certain)
		lower, higher := bounds(sample, share, certain+1)
		value := quantile(sample, share)
		return low <= value && value <= high && lower <= low && high <= higher
	}
	if err := quick.Check(property, &quick.Config{MaxCount: 500}); err != nil {
		t.Error(err)
	}
}
