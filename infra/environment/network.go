package environment

import (
	"fmt"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"bookshelf/infra/runtime"
)

// Network is the two networks of an environment.
type Network struct {
	pulumi.ResourceState
	// Backend has the database on it and no way out of the engine.
	Backend *docker.Network
	// Frontend is where requests come in: Docker publishes no port of a container that is only on an internal network.
	Frontend *docker.Network
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
	if n.Frontend, err = e.bridge("frontend", false, child); err != nil {
		return nil, err
	}
	return n, e.ctx.RegisterResourceOutputs(n, pulumi.Map{"backend": n.Backend.Name, "frontend": n.Frontend.Name})
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
