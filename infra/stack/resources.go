package stack

import (
	"context"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

// Container is a container as the stack's state describes it.
type Container struct {
	URN, ID, Name string
	// Networks are the names of the networks it should be on, sorted.
	Networks  []string
	MemoryMiB int
	// Broken says that its creation did not succeed: it has never been healthy.
	Broken bool
}

// Object is a network or a volume as the stack's state describes it.
type Object struct {
	URN, Name string
	// Protected says that it holds data: destroying the environment keeps it.
	Protected bool
}

// Resources is what the stack believes to exist on the engine, in the order in which it was created.
type Resources struct {
	Containers        []Container
	Networks, Volumes []Object
}

// Resources reads the stack's state.
func (s *Stack) Resources(ctx context.Context) (Resources, error) {
	state, err := s.export(ctx)
	if err != nil {
		return Resources{}, err
	}
	var found Resources
	for _, resource := range state.deployment.Resources {
		if resource.Delete {
			continue // its replacement is there already
		}
		object := Object{URN: string(resource.URN), Name: inputString(resource, "name"), Protected: resource.Protect}
		switch resource.Type {
		case typeContainer:
			found.Containers = append(found.Containers, containerOf(resource))
		case typeNetwork:
			found.Networks = append(found.Networks, object)
		case typeVolume:
			found.Volumes = append(found.Volumes, object)
		}
	}
	return found, nil
}

func containerOf(resource apitype.ResourceV3) Container {
	c := Container{
		URN:    string(resource.URN),
		ID:     string(resource.ID),
		Name:   inputString(resource, "name"),
		Broken: len(resource.InitErrors) > 0,
	}
	if memory, ok := resource.Inputs["memory"].(float64); ok {
		c.MemoryMiB = int(memory)
	}
	attached, _ := resource.Inputs["networksAdvanced"].([]any)
	for _, one := range attached {
		if network, ok := one.(map[string]any); ok {
			if name, ok := network["name"].(string); ok {
				c.Networks = append(c.Networks, name)
			}
		}
	}
	slices.Sort(c.Networks)
	return c
}

func inputString(resource apitype.ResourceV3, key string) string {
	text, _ := resource.Inputs[key].(string)
	return text
}

// Unprotect lets the next Destroy remove what holds data.
func (s *Stack) Unprotect(ctx context.Context) error {
	state, err := s.export(ctx)
	if err != nil {
		return err
	}
	for i := range state.deployment.Resources {
		state.deployment.Resources[i].Protect = false
	}
	return s.rewrite(ctx, state)
}

// Forgive lets the stack take the named containers for what they are, although their creation did not succeed. Otherwise it would try
// again to create them at every update.
func (s *Stack) Forgive(ctx context.Context, names []string) error {
	state, err := s.export(ctx)
	if err != nil {
		return err
	}
	changed := false
	for i, resource := range state.deployment.Resources {
		if resource.Type == typeContainer && len(resource.InitErrors) > 0 && slices.Contains(names, inputString(resource, "name")) {
			state.deployment.Resources[i].InitErrors, changed = nil, true
		}
	}
	if !changed {
		return nil
	}
	return s.rewrite(ctx, state)
}
