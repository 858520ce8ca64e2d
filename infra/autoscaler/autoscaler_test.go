package autoscaler

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"bookshelf/infra/autoscale"
	"bookshelf/infra/delivery"
	"bookshelf/infra/environment"
)

// quick options decide every 5 s, without patience.
func quick(told *[]Event) Options {
	return Options{
		Config: autoscale.Config{Min: 1, Max: 6, TargetInFlight: 4, MaxStep: 6, Tolerance: autoscale.DefaultTolerance},
		Every:  5 * time.Second, For: 31 * time.Second,
		Tell: func(e Event) { *told = append(*told, e) },
	}
}

// autoscaling is an autoscaler whose changes are made at once, and noted.
func autoscaling(t *testing.T, o *delivery.Operator, p *loaded, options Options) (a *autoscaler, changes *[]int) {
	t.Helper()
	changes = &[]int{}
	return &autoscaler{
		Options: options, name: "prod", folder: t.TempDir(), note: o.Report.Note, watch: newWatch(o, "prod", options.TargetCPU > 0),
		scale: func(_ context.Context, replicas int) (delivery.ScaleResult, error) {
			*changes = append(*changes, replicas)
			scaled(t, o, replicas)
			p.replicas, p.ready = replicas, replicas
			return delivery.ScaleResult{Seconds: 2}, nil
		},
	}, changes
}

// words are events in short.
func words(told []Event) []string {
	var lines []string
	for _, e := range told {
		line := fmt.Sprintf("%s %+d to %d", e.Rule, e.Change, e.Replicas)
		switch {
		case e.Error != "":
			line = fmt.Sprintf("%d: %s", e.Failures, e.Error)
		case e.Waits != "":
			line = "waits: " + e.Waits
		case e.DryRun:
			line += " dry"
		}
		lines = append(lines, line)
	}
	return lines
}

func TestReplicasFollowTheLoadAndOnlyNewsIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told []Event
		o, p := deployed(t, 2)
		p.inFlight = 8
		p.trouble = func(asked int) error {
			if asked == 2*samplesPerRound+1 {
				p.inFlight = 15
			}
			if asked == 4*samplesPerRound+1 {
				p.inFlight = 1
			}
			return nil
		}
		a, changes := autoscaling(t, o, p, quick(&told))
		if err := a.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]int{4, 1}, *changes); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"steady +0 to 2", "more +2 to 4", "steady +0 to 4", "fewer -3 to 1", "steady +0 to 1"}, words(told)); diff != "" {
			t.Error(diff)
		}
		if told[1].Seconds != 2 || told[1].Environment != "prod" || !strings.Contains(told[1].Why, "15.0 requests in flight on 2 of 2 replicas") {
			t.Errorf("told %+v", told[1])
		}
		if want := 6 * samplesPerRound; p.asked != want && p.asked != want+1 {
			t.Errorf("the edge was asked %d times in 31 s, want %d", p.asked, want)
		}
	})
}

func TestADryRunOnlySays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told []Event
		o, p := deployed(t, 2)
		p.inFlight = 15
		options := quick(&told)
		options.DryRun = true
		a, changes := autoscaling(t, o, p, options)
		if err := a.run(t.Context()); err != nil || len(*changes) > 0 {
			t.Fatalf("%v, changes %v", err, *changes)
		}
		if diff := cmp.Diff([]string{"more +2 to 4 dry"}, words(told)); diff != "" {
			t.Error(diff)
		}
	})
}

// TestALockedEnvironmentIsWaitedFor goes through the true Scale up to the true lock.
func TestALockedEnvironmentIsWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told []Event
		o, p := deployed(t, 2)
		p.inFlight = 15
		lock, err := o.Layout.Lock("prod", "release")
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Release()
		if err := Run(t.Context(), o, "prod", quick(&told)); err != nil {
			t.Fatal(err)
		}
		if len(told) != 1 || !strings.Contains(told[0].Waits, "prod is locked by process") || !strings.Contains(told[0].Waits, "(deliver release)") {
			t.Errorf("told %q, want once that it waits for the release", words(told))
		}
		slots, err := environment.ReadSlots(o.Layout.State, "prod")
		if err != nil || slots.LiveSlot().Replicas != 2 {
			t.Errorf("%d replicas (%v), want 2 as before", slots.LiveSlot().Replicas, err)
		}
	})
}

func TestASplitOfTheTrafficIsWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told []Event
		o, p := deployed(t, 2)
		p.weight = 75
		p.trouble = func(asked int) error {
			if asked == 3*samplesPerRound+1 {
				p.weight, p.inFlight = 100, 8
			}
			return nil
		}
		a, changes := autoscaling(t, o, p, quick(&told))
		if err := a.run(t.Context()); err != nil || len(*changes) > 0 {
			t.Fatalf("%v, changes %v", err, *changes)
		}
		want := []string{"waits: blue is live and has 75 % of the traffic: a release is under way, or was cut short", "steady +0 to 2"}
		if diff := cmp.Diff(want, words(told)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestOneBadRoundIsToldAndTenEndIt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		until int // the round up to which the edge is mute
		want  string
	}{
		"nine":  {maxFailures - 1, ""},
		"ten":   {maxFailures, "10 rounds in a row have failed, the last one so: edge slots: mute"},
		"never": {0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var told []Event
				o, p := deployed(t, 2)
				p.inFlight = 8
				p.trouble = func(asked int) error {
					if asked <= test.until*samplesPerRound {
						return errors.New("mute")
					}
					return nil
				}
				options := quick(&told)
				options.For = 2 * time.Minute
				a, _ := autoscaling(t, o, p, options)
				err := a.run(t.Context())
				if test.want == "" && err != nil || test.want != "" && (err == nil || err.Error() != test.want) {
					t.Errorf("want %q, have %v", test.want, err)
				}
				for round := range test.until {
					if want := fmt.Sprintf("%d: edge slots: mute", round+1); words(told)[round] != want {
						t.Errorf("told %q, want %q", words(told)[round], want)
					}
				}
				if test.want == "" && words(told)[test.until] != "steady +0 to 2" {
					t.Errorf("told %q at the end", words(told))
				}
			})
		})
	}
}

func TestARoundWithOneAnswerCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told []Event
		o, p := deployed(t, 2)
		p.inFlight = 8
		p.trouble = func(asked int) error {
			if asked%samplesPerRound != 3 {
				return errors.New("mute")
			}
			return nil
		}
		a, _ := autoscaling(t, o, p, quick(&told))
		if err := a.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"steady +0 to 2"}, words(told)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAChangeThatFailedIsTriedAgainUntilItWorks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told []Event
		o, p := deployed(t, 2)
		p.inFlight = 15
		a, changes := autoscaling(t, o, p, quick(&told))
		works, tries := a.scale, 0
		a.scale = func(ctx context.Context, replicas int) (delivery.ScaleResult, error) {
			if tries++; tries < 3 {
				scaled(t, o, replicas) // as Scale does before anything else
				return delivery.ScaleResult{}, errors.New("no room")
			}
			return works(ctx, replicas)
		}
		if err := a.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := []string{"1: no room", "2: no room", "steady +0 to 4"}
		if diff := cmp.Diff(want, words(told)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]int{4}, *changes); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAChangeThatWasCutShortIsBroughtToItsEnd(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		edge       int // the replicas that the edge knows, where there are to be 3
		unfinished bool
		want       []int
	}{
		"by a command that was killed":            {2, false, []int{3}},
		"by this one, after the edge was told":    {3, true, []int{3}},
		"by nobody: there is nothing to be ended": {3, false, []int{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var told []Event
				o, p := deployed(t, 3)
				p.inFlight, p.replicas, p.ready = 12, test.edge, test.edge
				a, changes := autoscaling(t, o, p, quick(&told))
				a.unfinished = test.unfinished
				if err := a.run(t.Context()); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(test.want, *changes); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestWhatOnlyAPersonMendsEndsIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told []Event
		o, p := deployed(t, 2)
		p.inFlight = 15
		a, _ := autoscaling(t, o, p, quick(&told))
		a.scale = func(context.Context, int) (delivery.ScaleResult, error) {
			return delivery.ScaleResult{}, &delivery.PersonError{Cause: errors.New("the data is gone")}
		}
		if _, person := errors.AsType[*delivery.PersonError](a.run(t.Context())); !person {
			t.Error("it went on")
		}
	})
}

func TestAnInterruptionEndsItWellUnlessAChangeWasCutShort(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		inFlight int
		want     string
	}{
		"between decisions": {8, ""},
		"within a change":   {15, "interrupted: run the same command again"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var told []Event
				o, p := deployed(t, 2)
				p.inFlight = test.inFlight
				ctx, interrupt := context.WithTimeout(t.Context(), 7*time.Second)
				defer interrupt()
				options := quick(&told)
				options.For = 0
				a, _ := autoscaling(t, o, p, options)
				a.scale = func(ctx context.Context, _ int) (delivery.ScaleResult, error) {
					<-ctx.Done()
					return delivery.ScaleResult{}, ctx.Err()
				}
				err := a.run(ctx)
				if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
					t.Errorf("want %q, have %v", test.want, err)
				}
			})
		})
	}
}

func TestTheTimeDoesNotCutAChangeShort(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told []Event
		o, p := deployed(t, 2)
		p.inFlight = 15
		options := quick(&told)
		options.For = 6 * time.Second
		a, _ := autoscaling(t, o, p, options)
		a.scale = func(ctx context.Context, _ int) (delivery.ScaleResult, error) {
			select {
			case <-ctx.Done():
				return delivery.ScaleResult{}, ctx.Err()
			case <-time.After(time.Minute):
				return delivery.ScaleResult{Seconds: 60}, nil
			}
		}
		if err := a.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"more +2 to 4"}, words(told)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAnAutoscalerThatCannotBeMeantTouchesNothing(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Options){
		"max 20: want 1, which is min, to 16": func(o *Options) { o.Max = 20 },
		"every 10ms: want 1s or more":         func(o *Options) { o.Every = 10 * time.Millisecond },
		"for -1s: want none below 0s":         func(o *Options) { o.For = -time.Second },
	} {
		o, p := deployed(t, 1)
		options := quick(nil)
		change(&options)
		err := Run(t.Context(), o, "prod", options)
		if _, usage := errors.AsType[*delivery.UsageError](err); !usage || err.Error() != want || p.asked > 0 {
			t.Errorf("want %q, have %v; the edge was asked %d times", want, err, p.asked)
		}
	}
}

func TestOnlyADeployedEnvironmentIsScaled(t *testing.T) {
	t.Parallel()
	o := configured(t, &loaded{})
	if _, none := errors.AsType[*delivery.NotDeployedError](Run(t.Context(), o, "prod", quick(nil))); !none {
		t.Error("want a NotDeployedError")
	}
}

func TestEachDecisionIsLeftForPrometheus(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		decision autoscale.Decision
		atMax    string
	}{
		"what there is fits":       {autoscale.Decision{Replicas: 2, Rule: autoscale.Steady}, "0"},
		"the most decides":         {autoscale.Decision{Replicas: 4, Rule: autoscale.Limit}, "1"},
		"the least decides":        {autoscale.Decision{Replicas: 1, Rule: autoscale.Limit}, "0"},
		"the most, and not by far": {autoscale.Decision{Replicas: 4, Rule: autoscale.Steady}, "0"},
	} {
		folder := t.TempDir()
		if err := write(folder, c.decision, 4, time.Unix(1_790_000_000, 0)); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(folder, "autoscaler.prom"))
		for _, want := range []string{
			fmt.Sprintf("\nautoscaler_replicas %d\n", c.decision.Replicas), "\nautoscaler_max_replicas 4\n",
			"\nautoscaler_at_max " + c.atMax + "\n", "\nautoscaler_last_round_timestamp_seconds 1790000000\n",
		} {
			if err != nil || !strings.Contains(string(text), want) {
				t.Errorf("%s: %v: %q is not in\n%s", name, err, want, text)
			}
		}
	}
}
