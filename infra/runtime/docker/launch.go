package docker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"bookshelf/infra/runtime"
)

// CreateNetwork makes an internal bridge.
func (e *Engine) CreateNetwork(ctx context.Context, env runtime.Environment, name string) error {
	if there, err := e.NetworkExists(ctx, name); err != nil || there {
		return err
	}
	_, err := e.api.NetworkCreate(ctx, name, network.CreateOptions{Driver: "bridge", Internal: true, Labels: labels(env)})
	if err != nil {
		return fmt.Errorf("create network %s: %w", name, err)
	}
	return nil
}

// RemoveNetwork removes a network.
func (e *Engine) RemoveNetwork(ctx context.Context, name string) error {
	if err := e.api.NetworkRemove(ctx, name); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove network %s: %w", name, err)
	}
	return nil
}

// CreateVolume makes a volume of the local driver.
func (e *Engine) CreateVolume(ctx context.Context, name string, options map[string]string) error {
	if _, err := e.api.VolumeCreate(ctx, volume.CreateOptions{Name: name, DriverOpts: options}); err != nil {
		return fmt.Errorf("create volume %s: %w", name, err)
	}
	return nil
}

// Launch creates and starts a container.
func (e *Engine) Launch(ctx context.Context, c runtime.Container) (string, error) {
	config := &container.Config{Image: c.Image, User: c.User, Entrypoint: c.Entrypoint, Cmd: c.Command, StopSignal: c.StopSignal, Labels: labels(c.Env)}
	config.Labels[runtime.LabelComponent], config.Labels[runtime.LabelKind] = c.Component, runtime.KindService
	for _, name := range slices.Sorted(maps.Keys(c.Variables)) {
		config.Env = append(config.Env, name+"="+c.Variables[name])
	}
	pids := c.PIDs
	host := &container.HostConfig{
		ReadonlyRootfs: true, CapDrop: []string{"ALL"}, SecurityOpt: []string{"no-new-privileges:true"}, Tmpfs: c.Tmpfs,
		Resources: container.Resources{Memory: c.MemoryBytes, MemorySwap: c.MemoryBytes, NanoCPUs: c.NanoCPUs, PidsLimit: &pids},
		LogConfig: container.LogConfig{Type: "json-file", Config: map[string]string{"max-file": "3", "max-size": "10m"}},
	}
	for _, m := range c.Mounts {
		host.Mounts = append(host.Mounts, mount.Mount{Type: mount.TypeVolume, Source: m.Volume, Target: m.Path, ReadOnly: m.ReadOnly})
	}
	// Older engines take one network at creation; the others are joined before it starts.
	joined := slices.Sorted(maps.Keys(c.Networks))
	networking := &network.NetworkingConfig{}
	if len(joined) == 0 {
		host.NetworkMode = network.NetworkNone
	} else {
		host.NetworkMode = container.NetworkMode(joined[0])
		networking.EndpointsConfig = map[string]*network.EndpointSettings{joined[0]: {Aliases: []string{c.Networks[joined[0]]}}}
	}
	created, err := e.api.ContainerCreate(ctx, config, host, networking, nil, c.Name)
	if err != nil {
		return "", wrapNotFound("create "+c.Name, err)
	}
	for _, name := range joined[min(1, len(joined)):] {
		if err := e.api.NetworkConnect(ctx, name, created.ID, &network.EndpointSettings{Aliases: []string{c.Networks[name]}}); err != nil {
			return "", errors.Join(fmt.Errorf("attach %s to %s: %w", c.Name, name, err), e.Remove(context.WithoutCancel(ctx), created.ID))
		}
	}
	if err := e.api.ContainerStart(ctx, created.ID, container.StartOptions{}); err != nil {
		return "", errors.Join(fmt.Errorf("start %s: %w", c.Name, err), e.Remove(context.WithoutCancel(ctx), created.ID))
	}
	return created.ID, nil
}

func labels(env runtime.Environment) map[string]string {
	return map[string]string{runtime.LabelProject: env.Project, runtime.LabelEnvironment: env.Name}
}
