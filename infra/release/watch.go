package release

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bookshelf/infra/release/verdict"
)

// watch judges the new slot as long as it has a share of the traffic and the old one could take over.
type watch struct {
	run     *run
	metrics map[string]*verdict.History
	// old is what the old slot had shown when it lost its last traffic, and apart from when that is.
	old   verdict.Side
	apart string
	// sentBefore and lostBefore say how many requests no slot answered, of how many, before the first shift.
	sentBefore, lostBefore int
	// warm is when the new slot had answered so many requests that its latency can be judged.
	warm time.Time
	// told is when Progress was last told rates.
	told time.Time
}

// step is a share of the traffic for a time.
type step struct {
	phase   Phase
	percent int
	began   time.Time
	least   time.Duration
}

func (s step) String() string { return fmt.Sprintf("%s at %d %%", s.phase, s.percent) }

// hold watches one step for its least duration. It returns nil when the new slot is good, and an error as soon as it is bad, or when
// nothing was certain for longer than the step and its hold.
func (w *watch) hold(ctx context.Context, s step) error {
	if s.least == 0 {
		return nil
	}
	profile := w.run.profile
	patience := profile.Step + profile.Hold
	looks := int((s.least + patience) / profile.Every)
	ticker := time.NewTicker(profile.Every)
	defer ticker.Stop()
	for certain := s.began; ; {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
		v, err := w.look(ctx, s, looks)
		if err != nil {
			return err
		}
		over := time.Since(s.began) >= s.least
		switch {
		case v.Decision == verdict.Fail:
			w.keep(v)
			return fmt.Errorf("%s: %s", s, v.Why())
		case v.Decision == verdict.Pass && over:
			w.keep(v)
			return nil
		case v.Decision == verdict.Pass:
			certain = time.Now()
		case time.Since(certain) > patience:
			w.keep(v)
			return fmt.Errorf("%s: nothing certain for %s: %s", s, short(patience), v.Why())
		}
		if err := w.run.renew(ctx, s.percent); err != nil {
			return err
		}
	}
}

// look takes one look: is the new slot alive, and how does it compare?
func (w *watch) look(ctx context.Context, s step, looks int) (Verdict, error) {
	x, to := w.run, w.run.record.To.Slot
	crashed, unknown := x.alive(ctx, to)
	if crashed != nil {
		return Verdict{}, fmt.Errorf("%s: %w", s, crashed)
	}
	w.observe(ctx)
	if x.report.DrainMS == 0 && s.percent == 100 {
		if left, err := x.inFlight(ctx, x.record.From.Slot); err == nil && left == 0 {
			x.report.DrainMS = verdict.Milliseconds(time.Since(x.full))
		}
	}
	if late := time.Since(x.renewed); late > x.profile.Lease {
		return Verdict{}, fmt.Errorf("%s: held up for %s, longer than the edge keeps a share that nobody renews", s, late.Round(time.Second))
	}
	e := w.evidence(s, looks)
	e.Unknown = unknown
	v := Verdict{At: time.Now(), Phase: s.phase, Percent: s.percent, Verdict: verdict.Judge(e, x.profile.Rules)}
	if last := len(x.report.Verdicts) - 1; last < 0 || !sameStep(x.report.Verdicts[last], v) || x.report.Verdicts[last].Decision != v.Decision {
		w.keep(v)
	}
	x.tell(Progress{Phase: s.phase, Percent: s.percent, Rates: w.rates(s.began, v.At), Verdict: &v})
	return v, nil
}

// keep puts a verdict into the report: the first of a step, each that says something else than the one before, and the last.
func (w *watch) keep(v Verdict) {
	kept := &w.run.report.Verdicts
	if last := len(*kept) - 1; last >= 0 && (*kept)[last].At.Equal(v.At) {
		return
	}
	*kept = append(*kept, v)
}

func sameStep(a, b Verdict) bool { return a.Phase == b.Phase && a.Percent == b.Percent }

// evidence gathers everything about a step up to now.
func (w *watch) evidence(s step, looks int) verdict.Evidence {
	x, now := w.run, time.Now()
	probe := x.between(s.began, now)
	e := verdict.Evidence{
		Percent: s.percent, Looks: looks, Nobody: probe[""], LostBefore: w.lostBefore, SentBefore: w.sentBefore,
		Step: w.sides(probe, s.began),
	}
	if w.warm.IsZero() && e.Step.New.Probe.Requests >= x.profile.Rules.Fewest {
		w.warm = now
	}
	lately := s.began
	if s.percent == 100 && now.Add(-x.profile.Step).After(lately) {
		lately = now.Add(-x.profile.Step)
	}
	if w.warm.After(lately) {
		lately = w.warm
	}
	if !w.warm.IsZero() {
		e.Lately = w.sides(x.between(lately, now), lately)
	}
	if s.percent == 100 {
		e.Step.Old, e.Lately.Old, e.Apart = w.old, w.old, w.apart
	}
	return e
}

// sides is what both slots have shown since a moment.
func (w *watch) sides(probe map[string]verdict.Sample, since time.Time) verdict.Sides {
	return verdict.Sides{New: w.side(w.run.record.To.Slot, probe, since), Old: w.side(w.run.record.From.Slot, probe, since)}
}

// side is what a slot has shown since a moment.
func (w *watch) side(slot string, probe map[string]verdict.Sample, since time.Time) verdict.Side {
	s := verdict.Side{Probe: probe[slot]}
	h := w.of(slot)
	if s.Problem = h.Problem; s.Problem == nil {
		s.Metrics, s.Problem = h.Since(since)
	}
	return s
}

// begin keeps what was so before the new slot had any traffic. It is asked for then: a probe need not remember it to the end.
func (w *watch) begin() {
	before := w.run.between(w.run.report.Started, w.run.shifted)
	w.lostBefore = before[""].Lost
	for _, sample := range before {
		w.sentBefore += sample.Requests
	}
	w.run.report.Before = latency(before)
}

// remember keeps what the old slot has shown, at the moment at which it loses its last traffic: during the canary, or where that was too
// short, since the release began.
func (w *watch) remember() {
	x, now := w.run, time.Now()
	from, when := x.report.Started, "before and during the canary"
	if !x.shifted.IsZero() {
		canary := x.between(x.shifted, now)[x.record.From.Slot]
		if len(canary.Latencies) >= x.profile.Rules.MinSamples {
			from, when = x.shifted, "during the canary"
		}
	}
	w.apart = fmt.Sprintf("%s (%s to %s)", when, from.Format(time.TimeOnly), now.Format(time.TimeOnly))
	w.old = verdict.Side{Probe: x.between(from, now)[x.record.From.Slot]}
	w.old.Metrics, w.old.Problem = w.of(x.record.From.Slot).Since(from)
}

// observe reads the slots' metrics. What cannot be read makes the next verdict inconclusive.
func (w *watch) observe(ctx context.Context) {
	x := w.run
	var seen map[string]verdict.Observation
	err := within(ctx, callTimeout, "read the slots' metrics", func(ctx context.Context) (err error) {
		seen, err = x.Observe(ctx)
		return err
	})
	now := time.Now()
	for _, slot := range []string{x.record.From.Slot, x.record.To.Slot} {
		observation, found := seen[slot]
		switch h := w.of(slot); {
		case err != nil:
			h.Problem = err
		case !found:
			h.Problem = errors.New("there are no metrics")
		default:
			h.Add(now, observation)
		}
	}
}

func (w *watch) of(slot string) *verdict.History {
	if w.metrics[slot] == nil {
		w.metrics[slot] = &verdict.History{}
	}
	return w.metrics[slot]
}

// rates are the probe's requests per second since they were last told, or since the step began.
func (w *watch) rates(began, now time.Time) map[string]float64 {
	from := began
	if w.told.After(from) {
		from = w.told
	}
	w.told = now
	rates := map[string]float64{}
	for slot, sample := range w.run.between(from, now) {
		rates[slot] = float64(sample.Requests) / now.Sub(from).Seconds()
	}
	return rates
}
