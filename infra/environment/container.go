package environment

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"bookshelf/infra/observability/stack"
	"bookshelf/infra/runtime"
)

// container is what differs between the containers of an environment. What must not differ, the hardening above all, is added by
// run and is the same for each.
type container struct {
	// component, slot and replica name the container: <project>-<environment>-<component>[-<slot>[-<replica>]].
	component, slot string
	replica         int
	// task marks one that runs to completion, once for each change of its inputs; everything else runs until it is stopped.
	task                bool
	image               pulumi.StringInput
	entrypoint, command []string
	user                string
	env                 map[string]string
	uploads             docker.ContainerUploadArray
	volumes             docker.ContainerVolumeArray
	// tmpfs maps a path to mount options, for what must be written below a read-only root.
	tmpfs    map[string]string
	networks docker.ContainerNetworksAdvancedArray
	ports    docker.ContainerPortArray
	health   *docker.ContainerHealthcheckArgs
	limits   Limits
	// writableRoot is for a task that is given uploads: Docker refuses to copy into a read-only root. It is never given a network.
	writableRoot bool
	capabilities []string
	// collected lines go to the store of logs as well; unchecked is a service without a health check.
	collected, unchecked bool
	stopSignal           string
	// graceSeconds is how long a stop may take before it becomes a kill.
	graceSeconds int
	// waitSeconds is how long the container may take to be healthy.
	waitSeconds int
}

// run declares the container with the hardening that all of them share.
func (e *environment) run(name string, c container, opts ...pulumi.ResourceOption) (*docker.Container, error) {
	args := &docker.ContainerArgs{
		Name:             pulumi.String(e.named(c.component, c.slot, c.replicaName())),
		Image:            c.image,
		Entrypoints:      stringArray(c.entrypoint),
		Command:          stringArray(c.command),
		User:             pulumi.String(c.user),
		Envs:             envArray(c.env),
		Uploads:          c.uploads,
		Volumes:          c.volumes,
		NetworksAdvanced: c.networks,
		Ports:            c.ports,
		Healthcheck:      c.health,
		Labels:           e.labels(c),

		// Docker stops and deletes nothing behind our back: a stopped container must stay for a look, and refresh must not
		// forget it. Only the volume without a name that an image may declare goes with a task.
		MustRun:       pulumi.Bool(false),
		RemoveVolumes: pulumi.Bool(c.task),

		ReadOnly:     pulumi.Bool(!c.writableRoot),
		Privileged:   pulumi.Bool(false),
		Capabilities: &docker.ContainerCapabilitiesArgs{Drops: pulumi.StringArray{pulumi.String("ALL")}, Adds: stringArray(c.capabilities)},
		SecurityOpts: pulumi.StringArray{pulumi.String("no-new-privileges:true")},
		Memory:       pulumi.Int(c.limits.MemoryMiB),
		// Equal to the memory: no swap. Left out it would show as a change for ever.
		MemorySwap: pulumi.Int(c.limits.MemoryMiB),
		Cpus:       pulumi.String(canonicalCPUs(c.limits.CPUs)),
		LogDriver:  pulumi.String("json-file"),
		LogOpts:    c.logOptions(),
	}
	if len(c.tmpfs) > 0 {
		args.Tmpfs = stringMap(c.tmpfs)
	}
	if len(c.networks) == 0 {
		args.NetworkMode = pulumi.String("none")
	}
	if c.stopSignal != "" {
		args.StopSignal = pulumi.String(c.stopSignal)
	}
	if c.graceSeconds > 0 {
		args.DestroyGraceSeconds = pulumi.Int(c.graceSeconds)
		args.StopTimeout = pulumi.Int(c.graceSeconds)
	}
	if c.task {
		// The resource is there when the task has ended; its exit code is checked by the caller.
		args.Attach, args.Logs = pulumi.Bool(true), pulumi.Bool(true)
		args.Restart = pulumi.String("no")
	} else {
		args.Restart = pulumi.String("unless-stopped")
		if !c.unchecked {
			args.Wait, args.WaitTimeout = pulumi.Bool(true), pulumi.Int(c.waitSeconds)
		}
	}
	opts = append([]pulumi.ResourceOption{
		// Names are fixed, so the old one must go first.
		pulumi.DeleteBeforeReplace(true),
		// The provider ignores an edit of these three on a container that exists, and takes a container that never became
		// healthy for a healthy one at the next update.
		pulumi.ReplaceOnChanges([]string{"healthcheck", "tmpfs", "init", "#initerror"}),
	}, opts...)
	return docker.NewContainer(e.ctx, name, args, opts...)
}

// logOptions bound the logs, and mark the lines that are to be collected with where they come from.
func (c container) logOptions() pulumi.StringMap {
	options := pulumi.StringMap{"max-file": pulumi.String("3"), "max-size": pulumi.String("10m")}
	if c.collected {
		for name, value := range stack.LogOptions() {
			options[name] = pulumi.String(value)
		}
	}
	return options
}

// replicaName is the last part of its name, "" for what there is one of.
func (c container) replicaName() string {
	if c.replica == 0 {
		return ""
	}
	return strconv.Itoa(c.replica)
}

// canonicalCPUs writes a number of processors (at most one decimal place) as the provider reads it back: "1.0" and not "1", but "10."
// and not "10.0". Any other form would be a change, and so another container, at every update.
func canonicalCPUs(cpus string) string {
	n, err := strconv.ParseFloat(cpus, 64)
	if err != nil {
		return cpus // Load has refused it already
	}
	whole, isWhole := strings.CutSuffix(strconv.FormatFloat(n, 'f', 1, 64), ".0")
	switch {
	case !isWhole:
		return whole
	case strings.Contains(whole, "0"):
		return whole + "."
	default:
		return whole + ".0"
	}
}

// once is the option of a resource that may only be created when a task has succeeded. It fails the deployment when the task's exit code
// is not 0, with the end of its log. It is an order and no input: if the task is replaced, what comes after it is left alone.
func once(task *docker.Container, what string) pulumi.ResourceOption {
	return pulumi.DependsOnInputs(pulumi.All(task.Name, task.ExitCode, task.ContainerLogs).ApplyT(func(values []any) ([]pulumi.Resource, error) {
		name, _ := values[0].(string)
		code, _ := values[1].(int)
		if code != 0 {
			logs, _ := values[2].(string)
			return nil, fmt.Errorf("%s failed: %s exited with code %d: %s", what, name, code, tail(logs, 600))
		}
		return []pulumi.Resource{task}, nil
	}).(pulumi.ResourceArrayOutput))
}

func tail(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return "…" + text[len(text)-most:]
}

func (e *environment) labels(c container) docker.ContainerLabelArray {
	kind := runtime.KindService
	if c.task {
		kind = runtime.KindTask
	}
	set := map[string]string{
		runtime.LabelEnvironment: e.config.Name,
		runtime.LabelProject:     project,
		runtime.LabelComponent:   c.component,
		runtime.LabelKind:        kind,
	}
	if c.slot != "" {
		set[runtime.LabelSlot] = c.slot
	}
	var labels docker.ContainerLabelArray
	for _, key := range slices.Sorted(maps.Keys(set)) {
		labels = append(labels, docker.ContainerLabelArgs{Label: pulumi.String(key), Value: pulumi.String(set[key])})
	}
	return labels
}

// volume mounts a named volume.
func volume(name pulumi.StringInput, path string, readOnly bool) docker.ContainerVolumeArgs {
	return docker.ContainerVolumeArgs{VolumeName: name, ContainerPath: pulumi.String(path), ReadOnly: pulumi.Bool(readOnly)}
}

// on attaches a container to a network, under aliases that other containers find it by.
func on(network *docker.Network, aliases ...string) docker.ContainerNetworksAdvancedArgs {
	return docker.ContainerNetworksAdvancedArgs{Name: network.Name, Aliases: stringArray(aliases)}
}

func stringArray(values []string) pulumi.StringArray {
	var array pulumi.StringArray
	for _, value := range values {
		array = append(array, pulumi.String(value))
	}
	return array
}

func stringMap(values map[string]string) pulumi.StringMap {
	m := pulumi.StringMap{}
	for key, value := range values {
		m[key] = pulumi.String(value)
	}
	return m
}

// envArray writes an environment in a constant order: another order would be another container.
func envArray(env map[string]string) pulumi.StringArray {
	var array pulumi.StringArray
	for _, key := range slices.Sorted(maps.Keys(env)) {
		array = append(array, pulumi.String(key+"="+env[key]))
	}
	return array
}
