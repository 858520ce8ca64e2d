package environment

import (
	"fmt"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"bookshelf/infra/runtime"
)

// Network is the networks of an environment. Only the edge is on one with a way out, and what takes backups where they are kept elsewhere.
type Network struct {
	pulumi.ResourceState
	// Backend has the database on it, Frontend the edge; the service is on both. Neither leads out of the engine.
	Backend, Frontend *docker.Network
	// Public is the edge's alone: Docker publishes no port of a container that is only on internal networks, and the edge has to
	// reach its certificate authority.
	Public *docker.Network
	// Repository leads to where backups are kept, nil where that is a volume.
	Repository *docker.Network
}

func (e *environment) newNetwork() (*Network, error) {
	n := &Network{}
	child, err := e.component("Network", "network", n)
	if err != nil {
		return nil, err
	}
	if n.Backend, err = e.bridge("backend", true, child); err != nil {
		return nil, err
	}
	if n.Frontend, err = e.bridge("frontend", true, child); err != nil {
		return nil, err
	}
	if n.Public, err = e.bridge("public", false, child); err != nil {
		return nil, err
	}
	if e.config.Backup.Repository.Remote() {
		if n.Repository, err = e.bridge("repository", false, child); err != nil {
			return nil, err
		}
	}
	return n, e.ctx.RegisterResourceOutputs(n, pulumi.Map{})
}

func (e *environment) bridge(name string, internal bool, opts ...pulumi.ResourceOption) (*docker.Network, error) {
	// Every input but the labels forces replacement, and a network can't be replaced below running containers.
	network, err := docker.NewNetwork(e.ctx, name, &docker.NetworkArgs{
		Name:     pulumi.String(e.named(name)),
		Driver:   pulumi.String("bridge"),
		Internal: pulumi.Bool(internal),
		Labels: docker.NetworkLabelArray{
			docker.NetworkLabelArgs{Label: pulumi.String(runtime.LabelEnvironment), Value: pulumi.String(e.config.Name)},
			docker.NetworkLabelArgs{Label: pulumi.String(runtime.LabelProject), Value: pulumi.String(project)},
		},
	}, append(opts, pulumi.DeleteBeforeReplace(true))...)
	if err != nil {
		return nil, fmt.Errorf("declare network %s: %w", name, err)
	}
	return network, nil
}
