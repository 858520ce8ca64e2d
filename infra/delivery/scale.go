package delivery

import (
	"context"
	"fmt"
	"time"

	"bookshelf/infra/environment"
	"bookshelf/infra/traffic"
)

// ScaleResult is what Scale did. Its JSON form is what `deliver scale --json` prints.
type ScaleResult struct {
	Environment string  `json:"environment"`
	Before      int     `json:"before"`
	Replicas    int     `json:"replicas"`
	Seconds     float64 `json:"seconds"`
}

// Scale gives the live slot another number of replicas, without losing a request: new ones are given requests when they are ready, and
// those that go are given none and have answered their last before they are stopped.
func (o *Operator) Scale(ctx context.Context, name string, replicas int) (ScaleResult, error) {
	begun := time.Now()
	if replicas < 1 || replicas > environment.MaxReplicas {
		return ScaleResult{}, &UsageError{Problem: fmt.Sprintf("%d replicas: want 1 to %d", replicas, environment.MaxReplicas)}
	}
	s, unlock, err := o.reopen(ctx, name, "scale")
	if err != nil {
		return ScaleResult{}, err
	}
	defer unlock()
	if err := s.settleRelease(ctx); err != nil {
		return ScaleResult{}, err
	}
	live := s.slots.LiveSlot()
	result := ScaleResult{Environment: name, Before: live.Replicas, Replicas: replicas}
	live.Replicas = replicas
	if err := s.WriteSlots(s.slots.With(s.slots.Live, live)); err != nil {
		return ScaleResult{}, err
	}
	if replicas < result.Before {
		if err := traffic.TakeOut(ctx, s.edge, s.slots); err != nil {
			return ScaleResult{}, err
		}
	}
	if err := s.Converge(ctx); err != nil {
		return ScaleResult{}, err
	}
	if err := traffic.Direct(ctx, s.edge, s.slots); err != nil {
		return ScaleResult{}, err
	}
	result.Seconds = time.Since(begun).Seconds()
	return result, nil
}
