package delivery

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"bookshelf/infra/environment"
	"bookshelf/infra/runtime/edge"
)

// edgeTimeout is how long the edge may take to find every replica of the live slot ready: they are healthy on the platform by then.
const edgeTimeout = 30 * time.Second

// change is what the edge is told: the replicas of every slot that serves, with these weights.
func (s *session) change(weights map[string]int) edge.Change {
	c := edge.Change{Slots: map[string]edge.Share{}}
	for name, slot := range s.slots.Serving() {
		share := edge.Share{Weight: weights[name]}
		for n := 1; n <= slot.Replicas; n++ {
			host := environment.Replica(name, n)
			share.Replicas = append(share.Replicas, edge.Address{
				Address: fmt.Sprintf("%s:%d", host, environment.APIPort), Admin: fmt.Sprintf("%s:%d", host, environment.AdminPort),
			})
		}
		c.Slots[name] = share
	}
	return c
}

// direct tells the edge which replicas there are, and waits until it finds them ready. The weights stay as they are; only an edge that
// knows of none gives everything to the live slot.
func (s *session) direct(ctx context.Context) error {
	state, err := s.edge.State(ctx)
	if err != nil {
		return err
	}
	weights := map[string]int{}
	for name, slot := range state.Slots {
		weights[name] = slot.Weight
	}
	if !slices.ContainsFunc(slices.Collect(maps.Values(weights)), func(weight int) bool { return weight > 0 }) {
		weights = map[string]int{s.slots.Live: 100}
	}
	wanted := s.change(weights)
	if !reflect.DeepEqual(wanted.Slots, sharesOf(state)) {
		if state, err = s.edge.Set(ctx, wanted); err != nil {
			return err
		}
	}
	return s.waitReady(ctx, state)
}

// sharesOf is what would have to be set to have the state.
func sharesOf(state edge.State) map[string]edge.Share {
	shares := map[string]edge.Share{}
	for name, slot := range state.Slots {
		share := edge.Share{Weight: slot.Weight}
		for _, replica := range slot.Replicas {
			share.Replicas = append(share.Replicas, edge.Address{Address: replica.Address, Admin: replica.Admin})
		}
		shares[name] = share
	}
	return shares
}

// waitReady returns when the edge finds every replica of every slot ready.
func (s *session) waitReady(ctx context.Context, state edge.State) error {
	ctx, cancel := context.WithTimeoutCause(ctx, edgeTimeout, fmt.Errorf("the edge does not find every replica ready after %s", edgeTimeout))
	defer cancel()
	var missing []string
	err := s.await(ctx, state, func(state edge.State) bool {
		missing = unready(state)
		return len(missing) == 0
	})
	if err != nil && len(missing) > 0 {
		return fmt.Errorf("%w: %s", err, strings.Join(missing, "; "))
	}
	return err
}

// await asks the edge until its state is as wished.
func (s *session) await(ctx context.Context, state edge.State, wished func(edge.State) bool) error {
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for !wished(state) {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
		var err error
		if state, err = s.edge.State(ctx); err != nil {
			return err
		}
	}
	return nil
}

// unready lists the replicas that the edge would send nobody to, and why.
func unready(state edge.State) []string {
	var missing []string
	for _, name := range slices.Sorted(maps.Keys(state.Slots)) {
		for _, replica := range state.Slots[name].Replicas {
			if !replica.Healthy {
				missing = append(missing, fmt.Sprintf("%s (%s)", replica.Address, replica.Detail))
			}
		}
	}
	return missing
}
