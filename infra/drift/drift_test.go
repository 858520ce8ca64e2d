package drift

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bookshelf/infra/environment"
	"bookshelf/infra/runtime"
	"bookshelf/infra/stack"
)

func TestWhatDiffersFromTheStateIsRepaired(t *testing.T) {
	t.Parallel()
	container := stack.Container{URN: "urn:app", ID: "1", Name: "app", Networks: []string{"back"}, MemoryMiB: 64}
	healthy := runtime.Instance{
		ID: "1", Name: "app", Kind: runtime.KindService, State: runtime.StateHealthy, Networks: []string{"back"}, MemoryBytes: 64 << 20,
	}
	changed := func(change func(*runtime.Instance)) []runtime.Instance {
		instance := healthy
		change(&instance)
		return []runtime.Instance{instance}
	}
	for name, test := range map[string]struct {
		container stack.Container
		instances []runtime.Instance
		lost      map[string]bool
		want      []string
	}{
		"nothing, when it is as it should be": {container: container, instances: []runtime.Instance{healthy}},
		"nothing, while it starts": {
			container: container, instances: changed(func(i *runtime.Instance) { i.State = runtime.StateStarting }),
		},
		"a removed container is replaced": {container: container, want: []string{"app is gone: replace it"}},
		"another one in its place is removed first": {
			container: container, instances: changed(func(i *runtime.Instance) { i.ID = "2" }),
			want: []string{"app is not the one that was deployed: remove it", "app is gone: replace it"},
		},
		"a stopped container is started": {
			container: container,
			instances: changed(func(i *runtime.Instance) { i.State, i.ExitCode = runtime.StateStopped, 137 }),
			want:      []string{"app is stopped (exit code 137): start it"},
		},
		"a paused container is started": {
			container: container, instances: changed(func(i *runtime.Instance) { i.State = runtime.StatePaused }),
			want: []string{"app is paused: start it"},
		},
		"an unhealthy container is started anew": {
			container: container, instances: changed(func(i *runtime.Instance) { i.State = runtime.StateUnhealthy }),
			want: []string{"app is unhealthy: start it"},
		},
		"one that was never healthy is replaced": {
			container: stack.Container{URN: "urn:app", ID: "1", Name: "app", Networks: []string{"back"}, MemoryMiB: 64, Broken: true},
			instances: []runtime.Instance{healthy}, want: []string{"app has never been healthy: replace it"},
		},
		"a task that failed is run again": {
			container: container,
			instances: changed(func(i *runtime.Instance) { i.Kind, i.State, i.ExitCode = runtime.KindTask, runtime.StateFailed, 2 }),
			want:      []string{"app ended with exit code 2: replace it"},
		},
		"a task that was never started is run again": {
			container: container,
			instances: changed(func(i *runtime.Instance) { i.Kind, i.State = runtime.KindTask, runtime.StateStopped }),
			want:      []string{"app is stopped (exit code 0): replace it"},
		},
		"a renamed container is replaced": {
			container: container, instances: changed(func(i *runtime.Instance) { i.Name = "mine" }),
			want: []string{"app was renamed to mine: replace it"},
		},
		"a container taken off its network is replaced": {
			container: container, instances: changed(func(i *runtime.Instance) { i.Networks = nil }),
			want: []string{"app is on networks [] instead of [back]: replace it"},
		},
		"a container put on another network is replaced": {
			container: container, instances: changed(func(i *runtime.Instance) { i.Networks = []string{"back", "bridge"} }),
			want: []string{"app is on networks [back bridge] instead of [back]: replace it"},
		},
		"a changed memory limit is put back": {
			container: container, instances: changed(func(i *runtime.Instance) { i.MemoryBytes = 0 }),
			want: []string{"app may use 0 MiB of memory instead of 64: replace it"},
		},
		"whatever was on a lost network is replaced": {
			container: container, instances: []runtime.Instance{healthy}, lost: map[string]bool{"back": true},
			want: []string{"app was on a network that is gone: replace it"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, f := range compare(test.container, test.instances, test.lost) {
				got = append(got, f.String())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// engine has instances, networks and volumes.
type engine struct {
	runtime.Platform
	instances []runtime.Instance
	objects   map[string]bool
}

func (e engine) Instances(context.Context, runtime.Environment) ([]runtime.Instance, error) {
	return e.instances, nil
}

func (e engine) NetworkExists(_ context.Context, name string) (bool, error) {
	return e.objects[name], nil
}

func (e engine) VolumeExists(_ context.Context, name string) (bool, error) {
	return e.objects[name], nil
}

var dev = runtime.Environment{Project: "bookshelf", Name: "dev"}

// slots are blue, which serves, and green with what was retired of two replicas.
var slots = environment.Slots{Live: "blue", Slots: map[string]environment.Slot{"blue": {Replicas: 1}, "green": {Replicas: 2, Retired: true}}}

func TestALostNetworkTakesWhatWasOnItAlong(t *testing.T) {
	t.Parallel()
	believed := stack.Resources{
		Containers: []stack.Container{{URN: "urn:edge", ID: "1", Name: "edge", Networks: []string{"public"}}},
		Networks:   []stack.Object{{URN: "urn:backend", Name: "backend"}, {URN: "urn:public", Name: "public"}},
	}
	e := engine{instances: []runtime.Instance{{ID: "1", Name: "edge", State: runtime.StateHealthy}}, objects: map[string]bool{"backend": true}}
	found, err := Find(t.Context(), e, dev, believed, slots)
	if diff := cmp.Diff([]string{"urn:public", "urn:edge"}, found.Replace()); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestNothingIsExpectedOfAnIdleSlot(t *testing.T) {
	t.Parallel()
	believed := stack.Resources{Containers: []stack.Container{
		{URN: "urn:blue", Name: "bookshelf-dev-app-blue-1"},
		{URN: "urn:green", Name: "bookshelf-dev-app-green-1"},
		{URN: "urn:migration", Name: "bookshelf-dev-migration-green"},
	}}
	found, err := Find(t.Context(), engine{}, dev, believed, slots)
	if diff := cmp.Diff([]string{"urn:blue"}, found.Replace()); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestDataThatIsGoneIsNoDifferenceThatIsRepaired(t *testing.T) {
	t.Parallel()
	believed := stack.Resources{Volumes: []stack.Object{{Name: "secrets"}, {Name: "data", Protected: true}}}
	_, err := Find(t.Context(), engine{}, dev, believed, slots)
	if lost, ok := errors.AsType[*LostDataError](err); !ok || lost.Volume != "data" || lost.Environment != "dev" {
		t.Errorf("have %v", err)
	}
	if found, err := Find(t.Context(), engine{objects: map[string]bool{"data": true}}, dev, believed, slots); err != nil || len(found) > 0 {
		t.Errorf("with the data there: %v, %v", found, err)
	}
}

func TestARetiredSlotIsBrokenWithoutAnyOfItsReplicas(t *testing.T) {
	t.Parallel()
	green := func(name string) runtime.Instance {
		return runtime.Instance{Name: "bookshelf-dev-" + name, Component: "app", Slot: "green", State: runtime.StateStopped}
	}
	for name, test := range map[string]struct {
		instances []runtime.Instance
		want      []string
	}{
		"it is whole":              {[]runtime.Instance{green("app-green-2"), green("app-green-1")}, nil},
		"one is gone":              {[]runtime.Instance{green("app-green-2")}, []string{"green"}},
		"one has another name":     {[]runtime.Instance{green("app-green-1"), green("app-green-3")}, []string{"green"}},
		"there is one beyond them": {[]runtime.Instance{green("app-green-1"), green("app-green-2"), green("app-green-3")}, []string{"green"}},
	} {
		// Blue is gone too, and is none of its business: it is to serve.
		if diff := cmp.Diff(test.want, BrokenSlots(dev, test.instances, slots)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}
