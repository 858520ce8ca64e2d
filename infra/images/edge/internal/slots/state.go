package slots

import (
	"maps"
	"time"
)

// State is what the edge is doing, as it prints it.
type State struct {
	Generation uint64               `json:"generation"` // rises by one with each change
	Slots      map[string]SlotState `json:"slots"`
	Lease      *Lease               `json:"lease,omitempty"`
	// Draining is what is still in flight on replicas that were removed, by slot.
	Draining map[string]int64 `json:"draining"`
	// StateErrors counts since the start how often the state could not be read or kept.
	StateErrors int `json:"state_errors"`
}

// SlotState is one slot. Requests and Errors count since the start; an error is a status from 500, or no whole answer.
type SlotState struct {
	Weight   int            `json:"weight"`
	InFlight int64          `json:"in_flight"`
	Requests int64          `json:"requests"`
	Errors   int64          `json:"errors"`
	Replicas []ReplicaState `json:"replicas"`
}

// ReplicaState is one replica.
type ReplicaState struct {
	Address  string    `json:"address"`
	Admin    string    `json:"admin"`
	Healthy  bool      `json:"healthy"`
	Since    time.Time `json:"since"`  // of the last change of Healthy
	Detail   string    `json:"detail"` // why it is not healthy
	InFlight int64     `json:"in_flight"`
}

// State returns what is so now.
func (t *Table) State() State {
	t.mu.Lock()
	defer t.mu.Unlock()
	state := State{
		Generation:  t.doc.Generation,
		Slots:       map[string]SlotState{},
		Lease:       t.doc.Lease,
		Draining:    t.draining(),
		StateErrors: t.stateErrors,
	}
	for name, s := range t.routing.Load().slots {
		one := SlotState{
			Weight: s.weight, Requests: s.counts.requests.Load(), Errors: s.counts.errors.Load(), Replicas: []ReplicaState{},
		}
		for _, r := range s.replicas {
			replica := r.state()
			one.InFlight += replica.InFlight
			one.Replicas = append(one.Replicas, replica)
		}
		state.Slots[name] = one
	}
	return state
}

func (r *Replica) state() ReplicaState {
	r.mu.Lock()
	defer r.mu.Unlock()
	return ReplicaState{
		Address: r.address.Address, Admin: r.address.Admin,
		Healthy: r.healthy.Load(), Since: r.since.UTC(), Detail: r.detail, InFlight: r.inFlight.Load(),
	}
}

// Requests returns how many requests of each slot ended in each class since the start, slots that are gone included:
// "2xx" and so on, "none" where there was no whole answer.
func (t *Table) Requests() map[string]map[string]int64 {
	t.mu.Lock()
	all := maps.Clone(t.counts)
	t.mu.Unlock()
	result := map[string]map[string]int64{}
	for name, c := range all {
		result[name] = map[string]int64{}
		for i, class := range classes {
			result[name][class] = c.classes[i].Load()
		}
	}
	return result
}
