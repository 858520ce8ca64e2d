package release

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// callTimeout bounds each question and each shift, so that a lease can be renewed in time and a shift back is tried again.
	callTimeout = 5 * time.Second
	// retryEvery is the pause between two attempts to shift.
	retryEvery = 100 * time.Millisecond
	// drainEvery is how often a slot is asked whether it still answers requests.
	drainEvery = 50 * time.Millisecond
)

// slots are what a running release and the recovery of a killed one do alike.
type slots struct {
	Target

	profile Profile
}

// errLate is the cause of a call that was cut short by its own time-out: what it asked for is not known.
var errLate = errors.New("no answer in time")

// within calls f with a limit of time. What it returns says what was done, and how it was cut short.
func within(ctx context.Context, limit time.Duration, what string, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%w: not done within %s", errLate, limit))
	defer cancel()
	err := f(ctx)
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// shift gives a slot a share of the traffic, which the edge keeps as long as it is renewed.
func (s slots) shift(ctx context.Context, slot string, percent int, lease time.Duration) error {
	return within(ctx, callTimeout, fmt.Sprintf("shift %d %% of the traffic to %s", percent, slot), func(ctx context.Context) error {
		return s.Shift(ctx, slot, percent, lease)
	})
}

// serve gives a slot all of the traffic for good. It tries again until a lease would have run out.
func (s slots) serve(ctx context.Context, slot string) error {
	return s.insist(ctx, slot, 100, 0, s.profile.Lease)
}

// insist shifts, and tries again for a time.
func (s slots) insist(ctx context.Context, slot string, percent int, lease, patience time.Duration) error {
	for deadline := time.Now().Add(patience); ; {
		err := s.shift(ctx, slot, percent, lease)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		if pause(ctx, retryEvery) != nil {
			return err
		}
	}
}

// drain waits until a slot that gets no traffic any more has answered its last request.
func (s slots) drain(ctx context.Context, slot string) error {
	for deadline := time.Now().Add(s.profile.Drain); ; {
		left, err := s.inFlight(ctx, slot)
		if err == nil && left == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			if err == nil {
				err = fmt.Errorf("%s still answers %d requests after %s", slot, left, s.profile.Drain)
			}
			return fmt.Errorf("%w; it stays up without traffic", err)
		}
		if err := pause(ctx, drainEvery); err != nil {
			return fmt.Errorf("drain %s: %w", slot, err)
		}
	}
}

func (s slots) inFlight(ctx context.Context, slot string) (left int, err error) {
	err = within(ctx, callTimeout, "ask how many requests "+slot+" is answering", func(ctx context.Context) error {
		left, err = s.InFlight(ctx, slot)
		return err
	})
	return left, err
}

// alive says what has become of a slot's replicas: which has crashed, or why that is not known in time.
func (s slots) alive(ctx context.Context, slot string) (crashed, unknown error) {
	err := within(ctx, callTimeout, "look after "+slot, func(ctx context.Context) error { return s.Alive(ctx, slot) })
	if errors.Is(err, errLate) {
		return nil, err
	}
	return err, nil
}

// standDown drains a slot and stops it. It never cuts a request short: a slot that cannot be drained stays up.
func (s slots) standDown(ctx context.Context, slot string) error {
	if err := s.drain(ctx, slot); err != nil {
		return err
	}
	return s.stop(ctx, slot)
}

// stop ends a drained slot.
func (s slots) stop(ctx context.Context, slot string) error {
	return within(ctx, s.profile.Commit, "stop "+slot, func(ctx context.Context) error { return s.Retire(ctx, slot) })
}

// start brings a slot up.
func (s slots) start(ctx context.Context, slot string) error {
	return within(ctx, s.profile.Start, "start "+slot, func(ctx context.Context) error { return s.Start(ctx, slot) })
}

func (s slots) smoke(ctx context.Context, slot string) error {
	return within(ctx, s.profile.Smoke, "try "+slot, func(ctx context.Context) error { return s.Smoke(ctx, slot) })
}

// ready brings a slot up unless it already answers as it should.
func (s slots) ready(ctx context.Context, slot string) error {
	asked := s.smoke(ctx, slot)
	if asked == nil || ctx.Err() != nil {
		return asked
	}
	if err := s.start(ctx, slot); err != nil {
		return fmt.Errorf("%w (before: %w)", err, asked)
	}
	return s.smoke(ctx, slot)
}

// commit makes a slot the live one. Its attempts are few: each may take its time, and what is left undone is done by Recover.
func (s slots) commit(ctx context.Context, slot string) (err error) {
	for range 3 {
		err = within(ctx, s.profile.Commit, "make "+slot+" the live slot", func(ctx context.Context) error { return s.Commit(ctx, slot) })
		if err == nil || pause(ctx, time.Second) != nil {
			break
		}
	}
	return err
}

// pause waits, or returns why it could not.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
