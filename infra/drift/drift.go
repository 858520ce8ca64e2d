// Package drift compares what Pulumi believes to exist with what the engine has, and says how each difference is put right.
package drift

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"bookshelf/infra/environment"
	"bookshelf/infra/runtime"
	"bookshelf/infra/stack"
)

// Repair is how a difference between the stack's state and the engine is put right.
type Repair int

const (
	// Replace lets Pulumi delete and create the resource, whatever it believes.
	Replace Repair = iota
	// Start starts, resumes or restarts what is there.
	Start
	// Remove removes what is there and belongs to nothing.
	Remove
)

// Finding is one difference.
type Finding struct {
	// URN is the resource's in the stack, ID the instance's on the engine; either is empty where there is none.
	URN, ID, Name, Problem string
	Repair                 Repair
}

// String says what is wrong and what is done about it.
func (f Finding) String() string {
	action := map[Repair]string{Replace: "replace", Start: "start", Remove: "remove"}[f.Repair]
	return fmt.Sprintf("%s %s: %s it", f.Name, f.Problem, action)
}

// Findings is every difference, in the order in which they are to be repaired.
type Findings []Finding

// Replace returns the URNs that Pulumi must replace.
func (f Findings) Replace() []string {
	var urns []string
	for _, finding := range f {
		if finding.Repair == Replace {
			urns = append(urns, finding.URN)
		}
	}
	return urns
}

// LostDataError says that the volume with an environment's data is gone: an empty database in its place would look like success.
type LostDataError struct{ Environment, Volume string }

func (e *LostDataError) Error() string {
	return fmt.Sprintf("volume %s with the data of %s is gone: restore it, or give the data up with `deliver destroy -e %s --delete-data`",
		e.Volume, e.Environment, e.Environment)
}

// Find compares what the stack believes with the engine. It asks the engine itself: Pulumi's refresh would forget a stopped container,
// and with it what could be learnt from it. Of what an idle slot has left nothing is expected. The error may be a LostDataError.
func Find(ctx context.Context, platform runtime.Platform, env runtime.Environment, believed stack.Resources, slots environment.Slots) (Findings, error) {
	instances, err := platform.Instances(ctx, env)
	if err != nil {
		return nil, err
	}
	found, err := missingNetworks(ctx, platform, believed)
	if err != nil {
		return nil, err
	}
	if err := guardVolumes(ctx, platform, env, believed); err != nil {
		return nil, err
	}
	lost := map[string]bool{}
	for _, network := range found {
		lost[network.Name] = true
	}
	for _, container := range believed.Containers {
		if !idle(container.Name, env, slots) {
			found = append(found, compare(container, instances, lost)...)
		}
	}
	return found, nil
}

// idle reports whether a container belongs to a slot that serves nobody: it is stopped, and has to stay so.
func idle(container string, env runtime.Environment, slots environment.Slots) bool {
	for _, slot := range []string{environment.Blue, environment.Green} {
		ours := container == env.Part("migration-"+slot) || strings.HasPrefix(container, env.Part("app-"+slot+"-"))
		if ours && slots.Idle(slot) {
			return true
		}
	}
	return false
}

// BrokenSlots lists the retired slots of which a container is gone, sorted: they are of no more use, as they were only kept for a look.
func BrokenSlots(env runtime.Environment, instances []runtime.Instance, slots environment.Slots) []string {
	var broken []string
	for _, name := range slices.Sorted(maps.Keys(slots.Slots)) {
		if slot := slots.Slots[name]; slot.Retired && !whole(env, instances, name, slot.Replicas) {
			broken = append(broken, name)
		}
	}
	return broken
}

// whole reports whether a slot has the containers of so many replicas, whatever they do, and no other.
func whole(env runtime.Environment, instances []runtime.Instance, slot string, replicas int) bool {
	var want, have []string
	for n := range replicas {
		want = append(want, env.Part(environment.Replica(slot, n+1)))
	}
	for _, instance := range instances {
		if instance.Component == "app" && instance.Slot == slot {
			have = append(have, instance.Name)
		}
	}
	slices.Sort(want)
	slices.Sort(have)
	return slices.Equal(want, have)
}

// compare holds one container of the state against what the engine has.
func compare(container stack.Container, instances []runtime.Instance, lostNetworks map[string]bool) Findings {
	f := Finding{URN: container.URN, Name: container.Name, Repair: Replace}
	at := slices.IndexFunc(instances, func(i runtime.Instance) bool { return i.ID == container.ID })
	if at < 0 {
		f.Problem = "is gone"
		found := Findings{f}
		// Another one under its name, with our labels, would stand in the way.
		if at = slices.IndexFunc(instances, func(i runtime.Instance) bool { return i.Name == container.Name }); at >= 0 {
			found = append(Findings{{ID: instances[at].ID, Name: container.Name, Problem: "is not the one that was deployed", Repair: Remove}}, found...)
		}
		return found
	}
	now := instances[at]
	f.ID = now.ID
	onLost := slices.ContainsFunc(container.Networks, func(name string) bool { return lostNetworks[name] })
	switch {
	case onLost:
		f.Problem = "was on a network that is gone"
	case container.Broken:
		f.Problem = "has never been healthy"
	case now.State == runtime.StateFailed:
		f.Problem = fmt.Sprintf("ended with exit code %d", now.ExitCode)
	case now.Name != container.Name:
		f.Problem = "was renamed to " + now.Name
	case len(container.Networks) > 0 && !slices.Equal(container.Networks, now.Networks):
		f.Problem = fmt.Sprintf("is on networks %v instead of %v", now.Networks, container.Networks)
	case now.MemoryBytes != int64(container.MemoryMiB)<<20:
		f.Problem = fmt.Sprintf("may use %d MiB of memory instead of %d", now.MemoryBytes>>20, container.MemoryMiB)
	case !now.Serving() && now.State != runtime.StateStarting:
		f.Problem, f.Repair = "is "+now.Describe(), Start
		if now.Kind == runtime.KindTask {
			f.Repair = Replace
		}
	default:
		return nil
	}
	return Findings{f}
}

// missingNetworks finds networks that were removed.
func missingNetworks(ctx context.Context, platform runtime.Platform, believed stack.Resources) (Findings, error) {
	var gone Findings
	for _, network := range believed.Networks {
		exists, err := platform.NetworkExists(ctx, network.Name)
		if err != nil {
			return nil, err
		}
		if !exists {
			gone = append(gone, Finding{URN: network.URN, Name: network.Name, Problem: "is gone", Repair: Replace})
		}
	}
	return gone, nil
}

// guardVolumes returns a LostDataError when a volume with data is gone.
func guardVolumes(ctx context.Context, platform runtime.Platform, env runtime.Environment, believed stack.Resources) error {
	for _, volume := range believed.Volumes {
		if !volume.Protected {
			continue
		}
		exists, err := platform.VolumeExists(ctx, volume.Name)
		if err != nil {
			return err
		}
		if !exists {
			return &LostDataError{Environment: env.Name, Volume: volume.Name}
		}
	}
	return nil
}
