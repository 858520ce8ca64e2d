package delivery

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"bookshelf/infra/release"
	"bookshelf/infra/stack"
)

// lockedByRelease returns the process that carries out a release, when that is why the lock is not to be had.
func lockedByRelease(err error) (*stack.LockedError, bool) {
	locked, ok := errors.AsType[*stack.LockedError](err)
	return locked, ok && locked.Command() == "release"
}

// interruptRelease tells a running release to take itself back, as Ctrl-C would, and waits for its report.
func (o *Operator) interruptRelease(ctx context.Context, name string, locked *stack.LockedError) (release.Report, error) {
	before, err := o.history(name).All()
	if err != nil {
		return release.Report{}, err
	}
	o.Report.Note("telling process %d, which carries out the release, to take it back", locked.PID())
	if err := syscall.Kill(locked.PID(), syscall.SIGINT); err != nil && !errors.Is(err, syscall.ESRCH) {
		return release.Report{}, fmt.Errorf("interrupt process %d: %w", locked.PID(), err)
	}
	if err := o.Layout.WaitUnlocked(ctx, name); err != nil {
		return release.Report{}, err
	}
	after, err := o.history(name).All()
	if err != nil {
		return release.Report{}, err
	}
	if len(after) == len(before) {
		return release.Report{}, fmt.Errorf("the release has ended without a report: run `deliver up -e %s`", name)
	}
	return after[0], nil
}
