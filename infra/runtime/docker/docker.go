// Package docker is the runtime.Platform of a Docker engine, 20.10 (API 1.41) or later, local or wherever DOCKER_HOST points.
package docker

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"

	"bookshelf/infra/runtime"
)

// startTimeout is how long a started container may take until it is healthy.
const startTimeout = 2 * time.Minute

// pollInterval is how often a container's health is asked for. Health checks run every second or less often.
const pollInterval = 200 * time.Millisecond

// Engine is a Docker engine.
type Engine struct{ api *client.Client }

var _ runtime.Platform = (*Engine)(nil)

// New connects to the engine that the environment names (DOCKER_HOST, DOCKER_CERT_PATH, …), speaking whatever API version it does.
func New() (*Engine, error) {
	api, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, fmt.Errorf("configure the Docker client: %w", err)
	}
	return &Engine{api: api}, nil
}

// Close ends the connections.
func (e *Engine) Close() error { return e.api.Close() }

// Check asks the engine for a sign of life.
func (e *Engine) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, err := e.api.Ping(ctx); err != nil {
		return fmt.Errorf("the Docker engine at %s does not answer (start it, or set DOCKER_HOST): %w", e.api.DaemonHost(), err)
	}
	return nil
}

// Instances lists the environment's containers.
func (e *Engine) Instances(ctx context.Context, env runtime.Environment) ([]runtime.Instance, error) {
	found, err := e.api.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(
		filters.Arg("label", runtime.LabelProject+"="+env.Project),
		filters.Arg("label", runtime.LabelEnvironment+"="+env.Name),
	)})
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	var instances []runtime.Instance
	for _, summary := range found {
		details, err := e.api.ContainerInspect(ctx, summary.ID)
		if errdefs.IsNotFound(err) {
			continue // removed between the two questions
		}
		if err != nil {
			return nil, fmt.Errorf("inspect container: %w", err)
		}
		instances = append(instances, instance(details))
	}
	slices.SortFunc(instances, func(a, b runtime.Instance) int { return strings.Compare(a.Name, b.Name) })
	return instances, nil
}

func instance(details container.InspectResponse) runtime.Instance {
	labels := details.Config.Labels
	i := runtime.Instance{
		ID:              details.ID,
		Name:            strings.TrimPrefix(details.Name, "/"),
		Component:       labels[runtime.LabelComponent],
		Slot:            labels[runtime.LabelSlot],
		Kind:            labels[runtime.LabelKind],
		Image:           details.Image,
		ExitCode:        details.State.ExitCode,
		KilledForMemory: details.State.OOMKilled,
		Restarts:        details.RestartCount,
		MemoryBytes:     details.HostConfig.Memory,
		NanoCPUs:        details.HostConfig.NanoCPUs,
		Networks:        slices.Sorted(maps.Keys(details.NetworkSettings.Networks)),
	}
	i.State = state(i.Kind, details.State)
	// The zero time and text that does not parse mean the same here: it never started.
	i.StartedAt, _ = time.Parse(time.RFC3339Nano, details.State.StartedAt)
	if limit := details.HostConfig.PidsLimit; limit != nil && *limit > 0 {
		i.PIDs = *limit
	}
	return i
}

func state(kind string, s *container.State) runtime.State {
	switch {
	case s.Paused:
		return runtime.StatePaused
	case s.Restarting:
		return runtime.StateUnhealthy
	case !s.Running && kind == runtime.KindTask && s.Status == container.StateExited && s.ExitCode == 0:
		return runtime.StateCompleted
	case !s.Running && kind == runtime.KindTask && s.Status == container.StateExited:
		return runtime.StateFailed
	case !s.Running:
		return runtime.StateStopped
	case s.Health == nil:
		return runtime.StateRunning
	case s.Health.Status == container.Healthy:
		return runtime.StateHealthy
	case s.Health.Status == container.Unhealthy:
		return runtime.StateUnhealthy
	default:
		return runtime.StateStarting
	}
}

// Start brings a service back to serving.
func (e *Engine) Start(ctx context.Context, id string) error {
	details, err := e.api.ContainerInspect(ctx, id)
	if err != nil {
		return wrapNotFound("inspect container", err)
	}
	name := strings.TrimPrefix(details.Name, "/")
	switch {
	case details.State.Paused:
		err = e.api.ContainerUnpause(ctx, id)
	case details.State.Running:
		err = e.api.ContainerRestart(ctx, id, container.StopOptions{})
	default:
		err = e.api.ContainerStart(ctx, id, container.StartOptions{})
	}
	if err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	return e.waitServing(ctx, id, name)
}

func (e *Engine) waitServing(ctx context.Context, id, name string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		details, err := e.api.ContainerInspect(ctx, id)
		if err != nil {
			return wrapNotFound("inspect "+name, err)
		}
		now := instance(details)
		if now.Serving() {
			return nil
		}
		if now.State == runtime.StateStopped {
			return fmt.Errorf("%s ended with exit code %d right after its start", name, now.ExitCode)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is %s, not healthy, after %s", name, now.State, startTimeout)
		case <-ticker.C:
		}
	}
}

// Stop stops a container within the grace period that it was created with.
func (e *Engine) Stop(ctx context.Context, id string) error {
	if err := e.api.ContainerStop(ctx, id, container.StopOptions{}); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("stop container: %w", err)
	}
	return nil
}

// Remove stops and removes a container, with volumes that have no name.
func (e *Engine) Remove(ctx context.Context, id string) error {
	if err := e.Stop(ctx, id); err != nil {
		return err
	}
	if err := e.api.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true}); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove container: %w", err)
	}
	return nil
}

// LimitPIDs bounds the number of processes. The provider behind Pulumi has no field for it, so it is set on the running container.
func (e *Engine) LimitPIDs(ctx context.Context, id string, most int64) error {
	_, err := e.api.ContainerUpdate(ctx, id, container.UpdateConfig{Resources: container.Resources{PidsLimit: &most}})
	if err != nil {
		return fmt.Errorf("limit the number of processes: %w", err)
	}
	return nil
}

// exists turns the answer of an inspection into yes, no or an error.
func exists(what, name string, err error) (bool, error) {
	switch {
	case err == nil:
		return true, nil
	case errdefs.IsNotFound(err):
		return false, nil
	default:
		return false, fmt.Errorf("look for %s %s: %w", what, name, err)
	}
}

// wrapNotFound keeps the package's promise that absence is runtime.ErrNotFound.
func wrapNotFound(what string, err error) error {
	if errdefs.IsNotFound(err) {
		return fmt.Errorf("%s: %w", what, runtime.ErrNotFound)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// Entrypoint is the container's entry point, its own or its image's.
func (e *Engine) Entrypoint(ctx context.Context, id string) ([]string, error) {
	details, err := e.api.ContainerInspect(ctx, id)
	if err != nil {
		return nil, wrapNotFound("inspect container", err)
	}
	return details.Config.Entrypoint, nil
}

// Exec runs a command in a running container.
func (e *Engine) Exec(ctx context.Context, id string, command []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	created, err := e.api.ContainerExecCreate(ctx, id, container.ExecOptions{
		Cmd: command, AttachStdin: stdin != nil, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return 0, wrapNotFound("prepare command", err)
	}
	stream, err := e.api.ContainerExecAttach(ctx, created.ID, container.ExecAttachOptions{})
	if err != nil {
		return 0, fmt.Errorf("start command: %w", err)
	}
	defer stream.Close()
	stop := context.AfterFunc(ctx, stream.Close)
	defer stop()
	if stdin != nil {
		go func() {
			// The command may end without reading all of it; then the copy fails, and that is none of our business.
			_, _ = io.Copy(stream.Conn, stdin)
			_ = stream.CloseWrite()
		}()
	}
	if _, err := stdcopy.StdCopy(stdout, stderr, stream.Reader); err != nil {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		return 0, fmt.Errorf("read the command's output: %w", err)
	}
	ended, err := e.api.ContainerExecInspect(ctx, created.ID)
	if err != nil {
		return 0, fmt.Errorf("ask for the command's exit code: %w", err)
	}
	return ended.ExitCode, nil
}

// Logs writes the lines of all instances, or of one component's, side by side.
func (e *Engine) Logs(ctx context.Context, env runtime.Environment, options runtime.LogOptions, stdout, stderr io.Writer) error {
	instances, err := e.Instances(ctx, env)
	if err != nil {
		return err
	}
	instances = slices.DeleteFunc(instances, func(i runtime.Instance) bool {
		return options.Component != "" && i.Component != options.Component || options.Slot != "" && i.Slot != options.Slot
	})
	if len(instances) == 0 {
		return fmt.Errorf("logs of %s: %w", options.Component, runtime.ErrNotFound)
	}
	query := container.LogsOptions{ShowStdout: true, ShowStderr: true, Follow: options.Follow}
	if options.Tail > 0 {
		query.Tail = fmt.Sprint(options.Tail)
	}
	if options.Since > 0 {
		query.Since = options.Since.String()
	}
	var group sync.WaitGroup
	var lock sync.Mutex
	problems := make([]error, len(instances))
	for i, instance := range instances {
		group.Go(func() {
			out := &prefixWriter{lock: &lock, prefix: instance.Name + " | ", to: stdout}
			errs := &prefixWriter{lock: &lock, prefix: instance.Name + " | ", to: stderr}
			problems[i] = e.copyLogs(ctx, instance.ID, query, out, errs)
			out.Flush()
			errs.Flush()
		})
	}
	group.Wait()
	for _, problem := range problems {
		if problem != nil && ctx.Err() == nil {
			return problem
		}
	}
	return nil
}

func (e *Engine) copyLogs(ctx context.Context, id string, query container.LogsOptions, stdout, stderr io.Writer) error {
	stream, err := e.api.ContainerLogs(ctx, id, query)
	if err != nil {
		return wrapNotFound("read logs", err)
	}
	defer stream.Close()
	if _, err := stdcopy.StdCopy(stdout, stderr, stream); err != nil {
		return fmt.Errorf("read logs: %w", err)
	}
	return nil
}
