package release

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// scenario is a way for an environment to be changed.
type scenario struct {
	prepare func(*world)
	change  func(*world, context.Context) Report
}

func scenarios() map[string]scenario {
	run := func(w *world, ctx context.Context) Report { return w.release(brisk()).Run(ctx, order()) }
	switchBack := func(w *world, ctx context.Context) Report {
		o := order()
		o.From, o.To = o.To, o.From
		return w.release(brisk()).SwitchBack(ctx, o)
	}
	greenServes := func(w *world) {
		w.weights, w.live = map[string]int{blue: 0, green: 100}, green
		w.up, w.tried = map[string]bool{green: true}, map[string]bool{green: true}
	}
	return map[string]scenario{
		"a good release": {func(*world) {}, run},
		"a bad release": {func(w *world) {
			w.behave = func(slot string, due time.Time) answer {
				return answer{due: due, slot: slot, latency: 3 * time.Millisecond, failed: slot == green}
			}
		}, run},
		"a switch back to a stopped slot": {greenServes, switchBack},
		"a switch back to a warm slot": {func(w *world) {
			greenServes(w)
			w.up[blue], w.tried[blue] = true, true
		}, switchBack},
	}
}

// at calls f at the nth of all points before and after a call, and counts them.
func at(w *world, n int, f func(method string) error) *int {
	points := new(int)
	w.call = func(method string, _ bool) error {
		*points++
		if *points == n {
			return f(method)
		}
		return nil
	}
	return points
}

func kill(string) error { panic(killed{}) }

// points counts those of a scenario that nothing happens to.
func (s scenario) points(t *testing.T) (n int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s.prepare(w)
		counted := at(w, 0, nil)
		s.change(w, t.Context())
		n = *counted
	})
	return n
}

// settled returns the slot that a recovery says is live, or that was before where there was nothing to recover. There a slot that was
// warm before stays so.
func settled(r Recovery, w *world) string {
	if !r.Found || r.Record.untouched() {
		w.up[other(w.live)] = false
		return w.live
	}
	return r.Live.Slot
}

func TestAReleaseThatIsKilledAnywhereIsRecovered(t *testing.T) {
	t.Parallel()
	for name, s := range scenarios() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			points := s.points(t)
			if points < 20 {
				t.Fatalf("only %d points to be killed at", points)
			}
			for n := 1; n <= points; n++ {
				for _, later := range []time.Duration{0, time.Minute} { // before and after the edge's lease has run out
					synctest.Test(t, func(t *testing.T) {
						w := newWorld()
						s.prepare(w)
						at(w, n, kill)
						if !survive(func() { s.change(w, t.Context()) }) {
							t.Errorf("point %d was not reached", n)
						}
						w.call = nil
						<-time.After(later)
						forward := w.record != nil && w.record.Forward()
						recovery, err := Recover(t.Context(), w, w)
						if err != nil {
							t.Errorf("killed at %d, recovered after %s: %v", n, later, err)
						}
						if recovery.Found && forward != (recovery.Live == recovery.Record.To) {
							t.Errorf("killed at %d: in phase %s it became %s", n, recovery.Record.Phase, recovery.Live.Slot)
						}
						w.whole(t, settled(recovery, w))
						if again, err := Recover(t.Context(), w, w); err != nil || again.Found {
							t.Errorf("killed at %d: a second recovery finds something: %v, %v", n, again, err)
						}
						if t.Failed() {
							t.Fatalf("that was %d of %d, %s later", n, points, later)
						}
					})
				}
			}
		})
	}
}

func TestARecoveryPastTheCommitTakesTheTrafficAlong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld() // blue serves, and green is not even up: somebody has been at it
		r := record()
		r.Phase = PhaseCommit
		w.record = &r
		recovery, err := Recover(t.Context(), w, w)
		if err != nil || recovery.Live != r.To || recovery.NotUndone != nil {
			t.Errorf("have %v, %v", recovery, err)
		}
		w.whole(t, green)
	})
}

func TestARecoveryThatIsKilledAnywhereIsRecovered(t *testing.T) {
	t.Parallel()
	for name, s := range scenarios() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			points := s.points(t)
			for n := 1; n <= points; n++ {
				for again := 1; ; again++ {
					dead := false
					synctest.Test(t, func(t *testing.T) {
						w := newWorld()
						s.prepare(w)
						at(w, n, kill)
						survive(func() { s.change(w, t.Context()) })
						at(w, again, kill)
						dead = survive(func() { _, _ = Recover(t.Context(), w, w) })
						w.call = nil
						recovery, err := Recover(t.Context(), w, w)
						if err != nil {
							t.Errorf("killed at %d and again at %d: %v", n, again, err)
						}
						w.whole(t, settled(recovery, w))
					})
					if !dead || t.Failed() {
						break
					}
				}
			}
		})
	}
}

func TestAnInterruptionAnywhereLeavesAWholeEnvironment(t *testing.T) {
	t.Parallel()
	for name, s := range scenarios() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			points := s.points(t)
			for n := 1; n <= points; n++ {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld()
					s.prepare(w)
					before := w.live
					ctx, cancel := context.WithCancelCause(t.Context())
					at(w, n, func(string) error { cancel(errors.New("Ctrl-C")); return nil })
					report := s.change(w, ctx)
					want := before
					switch report.Outcome {
					case OutcomeReleased:
						want = other(before)
					case OutcomeRefused:
						w.up[other(before)] = false // a warm slot, which was left alone
					case OutcomeRolledBack:
						if report.RollbackMS > 1000 {
							t.Errorf("interrupted at %d: back only after %v ms", n, report.RollbackMS)
						}
					default:
						t.Errorf("interrupted at %d: %s, %s", n, report.Outcome, report.Reason)
					}
					if report.Outcome != OutcomeReleased && !strings.Contains(report.Reason, "Ctrl-C") && name != "a bad release" {
						t.Errorf("interrupted at %d: %q does not say so", n, report.Reason)
					}
					w.whole(t, want)
				})
			}
		})
	}
}

func TestAFailureAnywhereLeavesAnEnvironmentThatCanBeRecovered(t *testing.T) {
	t.Parallel()
	for name, s := range scenarios() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			points := s.points(t)
			for n := 1; n <= points; n++ {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld()
					s.prepare(w)
					before := w.live
					what := ""
					at(w, n, func(method string) error { what = method; return fmt.Errorf("%s: %w", method, errBroken) })
					report := s.change(w, t.Context())
					if report.Outcome == OutcomeStuck {
						t.Errorf("%s failed once, at %d: %s", what, n, report.Reason)
					}
					if report.RollbackMS > 1000 {
						t.Errorf("%s failed once, at %d: back only after %v ms", what, n, report.RollbackMS)
					}
					if _, err := Recover(t.Context(), w, w); err != nil {
						t.Errorf("%s failed once, at %d: %v", what, n, err)
					}
					want := before
					if report.Outcome == OutcomeReleased {
						want = other(before)
					}
					if report.Outcome == OutcomeRefused {
						w.up[other(before)] = false
					}
					w.whole(t, want)
				})
			}
		})
	}
}

func TestASwitchBackGivesTheFormerSlotEverythingAtOnce(t *testing.T) {
	t.Parallel()
	for name, started := range map[string]bool{"a switch back to a stopped slot": true, "a switch back to a warm slot": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				s := scenarios()[name]
				s.prepare(w)
				starts := 0
				w.call = func(method string, after bool) error {
					if method == "Start" && !after {
						starts++
					}
					return nil
				}
				report := s.change(w, t.Context())
				w.whole(t, blue)
				if diff := cmp.Diff([]string{"start", "canary 100", "commit", "retire"}, phases(report)); diff != "" {
					t.Error(diff)
				}
				if report.Outcome != OutcomeReleased || len(report.NotUndone) != 2 || (starts > 0) != started {
					t.Errorf("have %s, %q; started %d times", report.Outcome, report.NotUndone, starts)
				}
			})
		})
	}
}
