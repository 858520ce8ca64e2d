package traffic

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"bookshelf/infra/environment"
	"bookshelf/infra/runtime"
	"bookshelf/infra/runtime/edge"
	"bookshelf/infra/runtime/edge/edgetest"
)

var twoSlots = environment.Slots{Live: "blue", Slots: map[string]environment.Slot{"blue": {Replicas: 1}, "green": {Replicas: 2}}}

// knowing is an edge that says these states one after the other, the last one again and again, and notes what it is told.
func knowing(states ...edge.State) (client *edge.Client, told *[]edge.Change) {
	told = &[]edge.Change{}
	env := runtime.Environment{Project: "bookshelf", Name: "dev"}
	return edge.New(&edgetest.Platform{Answer: func(command []string, stdin []byte) (any, error) {
		if len(command) > 1 {
			var change edge.Change
			if err := json.Unmarshal(stdin, &change); err != nil {
				return nil, err
			}
			*told = append(*told, change)
		}
		state := states[0]
		if len(states) > 1 {
			states = states[1:]
		}
		return state, nil
	}}, env), told
}

// known is what an edge says that was told a change.
func known(change edge.Change, healthy bool) edge.State {
	state := edge.State{Slots: map[string]edge.Slot{}}
	for name, share := range change.Slots {
		slot := edge.Slot{Weight: share.Weight}
		for _, r := range share.Replicas {
			slot.Replicas = append(slot.Replicas, edge.Replica{Address: r.Address, Admin: r.Admin, Healthy: healthy, Detail: "503"})
		}
		state.Slots[name] = slot
	}
	return state
}

func TestTheEdgeIsDirectedOnlyWhenItKnowsOtherReplicas(t *testing.T) {
	t.Parallel()
	split := map[string]int{"blue": 75, "green": 25}
	fewer := twoSlots.With("green", environment.Slot{Replicas: 1})
	for name, test := range map[string]struct {
		knows edge.State
		want  []edge.Change
	}{
		"it knows them":          {known(Change(twoSlots, split), true), []edge.Change{}},
		"it knows one too few":   {known(Change(fewer, split), true), []edge.Change{Change(twoSlots, split)}},
		"it knows nothing":       {edge.State{}, []edge.Change{Change(twoSlots, map[string]int{"blue": 100})}},
		"it gives nobody a part": {known(Change(twoSlots, nil), true), []edge.Change{Change(twoSlots, map[string]int{"blue": 100})}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, told := knowing(test.knows)
			if err := Direct(t.Context(), client, twoSlots); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, *told); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAReplicaThatTheEdgeNeverFindsReadyIsNamed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, _ := knowing(known(Change(twoSlots, map[string]int{"blue": 100}), false))
		err := Direct(t.Context(), client, twoSlots)
		want := "the edge does not find every replica ready after 30s: app-blue-1:8080 (503); app-green-1:8080 (503); app-green-2:8080 (503)"
		if err == nil || err.Error() != want {
			t.Errorf("want %q, have %v", want, err)
		}
	})
}

func TestReplicasAreTakenOutWhenTheyHaveAnsweredTheirLastRequest(t *testing.T) {
	t.Parallel()
	draining := edge.State{Draining: map[string]int{"blue": 3}}
	for name, test := range map[string]struct {
		states []edge.State
		want   string
	}{
		"at once":   {[]edge.State{{}}, ""},
		"after all": {[]edge.State{draining, draining, {}}, ""},
		"never":     {[]edge.State{draining}, "requests are still in flight after 1m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, told := knowing(test.states...)
				err := TakeOut(t.Context(), client, twoSlots)
				if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
					t.Errorf("want %q, have %v", test.want, err)
				}
				if diff := cmp.Diff([]edge.Change{Change(twoSlots, map[string]int{"blue": 100})}, *told); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}
