// Package autoscaler keeps the replicas of a running environment in step with its load: it looks at the edge and the platform, lets
// package autoscale decide, and scales through package delivery.
package autoscaler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bookshelf/infra/autoscale"
	"bookshelf/infra/delivery"
	"bookshelf/infra/environment"
	"bookshelf/infra/stack"
)

const (
	// samplesPerRound is how often the edge is asked between two decisions.
	samplesPerRound = 5
	// maxFailures is how many rounds in a row may fail before Run gives up.
	maxFailures = 10
	// leastGap is how long may pass without an observation at least before that counts as missing: scaling takes some time itself.
	leastGap = time.Minute
)

// Options say what is held, and how.
type Options struct {
	autoscale.Config
	// Every is the time between two decisions, For how long there are any, 0 for as long as the context lives.
	Every, For time.Duration
	// DryRun says what would be done, and does nothing.
	DryRun bool
	// Tell is told what is new.
	Tell func(Event)
}

// check validates the options; an error is a delivery.UsageError.
func (o Options) check() error {
	err := o.Check(environment.MaxReplicas)
	switch {
	case err != nil:
	case o.Every < time.Second:
		err = fmt.Errorf("every %s: want 1s or more", o.Every)
	case o.For < 0:
		err = fmt.Errorf("for %s: want none below 0s", o.For)
	default:
		return nil
	}
	return &delivery.UsageError{Problem: err.Error()}
}

// Event is something that there is to say. Its JSON form is a line of what `deliver autoscale --json` prints.
type Event struct {
	At          time.Time `json:"at"`
	Environment string    `json:"environment"`
	autoscale.Decision
	// DryRun says that a change was not made, Seconds how long the one that was made took.
	DryRun  bool    `json:"dry_run,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
	// Waits is why the decision has to wait, Error what went wrong, Failures in how many rounds by now.
	Waits    string `json:"waits,omitempty"`
	Error    string `json:"error,omitempty"`
	Failures int    `json:"failures,omitempty"`
}

// Run gives the live slot as many replicas as its load asks for, until the context ends or the time is over. It never changes
// anything while somebody else works on the environment, a release above all: then it waits. What goes wrong in one round is told and
// tried again in the next; the error is about what kept it from beginning, or went wrong in ten rounds in a row.
func Run(ctx context.Context, o *delivery.Operator, name string, options Options) error {
	if err := options.check(); err != nil {
		return err
	}
	if err := o.Deployed(ctx, name); err != nil {
		return err
	}
	a := &autoscaler{
		Options: options, name: name, folder: o.Layout.MetricsDir(name), note: o.Report.Note, watch: newWatch(o, name, options.TargetCPU > 0),
		scale: func(ctx context.Context, replicas int) (delivery.ScaleResult, error) {
			return o.Scale(ctx, name, replicas)
		},
	}
	a.Gap = max(leastGap, 3*options.Every)
	return a.run(ctx)
}

// autoscaler observes, decides and scales, round by round.
type autoscaler struct {
	Options
	name string
	// folder is where each decision is written for Prometheus.
	folder string
	note   func(format string, args ...any)
	watch  *watch
	scale  func(ctx context.Context, replicas int) (delivery.ScaleResult, error)

	history []autoscale.Observation
	// last is what was told last: a decision, or why one had to wait.
	last Event
	// unfinished says that a change has failed half-way.
	unfinished bool
	failures   int
}

// run goes round until the time is over. A change that has begun is brought to its end even then; only ctx cuts it short.
func (a *autoscaler) run(ctx context.Context) error {
	during := ctx
	if a.For > 0 {
		var cancel context.CancelFunc
		during, cancel = context.WithTimeout(ctx, a.For)
		defer cancel()
	}
	ticker := time.NewTicker(a.Every / samplesPerRound)
	defer ticker.Stop()
	for sample := 1; ; sample++ {
		select {
		case <-during.Done():
			return nil
		case <-ticker.C:
		}
		a.watch.look(during)
		if sample%samplesPerRound != 0 {
			continue
		}
		seen, err := a.watch.sum(during)
		if during.Err() != nil {
			return nil
		}
		if err := a.round(ctx, seen, err); err != nil {
			return err
		}
	}
}

// round decides on what was seen, or on what kept that from being seen. Its error ends Run.
func (a *autoscaler) round(ctx context.Context, seen sighting, problem error) error {
	if n := len(a.history); problem != nil && n > 0 {
		seen.Observation = autoscale.Observation{At: time.Now(), Replicas: a.history[n-1].Replicas}
	}
	if problem == nil || len(a.history) > 0 {
		a.remember(seen.Observation)
	}
	if problem != nil {
		return a.failed(autoscale.Decision{Replicas: seen.Replicas, Rule: autoscale.Unknown, Why: "nothing was seen"}, problem)
	}
	d := autoscale.Decide(a.history, a.Config)
	// That Prometheus is not told keeps nobody from scaling; the alert about a target that says nothing new is another's.
	if err := write(a.folder, d, a.Max, time.Now()); err != nil {
		a.note("%v", err)
	}
	switch {
	case seen.busy != "":
		a.waits(d, seen.busy)
		return nil
	case a.DryRun || d.Change == 0 && !seen.unfinished && !a.unfinished:
		a.failures = 0
		if a.last.Waits != "" || d.News(a.last.Decision) {
			a.tell(Event{Decision: d, DryRun: a.DryRun && d.Change != 0})
		}
		return nil
	default:
		return a.act(ctx, d)
	}
}

// act makes a change, or brings one to its end that was cut short.
func (a *autoscaler) act(ctx context.Context, d autoscale.Decision) error {
	if d.Change == 0 {
		a.note("an earlier change of the number of replicas was cut short: bringing it to its end")
	}
	result, err := a.scale(ctx, d.Replicas)
	if locked, ok := errors.AsType[*stack.LockedError](err); ok {
		a.waits(d, locked.Error())
		return nil
	}
	if a.unfinished = err != nil; a.unfinished {
		return a.stopped(ctx, d, err)
	}
	a.failures = 0
	a.tell(Event{Decision: d, Seconds: result.Seconds})
	return nil
}

// stopped tells of a change that did not work, and says whether to go on.
func (a *autoscaler) stopped(ctx context.Context, d autoscale.Decision, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted: run the same command again, or `deliver up -e %s`, to bring %d replicas to their end: %w", a.name, d.Replicas, err)
	}
	if _, person := errors.AsType[*delivery.PersonError](err); person {
		return err
	}
	return a.failed(d, err)
}

// failed tells what went wrong, and ends Run with it when it keeps doing so.
func (a *autoscaler) failed(d autoscale.Decision, err error) error {
	a.failures++
	a.tell(Event{Decision: d, Error: err.Error(), Failures: a.failures})
	if a.failures >= maxFailures {
		return fmt.Errorf("%d rounds in a row have failed, the last one so: %w", a.failures, err)
	}
	return nil
}

// waits tells once why a decision has to wait.
func (a *autoscaler) waits(d autoscale.Decision, why string) {
	a.failures = 0
	if a.last.Waits != why {
		a.tell(Event{Decision: d, Waits: why})
	}
}

func (a *autoscaler) tell(e Event) {
	e.At, e.Environment = time.Now(), a.name
	a.last = e
	a.Tell(e)
}

func (a *autoscaler) remember(o autoscale.Observation) {
	a.history = a.Trim(append(a.history, o))
}
