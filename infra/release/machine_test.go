package release

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"bookshelf/infra/release/verdict"
)

// phases lists where a release has been: "canary 50".
func phases(r Report) []string {
	var names []string
	for _, p := range r.Phases {
		name := string(p.Phase)
		if p.Phase == PhaseCanary {
			name += fmt.Sprintf(" %d", p.Percent)
		}
		names = append(names, name)
	}
	return names
}

func TestAGoodVersionIsReleasedStepByStep(t *testing.T) {
	t.Parallel()
	for name, profile := range Profiles {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				profile.Bake = min(profile.Bake, time.Minute) // nothing happens in the other nine
				w.startup, w.rate = 2*time.Second, map[string]int{"standard": 100, "fast": 200}[name]
				var told []Progress
				r := w.release(profile)
				r.Progress = func(p Progress) { told = append(told, p) }
				report := r.Run(t.Context(), order())
				w.whole(t, green)
				if report.Outcome != OutcomeReleased || report.Reason != "" || report.NotUndone != nil {
					t.Errorf("have %s, %q, %v", report.Outcome, report.Reason, report.NotUndone)
				}
				want := []string{"preflight", "restore", "start", "smoke", "load", "canary 5", "canary 25", "canary 50", "canary 100", "bake", "commit", "retire"}
				if diff := cmp.Diff(want, phases(report)); diff != "" {
					t.Error(diff)
				}
				if d := report.Ended.Sub(report.Started) - profile.Bake; name == "fast" && d > 25*time.Second {
					t.Errorf("it took %s without the bake, which leaves too little of 30 s for a real environment", d)
				}
				t.Logf("it took %s, %s of it bake, %s start", report.Ended.Sub(report.Started), profile.Bake, w.startup)
				if last := told[len(told)-1]; last.Phase != PhaseDone {
					t.Errorf("the last that was told is %s", last.Phase)
				}
				if !slices.ContainsFunc(told, func(p Progress) bool { return p.Verdict != nil && p.Rates[green] > 0 && p.Rates[blue] > 0 }) {
					t.Error("nobody was told both slots' rates with a verdict")
				}
				if report.DrainMS <= 0 || report.DrainMS > 1000 || report.Before.P50 != 3 || report.During.P50 != 3 || report.After.P99 != 3 {
					t.Errorf("drained in %v ms, latencies %v, %v, %v", report.DrainMS, report.Before, report.During, report.After)
				}
			})
		})
	}
}

func TestABadVersionIsTakenBackByItself(t *testing.T) {
	t.Parallel()
	bad := func(change func(a *answer)) func(*world) {
		return func(w *world) {
			w.behave = func(slot string, due time.Time) answer {
				a := answer{due: due, slot: slot, latency: 3 * time.Millisecond}
				if slot == green {
					change(&a)
				}
				return a
			}
		}
	}
	for name, test := range map[string]struct {
		wrong func(*world)
		want  string
	}{
		"it fails":           {bad(func(a *answer) { a.failed = true }), "canary at 5 %: error ratio (probe): 100.00 %"},
		"it loses requests":  {bad(func(a *answer) { a.lost = true }), "canary at 5 %: error ratio (probe): 100.00 %"},
		"nobody answers":     {bad(func(a *answer) { a.lost, a.slot = true, "" }), "canary at 5 %: error ratio (probe): 100.00 %"},
		"it is slow":         {bad(func(a *answer) { a.latency += 300 * time.Millisecond }), "slow requests (probe): 100.00 %"},
		"it crashes":         {breaks("Alive", 3, 1<<30), "canary at 5 %: look after green: broken on purpose"},
		"it is not measured": {breaks("Observe", 1, 1<<30), "nothing certain for 1m3s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.rate = 200
				test.wrong(w)
				profile := Profiles["fast"]
				profile.Load = 0
				report := w.release(profile).Run(t.Context(), order())
				w.whole(t, blue)
				if report.Outcome != OutcomeRolledBack || !strings.Contains(report.Reason, test.want) {
					t.Errorf("have %s, %q, want %q", report.Outcome, report.Reason, test.want)
				}
				if len(report.NotUndone) != 3 || report.RollbackMS > 1000 {
					t.Errorf("not undone: %q, back in %v ms", report.NotUndone, report.RollbackMS)
				}
			})
		})
	}
}

// breaks makes calls of a method fail, from the given one on.
func breaks(method string, from, times int) func(*world) {
	return func(w *world) {
		calls := 0
		w.call = func(called string, after bool) error {
			if called != method || after {
				return nil
			}
			calls++
			if calls >= from && calls < from+times {
				return errBroken
			}
			return nil
		}
	}
}

func TestAProblemEndsAReleaseAsItsPhaseAsks(t *testing.T) {
	t.Parallel()
	const forever = 1 << 30
	for name, test := range map[string]struct {
		wrong   func(*world)
		outcome Outcome
		last    Phase
		live    string // after the next run has recovered what was left
		reason  string
	}{
		"preflight":                    {breaks("Preflight", 1, forever), OutcomeRefused, PhasePreflight, blue, "look at the environment: broken"},
		"the journal at once":          {breaks("Save", 1, forever), OutcomeRefused, PhasePreflight, blue, "broken"},
		"restore point":                {breaks("RestorePoint", 1, forever), OutcomeRefused, PhaseRestore, blue, "make a restore point: broken"},
		"the journal before the start": {breaks("Save", 3, 1), OutcomeRefused, PhaseStart, blue, "broken"},
		"start":                        {breaks("Start", 1, forever), OutcomeRolledBack, PhaseRollback, blue, "start green: broken"},
		"smoke":                        {breaks("Smoke", 1, forever), OutcomeRolledBack, PhaseRollback, blue, "try green: broken"},
		"load":                         {breaks("LoadBoth", 1, forever), OutcomeRolledBack, PhaseRollback, blue, "put a load on both slots: broken"},
		"a shift, once":                {breaks("Shift", 1, 1), OutcomeReleased, PhaseRetire, green, ""},
		"a shift, for some seconds":    {breaks("Shift", 1, 25), OutcomeRolledBack, PhaseRollback, blue, "shift 50 % of the traffic to green: broken"},
		"a renewal, once":              {breaks("Shift", 2, 1), OutcomeReleased, PhaseRetire, green, ""},
		"renewals":                     {breaks("Shift", 2, 4), OutcomeRolledBack, PhaseRollback, blue, "shift 50 % of the traffic to green: broken"},
		"all shifts":                   {breaks("Shift", 1, forever), OutcomeStuck, PhaseRollback, blue, "run `deliver up -e dev`"},
		"the edge from 100 % on":       {breaks("Shift", 3, forever), OutcomeStuck, PhaseRollback, blue, "run `deliver up -e dev`"},
		"the journal at 50 %":          {breaks("Save", 6, forever), OutcomeRolledBack, PhaseRollback, blue, "broken"},
		"the journal at the commit":    {breaks("Save", 9, 1), OutcomeRolledBack, PhaseRollback, blue, "broken"},
		"commit, once":                 {breaks("Commit", 1, 1), OutcomeReleased, PhaseRetire, green, ""},
		"commit":                       {breaks("Commit", 1, forever), OutcomeStuck, PhaseCommit, green, "green serves all of the traffic, but is not on record"},
		"the journal after it":         {breaks("Save", 10, forever), OutcomeReleased, PhaseRetire, green, ""},
		"a slot that never drains":     {func(w *world) { w.linger = time.Hour }, OutcomeReleased, PhaseRetire, green, ""},
		"nobody knows what is open":    {breaks("InFlight", 1, forever), OutcomeReleased, PhaseRetire, green, ""},
		"retire":                       {breaks("Retire", 1, forever), OutcomeReleased, PhaseRetire, green, ""},
		"clear":                        {breaks("Clear", 1, forever), OutcomeReleased, PhaseRetire, green, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				test.wrong(w)
				report := w.release(brisk()).Run(t.Context(), order())
				last := report.Phases[len(report.Phases)-1]
				if report.Outcome != test.outcome || last.Phase != test.last || !strings.Contains(report.Reason, test.reason) {
					t.Errorf("have %s in %s: %q", report.Outcome, last.Phase, report.Reason)
				}
				if left := w.record != nil; left && last.Problem == "" {
					t.Error("something is left to do, and the report does not say what")
				}
				w.call, w.linger = nil, 0
				if _, err := Recover(t.Context(), w, w); err != nil {
					t.Errorf("recover: %v", err)
				}
				w.whole(t, test.live)
			})
		})
	}
}

func TestASlotThatStillAnswersIsNotStopped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.linger = time.Hour
		report := w.release(brisk()).Run(t.Context(), order())
		if !w.up[blue] || report.Outcome != OutcomeReleased {
			t.Errorf("blue is up: %t, the release is %s", w.up[blue], report.Outcome)
		}
		if problem := report.Phases[len(report.Phases)-1].Problem; !strings.Contains(problem, "blue still answers 2 requests after 3s; it stays up without traffic") {
			t.Errorf("have %q", problem)
		}
		if _, err := Recover(t.Context(), w, w); err == nil || !strings.Contains(err.Error(), "deliver up -e dev") {
			t.Errorf("have %v", err)
		}
	})
}

func TestAMomentOfNoiseAfterTheSwitchIsHeldAndPasses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.rate = 1000
		var full time.Time
		w.behave = func(slot string, due time.Time) answer {
			a := answer{due: due, slot: slot, latency: 3 * time.Millisecond}
			if full.IsZero() && w.weights[green] == 100 {
				full = due
			}
			if !full.IsZero() && due.Sub(full) < 1500*time.Millisecond {
				a.latency = 200 * time.Millisecond
			}
			return a
		}
		report := w.release(brisk()).Run(t.Context(), order())
		w.whole(t, green)
		held := slices.ContainsFunc(report.Verdicts, func(v Verdict) bool {
			return v.Decision == verdict.Inconclusive && strings.Contains(v.Why(), "no slot to compare with at the same time")
		})
		if report.Outcome != OutcomeReleased || !held {
			t.Errorf("held: %t, %s: %s", held, report.Outcome, report.Reason)
		}
	})
}

func TestADriverThatWasHeldUpLongerThanItsLeaseGoesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		calls := 0
		w.call = func(method string, after bool) error {
			if method != "Observe" || !after || w.weights[green] == 0 {
				return nil
			}
			if calls++; calls == 3 {
				<-time.After(time.Minute) // as of a laptop that was closed
			}
			return nil
		}
		report := w.release(brisk()).Run(t.Context(), order())
		w.whole(t, blue)
		if report.Outcome != OutcomeRolledBack || !strings.Contains(report.Reason, "held up for") {
			t.Errorf("have %s: %q", report.Outcome, report.Reason)
		}
	})
}

func TestAHangingCallIsCutShort(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]Outcome{
		"Preflight": OutcomeRefused, "RestorePoint": OutcomeRefused, "Start": OutcomeRolledBack, "Smoke": OutcomeRolledBack,
		"LoadBoth": OutcomeRolledBack, "Shift": OutcomeRolledBack, "Alive": OutcomeReleased, "Observe": OutcomeReleased,
	} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				h := &hanging{world: w, method: method}
				r := w.release(brisk())
				r.Target = h
				report := r.Run(t.Context(), order())
				if report.Outcome != want || want != OutcomeReleased && !strings.Contains(report.Reason, "not done within") {
					t.Errorf("want %s, have %s: %q", want, report.Outcome, report.Reason)
				}
				w.whole(t, map[bool]string{true: green, false: blue}[want == OutcomeReleased])
			})
		})
	}
}

// hanging is a world of which one method does not answer the first time.
type hanging struct {
	*world

	method string
	done   bool
}

func (h *hanging) hang(ctx context.Context, method string) {
	if method == h.method && !h.done {
		h.done = true
		<-ctx.Done()
	}
}

func (h *hanging) Preflight(ctx context.Context) error {
	h.hang(ctx, "Preflight")
	return h.world.Preflight(ctx)
}

func (h *hanging) RestorePoint(ctx context.Context) (string, error) {
	h.hang(ctx, "RestorePoint")
	return h.world.RestorePoint(ctx)
}

func (h *hanging) Start(ctx context.Context, slot string) error {
	h.hang(ctx, "Start")
	return h.world.Start(ctx, slot)
}

func (h *hanging) Smoke(ctx context.Context, slot string) error {
	h.hang(ctx, "Smoke")
	return h.world.Smoke(ctx, slot)
}

func (h *hanging) LoadBoth(ctx context.Context, rate int, duration time.Duration, warmUp int) (map[string]verdict.Sample, error) {
	h.hang(ctx, "LoadBoth")
	return h.world.LoadBoth(ctx, rate, duration, warmUp)
}

func (h *hanging) Shift(ctx context.Context, slot string, percent int, lease time.Duration) error {
	h.hang(ctx, "Shift")
	return h.world.Shift(ctx, slot, percent, lease)
}

func (h *hanging) Alive(ctx context.Context, slot string) error {
	h.hang(ctx, "Alive")
	return h.world.Alive(ctx, slot)
}

func (h *hanging) Observe(ctx context.Context) (map[string]verdict.Observation, error) {
	h.hang(ctx, "Observe")
	return h.world.Observe(ctx)
}

func TestAReleaseThatWasLeftIsNotOverwritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.record = &Record{ID: "r0", Phase: PhaseBake}
		report := w.release(brisk()).Run(t.Context(), order())
		if report.Outcome != OutcomeRefused || !strings.Contains(report.Reason, "release r0 was left in phase bake") || w.record.ID != "r0" {
			t.Errorf("have %s: %q, record of %s", report.Outcome, report.Reason, w.record.ID)
		}
	})
}

func TestWhatIsLostWhileTheEdgeShiftsCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		shifting := false
		w.call = func(method string, after bool) error {
			if shifting = method == "Shift" && !after; shifting {
				<-time.After(300 * time.Millisecond)
			}
			return nil
		}
		w.behave = func(slot string, due time.Time) answer {
			a := answer{due: due, slot: slot, latency: 3 * time.Millisecond}
			if shifting {
				a.slot, a.lost = "", true
			}
			return a
		}
		report := w.release(brisk()).Run(t.Context(), order())
		w.whole(t, blue)
		if report.Outcome != OutcomeRolledBack || !strings.Contains(report.Reason, "canary at 50 %: error ratio (probe)") {
			t.Errorf("have %s: %q", report.Outcome, report.Reason)
		}
	})
}
