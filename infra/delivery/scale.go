package delivery

import (
	"context"
	"fmt"
	"time"

	"bookshelf/infra/environment"
	"bookshelf/infra/runtime/edge"
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
	if err := s.writeSlots(s.slots.With(s.slots.Live, live)); err != nil {
		return ScaleResult{}, err
	}
	if replicas < result.Before {
		if err := s.takeOut(ctx); err != nil {
			return ScaleResult{}, err
		}
	}
	if _, err := s.converge(ctx); err != nil {
		return ScaleResult{}, err
	}
	if err := s.direct(ctx); err != nil {
		return ScaleResult{}, err
	}
	result.Seconds = time.Since(begun).Seconds()
	return result, nil
}

// takeOut tells the edge of the replicas that stay, and waits until those that go have answered their last request.
func (s *session) takeOut(ctx context.Context) error {
	state, err := s.edge.Set(ctx, s.change(map[string]int{s.slots.Live: 100}))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, drainLimit, fmt.Errorf("requests are still in flight after %s", drainLimit))
	defer cancel()
	return s.await(ctx, state, func(state edge.State) bool { return state.Draining[s.slots.Live] == 0 })
}

// drainLimit is how long the last requests of a replica may take: no answer of the service takes longer.
const drainLimit = time.Minute
