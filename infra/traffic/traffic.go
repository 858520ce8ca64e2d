// Package traffic keeps an environment's edge in step with its slots: which replicas there are, and which slot is given how much. It
// decides nothing about a slot's share: a release does, and whatever else speaks to the edge keeps it.
package traffic

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

const (
	// readyLimit is how long the edge may take to find every replica ready: they are healthy on the platform by then.
	readyLimit = 30 * time.Second
	// drainLimit is how long the last requests of a replica may take: no answer of the service takes longer.
	drainLimit = time.Minute
)

// Change is what the edge is told: the replicas of every slot that serves, with these weights in percent.
func Change(slots environment.Slots, weights map[string]int) edge.Change {
	c := edge.Change{Slots: map[string]edge.Share{}}
	for name, slot := range slots.Serving() {
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

// Direct tells the edge which replicas there are, and waits until it finds them ready. The weights stay as they are; only an edge that
// knows of none gives everything to the live slot.
func Direct(ctx context.Context, client *edge.Client, slots environment.Slots) error {
	state, err := client.State(ctx)
	if err != nil {
		return err
	}
	weights := map[string]int{}
	for name, slot := range state.Slots {
		weights[name] = slot.Weight
	}
	if !slices.ContainsFunc(slices.Collect(maps.Values(weights)), func(weight int) bool { return weight > 0 }) {
		weights = map[string]int{slots.Live: 100}
	}
	wanted := Change(slots, weights)
	if !reflect.DeepEqual(wanted.Slots, sharesOf(state)) {
		if state, err = client.Set(ctx, wanted); err != nil {
			return err
		}
	}
	return waitReady(ctx, client, state)
}

// TakeOut tells the edge of the replicas of the live slot that stay, and waits until those that go have answered their last request.
func TakeOut(ctx context.Context, client *edge.Client, slots environment.Slots) error {
	state, err := client.Set(ctx, Change(slots, map[string]int{slots.Live: 100}))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, drainLimit, fmt.Errorf("requests are still in flight after %s", drainLimit))
	defer cancel()
	return await(ctx, client, state, func(state edge.State) bool { return state.Draining[slots.Live] == 0 })
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
func waitReady(ctx context.Context, client *edge.Client, state edge.State) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyLimit, fmt.Errorf("the edge does not find every replica ready after %s", readyLimit))
	defer cancel()
	var missing []string
	err := await(ctx, client, state, func(state edge.State) bool {
		missing = Unready(state)
		return len(missing) == 0
	})
	if err != nil && len(missing) > 0 {
		return fmt.Errorf("%w: %s", err, strings.Join(missing, "; "))
	}
	return err
}

// await asks the edge until its state is as wished.
func await(ctx context.Context, client *edge.Client, state edge.State, wished func(edge.State) bool) error {
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for !wished(state) {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
		var err error
		if state, err = client.State(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Unready lists the replicas that the edge would send nobody to, and why.
func Unready(state edge.State) []string {
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
