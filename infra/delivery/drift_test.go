package delivery

import (
	"testing"

	"github.com/google/go-cmp/cmp"

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

func TestAPartIsDescribedWithTheReason(t *testing.T) {
	t.Parallel()
	for want, instance := range map[string]runtime.Instance{
		"healthy":               {State: runtime.StateHealthy},
		"stopped (exit code 1)": {State: runtime.StateStopped, ExitCode: 1},
		"stopped (killed for using more than its 64 MiB)": {State: runtime.StateStopped, ExitCode: 137, KilledForMemory: true, MemoryBytes: 64 << 20},
	} {
		if got := describe(instance); got != want {
			t.Errorf("describe = %q, want %q", got, want)
		}
	}
}
