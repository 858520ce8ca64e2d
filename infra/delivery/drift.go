package delivery

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"bookshelf/infra/environment"
	"bookshelf/infra/runtime"
	"bookshelf/infra/stack"
)

// repair is how a difference between the stack's state and the engine is put right.
type repair int

const (
	// repairReplace lets Pulumi delete and create the resource, whatever it believes.
	repairReplace repair = iota
	// repairStart starts, resumes or restarts what is there.
	repairStart
	// repairRemove removes what is there and belongs to nothing.
	repairRemove
)

// finding is one difference.
type finding struct {
	urn, id, name, problem string
	repair                 repair
}

// String says what is wrong and what is done about it.
func (f finding) String() string {
	action := map[repair]string{repairReplace: "replace", repairStart: "start", repairRemove: "remove"}[f.repair]
	return fmt.Sprintf("%s %s: %s it", f.name, f.problem, action)
}

// drift is every difference, in the order in which they are to be repaired.
type drift []finding

// replace returns the URNs that Pulumi must replace.
func (d drift) replace() []string {
	var urns []string
	for _, f := range d {
		if f.repair == repairReplace {
			urns = append(urns, f.urn)
		}
	}
	return urns
}

// drift compares the stack's state with the engine. It asks the engine itself: Pulumi's refresh would forget a stopped container, and
// with it what could be learnt from it.
func (s *session) drift(ctx context.Context) (drift, error) {
	believed, err := s.stack.Resources(ctx)
	if err != nil {
		return nil, err
	}
	instances, err := s.Platform.Instances(ctx, s.env)
	if err != nil {
		return nil, err
	}
	gone, err := s.missingNetworks(ctx, believed)
	if err != nil {
		return nil, err
	}
	if err := s.guardVolumes(ctx, believed); err != nil {
		return nil, err
	}
	found := gone
	lost := map[string]bool{}
	for _, f := range gone {
		lost[f.name] = true
	}
	for _, container := range believed.Containers {
		if s.retired(container.Name) {
			continue
		}
		found = append(found, compare(container, instances, lost)...)
	}
	return found, nil
}

// retired reports whether a container belongs to a slot that serves nobody: it is stopped, and has to stay so.
func (s *session) retired(container string) bool {
	for _, slot := range []string{environment.Blue, environment.Green} {
		ours := container == engineName(s.name, "migration-"+slot) || strings.HasPrefix(container, engineName(s.name, "app-"+slot+"-"))
		if ours && s.slots.Idle(slot) {
			return true
		}
	}
	return false
}

// forgetLostSlots empties a retired slot of which a container is gone: it was only kept for a look.
func (s *session) forgetLostSlots(ctx context.Context) error {
	for name, slot := range s.slots.Slots {
		if !slot.Retired {
			continue
		}
		there, err := s.replicas(ctx, name)
		if err != nil {
			return err
		}
		if len(there) != slot.Replicas || !consecutive(there, engineName(s.name, "app-"+name+"-")) {
			s.Report.Note("the retired slot %s is not whole any more: forgetting it", name)
			if err := s.writeSlots(s.slots.Without(name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// consecutive reports whether replicas are numbered from 1 on.
func consecutive(replicas []runtime.Instance, prefix string) bool {
	for n := range replicas {
		name := prefix + strconv.Itoa(n+1)
		if !slices.ContainsFunc(replicas, func(i runtime.Instance) bool { return i.Name == name }) {
			return false
		}
	}
	return true
}

// compare holds one container of the state against what the engine has.
func compare(container stack.Container, instances []runtime.Instance, lostNetworks map[string]bool) []finding {
	f := finding{urn: container.URN, name: container.Name, repair: repairReplace}
	at := slices.IndexFunc(instances, func(i runtime.Instance) bool { return i.ID == container.ID })
	if at < 0 {
		f.problem = "is gone"
		found := []finding{f}
		// Another one under its name, with our labels, would stand in the way.
		if at = slices.IndexFunc(instances, func(i runtime.Instance) bool { return i.Name == container.Name }); at >= 0 {
			found = append([]finding{{id: instances[at].ID, name: container.Name, problem: "is not the one that was deployed", repair: repairRemove}}, found...)
		}
		return found
	}
	now := instances[at]
	f.id = now.ID
	onLost := slices.ContainsFunc(container.Networks, func(name string) bool { return lostNetworks[name] })
	switch {
	case onLost:
		f.problem = "was on a network that is gone"
	case container.Broken:
		f.problem = "has never been healthy"
	case now.State == runtime.StateFailed:
		f.problem = fmt.Sprintf("ended with exit code %d", now.ExitCode)
	case now.Name != container.Name:
		f.problem = "was renamed to " + now.Name
	case len(container.Networks) > 0 && !slices.Equal(container.Networks, now.Networks):
		f.problem = fmt.Sprintf("is on networks %v instead of %v", now.Networks, container.Networks)
	case now.MemoryBytes != int64(container.MemoryMiB)<<20:
		f.problem = fmt.Sprintf("may use %d MiB of memory instead of %d", now.MemoryBytes>>20, container.MemoryMiB)
	case !now.Serving() && now.State != runtime.StateStarting:
		f.problem, f.repair = "is "+describe(now), repairStart
		if now.Kind == runtime.KindTask {
			f.repair = repairReplace
		}
	default:
		return nil
	}
	return []finding{f}
}

// missingNetworks finds networks that were removed.
func (s *session) missingNetworks(ctx context.Context, believed stack.Resources) (drift, error) {
	var gone drift
	for _, network := range believed.Networks {
		exists, err := s.Platform.NetworkExists(ctx, network.Name)
		if err != nil {
			return nil, err
		}
		if !exists {
			gone = append(gone, finding{urn: network.URN, name: network.Name, problem: "is gone", repair: repairReplace})
		}
	}
	return gone, nil
}

// guardVolumes stops when the data is gone: an empty database in its place would look like success.
func (s *session) guardVolumes(ctx context.Context, believed stack.Resources) error {
	for _, volume := range believed.Volumes {
		if !volume.Protected {
			continue
		}
		exists, err := s.Platform.VolumeExists(ctx, volume.Name)
		if err != nil {
			return err
		}
		if !exists {
			return needsPerson("volume %s with the data of %s is gone: restore it, or give the data up with `deliver destroy -e %s --delete-data`", volume.Name, s.name, s.name)
		}
	}
	return nil
}

// describe says what an instance is doing, and why, in a few words.
func describe(i runtime.Instance) string {
	switch {
	case i.KilledForMemory:
		return fmt.Sprintf("%s (killed for using more than its %d MiB)", i.State, i.MemoryBytes>>20)
	case i.State == runtime.StateStopped, i.State == runtime.StateFailed:
		return fmt.Sprintf("%s (exit code %d)", i.State, i.ExitCode)
	default:
		return string(i.State)
	}
}
