package release

import (
	"context"
	"fmt"
	"time"

	"bookshelf/infra/release/verdict"
)

// Order is what is to be released where.
type Order struct {
	ID          string
	Environment string
	// From is what serves now, To what shall.
	From, To Version
	// Verified says what was verified of the image, for the report.
	Verified string
}

// Release carries out orders. The caller holds the environment's lock, and has called Recover.
type Release struct {
	Target  Target
	Traffic Traffic
	Journal Journal
	Profile Profile
	// Progress is told of every phase that begins and of every verdict; it may be nil.
	Progress func(Progress)
}

// Progress is how a release goes.
type Progress struct {
	Phase   Phase
	Percent int
	// Elapsed is the time since the release began.
	Elapsed time.Duration
	// Rates are the probe's requests per second by the slot that answered, since the last verdict.
	Rates map[string]float64
	// Verdict is the latest of this phase, nil before the first.
	Verdict *Verdict
}

// Run releases: canary, bake and commit, or back by itself. Cancelling the context before the commit takes it back, later it has no
// effect. The report lacks what only the probe knows, its account and its seconds.
func (r Release) Run(ctx context.Context, order Order) Report {
	return r.begin(order).carryOut(ctx, (*run).release)
}

// SwitchBack gives the traffic back to the former slot at once, by a person's decision: order.From is what serves and is to be left,
// order.To the former version, which is started anew unless it still runs. The target must be that of the former version. It is not
// judged against the slot that it takes over from, which is bad already; it must answer when it is asked directly.
func (r Release) SwitchBack(ctx context.Context, order Order) Report {
	return r.begin(order).carryOut(ctx, (*run).switchBack)
}

// run is one release while it goes on.
type run struct {
	slots

	traffic  Traffic
	journal  Journal
	progress func(Progress)
	record   Record
	report   Report
	watch    watch
	// shifted is when the new slot got its first traffic, full when it got all, and returned when the former one had all again.
	shifted, full, returned time.Time
	// renewed is when the edge was last told the new slot's share.
	renewed time.Time
}

func (r Release) begin(o Order) *run {
	now := time.Now()
	x := &run{
		slots: slots{Target: r.Target, profile: r.Profile}, traffic: r.Traffic, journal: r.Journal, progress: r.Progress,
		record: Record{
			ID: o.ID, Environment: o.Environment, From: o.From, To: o.To, Phase: PhasePreflight, Since: now, Profile: r.Profile,
		},
		report: Report{
			ID: o.ID, Environment: o.Environment, From: o.From, To: o.To, Verified: o.Verified, Started: now,
			Phases: []PhaseRecord{}, Verdicts: []Verdict{},
		},
	}
	x.watch = watch{run: x, metrics: map[string]*verdict.History{}}
	return x
}

// carryOut makes a change up to the commit, and then does what is to be done: retire the former slot, or go back.
func (x *run) carryOut(ctx context.Context, change func(*run, context.Context) error) Report {
	if err := x.open(); err != nil {
		x.report.Outcome, x.report.Reason = OutcomeRefused, err.Error()
		return x.close()
	}
	err := change(x, ctx)
	switch {
	case err == nil:
		x.retire(context.WithoutCancel(ctx))
	case x.record.untouched():
		x.report.Outcome, x.report.Reason = OutcomeRefused, err.Error()
		if err := x.journal.Clear(); err != nil {
			x.report.Reason += "; and " + err.Error()
		}
	case x.record.Forward():
		x.report.Outcome = OutcomeStuck
		x.report.Reason = fmt.Sprintf("%s serves all of the traffic, but is not on record as the live slot: %s; %s", x.record.To.Slot, err, remedy(x.record.Environment))
	default:
		x.takeBack(context.WithoutCancel(ctx), err)
	}
	return x.close()
}

// open makes sure that no other release has been left in the middle, whose record this one would overwrite.
func (x *run) open() error {
	left, found, err := x.journal.Load()
	if err == nil && found {
		err = fmt.Errorf("release %s was left in phase %s: recover it first", left.ID, left.Phase)
	}
	if err == nil {
		err = x.record.check()
	}
	return err
}

// phase writes down that a phase begins, and carries it out. An interruption ends it as an error.
func (x *run) phase(ctx context.Context, phase Phase, percent int, f func(context.Context) error) (err error) {
	at := x.enter(phase, percent)
	defer func() { x.end(at, err) }()
	if err := interrupted(ctx, phase); err != nil {
		return err
	}
	record := x.record
	record.Phase, record.Percent, record.Since = phase, percent, time.Now()
	if err := x.journal.Save(record); err != nil {
		return err
	}
	x.record = record
	err = f(ctx)
	if stopped := interrupted(ctx, phase); stopped != nil && err != nil {
		return fmt.Errorf("%w (%w)", stopped, err)
	} else if stopped != nil {
		return stopped
	}
	return err
}

func interrupted(ctx context.Context, phase Phase) error {
	if ctx.Err() == nil {
		return nil
	}
	return fmt.Errorf("interrupted in phase %s: %w", phase, context.Cause(ctx))
}

// enter begins a phase in the report and returns its place there.
func (x *run) enter(phase Phase, percent int) int {
	x.report.Phases = append(x.report.Phases, PhaseRecord{Phase: phase, Percent: percent, Started: time.Now()})
	x.tell(Progress{Phase: phase, Percent: percent})
	return len(x.report.Phases) - 1
}

func (x *run) end(at int, err error) {
	x.report.Phases[at].Ended = time.Now()
	if err != nil {
		x.report.Phases[at].Problem = err.Error()
	}
}

func (x *run) tell(p Progress) {
	if x.progress != nil {
		p.Elapsed = time.Since(x.report.Started)
		x.progress(p)
	}
}

// release is a change by and by.
func (x *run) release(ctx context.Context) error {
	to := x.record.To.Slot
	if err := x.untouched(ctx); err != nil {
		return err
	}
	x.watch.observe(ctx)
	if err := x.phase(ctx, PhaseStart, 0, func(ctx context.Context) error { return x.start(ctx, to) }); err != nil {
		return err
	}
	if err := x.phase(ctx, PhaseSmoke, 0, func(ctx context.Context) error { return x.smoke(ctx, to) }); err != nil {
		return err
	}
	if x.profile.Load > 0 {
		if err := x.phase(ctx, PhaseLoad, 0, x.bear); err != nil {
			return err
		}
	}
	for _, percent := range x.profile.Steps {
		err := x.phase(ctx, PhaseCanary, percent, func(ctx context.Context) error {
			began := time.Now() // what is lost while the edge shifts belongs to the step
			if err := x.give(ctx, percent); err != nil {
				return err
			}
			return x.watch.hold(ctx, step{PhaseCanary, percent, began, x.profile.Step})
		})
		if err != nil {
			return err
		}
	}
	err := x.phase(ctx, PhaseBake, 100, func(ctx context.Context) error {
		if err := x.watch.hold(ctx, step{PhaseBake, 100, time.Now(), x.profile.Bake}); err != nil {
			return err
		}
		return x.serve(ctx, to)
	})
	if err != nil {
		return err
	}
	return x.settle(ctx)
}

// untouched are the phases in which nothing is changed.
func (x *run) untouched(ctx context.Context) error {
	err := x.phase(ctx, PhasePreflight, 0, func(ctx context.Context) error {
		return within(ctx, x.profile.Preflight, "look at the environment", x.Preflight)
	})
	if err != nil {
		return err
	}
	return x.phase(ctx, PhaseRestore, 0, func(ctx context.Context) error {
		return within(ctx, x.profile.Restore, "make a restore point", func(ctx context.Context) (err error) {
			x.record.RestorePoint, err = x.RestorePoint(ctx)
			return err
		})
	})
}

// give shifts traffic to the new slot for as long as the lease is renewed.
func (x *run) give(ctx context.Context, percent int) error {
	x.watch.observe(ctx) // what comes after it belongs to this step
	if percent == 100 {
		x.watch.remember()
	}
	began := time.Now()
	if x.shifted.IsZero() {
		x.shifted = began
		x.watch.begin()
	}
	if err := x.insist(ctx, x.record.To.Slot, percent, x.profile.Lease, x.profile.Lease/3); err != nil {
		return err
	}
	x.renewed = time.Now()
	if percent == 100 {
		x.taken(began)
	}
	return nil
}

// taken notes that the new slot has all of the traffic, after a shift that began at a moment.
func (x *run) taken(began time.Time) {
	x.full = time.Now()
	x.report.SwitchMS = verdict.Milliseconds(x.full.Sub(began))
	x.report.During = latency(x.between(x.shifted, x.full))
}

// renew tells the edge the same share again when a third of the lease is over. One that fails is repeated at the next look while the
// lease still has a third to go.
func (x *run) renew(ctx context.Context, percent int) error {
	now := time.Now()
	used := now.Sub(x.renewed)
	if used < x.profile.Lease/3 {
		return nil
	}
	err := x.shift(ctx, x.record.To.Slot, percent, x.profile.Lease)
	if err != nil && used >= 2*x.profile.Lease/3 {
		return err
	}
	if err == nil {
		x.renewed = now
	}
	return nil
}

// switchBack is a change at once.
func (x *run) switchBack(ctx context.Context) error {
	to := x.record.To.Slot
	if err := x.phase(ctx, PhaseStart, 0, func(ctx context.Context) error { return x.ready(ctx, to) }); err != nil {
		return err
	}
	err := x.phase(ctx, PhaseCanary, 100, func(ctx context.Context) error {
		x.shifted = time.Now()
		x.report.Before = latency(x.between(x.report.Started, x.shifted))
		if err := x.serve(ctx, to); err != nil {
			return err
		}
		x.taken(x.shifted)
		return nil
	})
	if err != nil {
		return err
	}
	x.report.NotUndone = notUndone(x.record)
	return x.settle(ctx)
}

// settle makes the new slot the live one. It already serves everything for good: a kill between the two moves no traffic, whichever
// way the next run goes. The record is the point of no return: until it is written the release can go back, and from then on an
// interruption has no effect.
func (x *run) settle(ctx context.Context) error {
	if err := interrupted(ctx, x.record.Phase); err != nil {
		return err
	}
	return x.phase(context.WithoutCancel(ctx), PhaseCommit, 100, func(ctx context.Context) error {
		return x.commit(ctx, x.record.To.Slot)
	})
}

// retire stops the former slot. The release has succeeded whatever comes of it; where it fails, the record stays for the next run.
func (x *run) retire(ctx context.Context) {
	x.report.Outcome = OutcomeReleased
	err := x.phase(ctx, PhaseRetire, 100, func(ctx context.Context) error { return x.leave(ctx, x.record.From.Slot, x.full) })
	if err == nil {
		x.tell(Progress{Phase: PhaseDone, Percent: 100})
	}
}

// leave drains and stops a slot that has had no traffic since a moment, after which nothing is left to do.
func (x *run) leave(ctx context.Context, slot string, since time.Time) error {
	if err := x.drain(ctx, slot); err != nil {
		return err
	}
	if x.report.DrainMS == 0 {
		x.report.DrainMS = verdict.Milliseconds(time.Since(since))
	}
	if err := x.stop(ctx, slot); err != nil {
		return err
	}
	return x.journal.Clear()
}

// takeBack gives all of the traffic back to the former slot before it does anything else, and then stops the new one.
func (x *run) takeBack(ctx context.Context, problem error) {
	decided := time.Now()
	x.report.Reason, x.report.NotUndone = problem.Error(), notUndone(x.record)
	at := x.enter(PhaseRollback, 0)
	err := x.serve(ctx, x.record.From.Slot)
	if err != nil {
		x.end(at, err)
		x.report.Outcome = OutcomeStuck
		x.report.Reason = fmt.Sprintf("%s; and the traffic could not be given back: %s; %s", problem, err, remedy(x.record.Environment))
		return
	}
	x.returned = time.Now()
	if !x.shifted.IsZero() {
		x.report.RollbackMS = verdict.Milliseconds(x.returned.Sub(decided))
		x.report.During = latency(x.between(x.shifted, x.returned))
	}
	x.report.Outcome = OutcomeRolledBack
	x.report.DrainMS = 0 // from now on it is the new slot that drains
	x.record.Phase, x.record.Percent, x.record.Since = PhaseRollback, 0, decided
	// Until this is written, the journal says "go back" just as well: a failure matters only where the rest fails too.
	saved := x.journal.Save(x.record)
	err = x.leave(ctx, x.record.To.Slot, x.returned)
	if err != nil && saved != nil {
		err = fmt.Errorf("%w; %w", err, saved)
	}
	x.end(at, err)
	if err == nil {
		x.tell(Progress{Phase: PhaseUndone})
	}
}
