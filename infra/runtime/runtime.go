// Package runtime is what can be seen and done of an environment while it runs, whatever it runs on. It knows nothing of the
// service that is delivered beyond docs/contract.md.
package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Labels that every container of an environment carries.
const (
	LabelProject     = "delivery.project"
	LabelEnvironment = "delivery.environment"
	LabelComponent   = "delivery.component"
	LabelSlot        = "delivery.slot"
	LabelKind        = "delivery.kind"
)

// Kinds of containers: a service runs until it is stopped, a task runs to completion.
const (
	KindService = "service"
	KindTask    = "task"
)

// State is what an instance is doing.
type State string

// States. Health is part of it, because a service that runs but is not healthy does not serve.
const (
	StateHealthy   State = "healthy"
	StateRunning   State = "running" // runs, and has no health check
	StateStarting  State = "starting"
	StateUnhealthy State = "unhealthy"
	StatePaused    State = "paused"
	StateStopped   State = "stopped"
	StateCompleted State = "completed" // a task that ended with exit code 0
	StateFailed    State = "failed"    // a task that ended otherwise
)

// Instance is one container of an environment as the platform sees it now.
type Instance struct {
	ID, Name, Component, Slot, Kind string
	State                           State
	// Image is the ID of the image it runs, whatever name it was started by.
	Image    string
	ExitCode int
	// KilledForMemory says that the last end was the kernel's.
	KilledForMemory bool
	Restarts        int
	StartedAt       time.Time
	// Networks are the names of the networks it is attached to, sorted.
	Networks []string
	// MemoryBytes and NanoCPUs are its limits, 0 for none.
	MemoryBytes, NanoCPUs int64
	// PIDs is the most processes it may have, 0 for no limit.
	PIDs int64
}

// Serving reports whether a service does its work, or a task has done it.
func (i Instance) Serving() bool {
	switch i.State {
	case StateHealthy, StateRunning, StateCompleted:
		return true
	default:
		return false
	}
}

// Describe says what an instance is doing, and why, in a few words.
func (i Instance) Describe() string {
	switch {
	case i.KilledForMemory:
		return fmt.Sprintf("%s (killed for using more than its %d MiB)", i.State, i.MemoryBytes>>20)
	case i.State == StateStopped, i.State == StateFailed:
		return fmt.Sprintf("%s (exit code %d)", i.State, i.ExitCode)
	default:
		return string(i.State)
	}
}

// Environment names an environment on a platform.
type Environment struct{ Project, Name string }

// Part is the name of a part of the environment on the platform, a container, network or volume: bookshelf-dev-edge.
func (e Environment) Part(name string) string { return e.Project + "-" + e.Name + "-" + name }

// LogOptions says which lines are wanted.
type LogOptions struct {
	// Component and Slot limit the lines to one component or slot, "" for all.
	Component, Slot string
	Since           time.Duration
	Tail            int
	Follow          bool
}

// Container is one that is started beside an environment, not by Pulumi: every one is hardened alike, with a read-only root, no capability
// and no new privileges.
type Container struct {
	Name string
	// Env is whose it is, Component what it is in it: Instances finds it by them.
	Env       Environment
	Component string
	// Image is the ID of an image on the platform, User numeric. Entrypoint and Command are the image's own where they are nil.
	Image, User         string
	Entrypoint, Command []string
	Variables           map[string]string
	Mounts              []Mount
	// Tmpfs maps a path to mount options.
	Tmpfs map[string]string
	// Networks maps the name of each network to the name under which the container is found on it; none is no network at all.
	Networks map[string]string
	// MemoryBytes, without swap, NanoCPUs and PIDs are its limits.
	MemoryBytes, NanoCPUs, PIDs int64
	// StopSignal is what asks it to end, "" for the image's own.
	StopSignal string
}

// Mount is a volume in a container.
type Mount struct {
	Volume, Path string
	ReadOnly     bool
}

// ErrNotFound is returned for an instance or image that is not there.
var ErrNotFound = errors.New("not found")

// Platform is what an environment runs on.
type Platform interface {
	// Check says whether the platform answers, and what mends it when it does not.
	Check(ctx context.Context) error
	// Instances lists the containers of an environment, sorted by name, stopped ones included.
	Instances(ctx context.Context, env Environment) ([]Instance, error)
	// Start starts a stopped instance, resumes a paused one and restarts an unhealthy one; it returns when it is serving.
	Start(ctx context.Context, id string) error
	// Stop stops an instance within its own grace period and keeps it. Stopping what is stopped, or not there, is no error.
	Stop(ctx context.Context, id string) error
	// Remove removes an instance, stopping it first. Removing what is not there is no error.
	Remove(ctx context.Context, id string) error
	// LimitPIDs bounds the number of processes of a running instance.
	LimitPIDs(ctx context.Context, id string, most int64) error
	// CPUSeconds is how much CPU time an instance has used since it started; ErrNotFound when it is gone.
	CPUSeconds(ctx context.Context, id string) (float64, error)
	// NetworkExists and VolumeExists look for one by name; RemoveVolume removes one, and it is no error when there is none.
	NetworkExists(ctx context.Context, name string) (bool, error)
	VolumeExists(ctx context.Context, name string) (bool, error)
	RemoveVolume(ctx context.Context, name string) error
	// CreateNetwork makes a network with no way out, and CreateVolume a volume; options are what the platform's driver of volumes takes. It
	// is no error when there is one of that name. RemoveNetwork removes one, and it is no error when there is none.
	CreateNetwork(ctx context.Context, env Environment, name string) error
	RemoveNetwork(ctx context.Context, name string) error
	CreateVolume(ctx context.Context, name string, options map[string]string) error
	// Launch creates and starts a container, and returns its ID. It is not restarted when it ends.
	Launch(ctx context.Context, c Container) (id string, err error)
	// ImageID resolves an image reference to the ID of a local image; ErrNotFound when the platform does not hold it.
	ImageID(ctx context.Context, reference string) (string, error)
	// Logs writes log lines, each prefixed by its instance's name, until there are no more or, when following, ctx ends.
	Logs(ctx context.Context, env Environment, options LogOptions, stdout, stderr io.Writer) error
	// Entrypoint is the program that an instance was started with, without its arguments.
	Entrypoint(ctx context.Context, id string) ([]string, error)
	// Rerun runs a task that has ended once more, with files of its own replaced first, and returns when it has ended again; the files are
	// named by absolute path. An exit code other than 0 is an error.
	Rerun(ctx context.Context, id string, files map[string][]byte) error
	// Exec runs a command in an instance and returns its exit code.
	Exec(ctx context.Context, id string, command []string, stdin io.Reader, stdout, stderr io.Writer) (int, error)
}

// FindServing returns a container of a component that serves, or has done its work; found is false where there is none.
func FindServing(ctx context.Context, p Platform, env Environment, component string) (instance Instance, found bool, err error) {
	instances, err := p.Instances(ctx, env)
	if err != nil {
		return Instance{}, false, err
	}
	for _, instance := range instances {
		if instance.Component == component && instance.Serving() {
			return instance, true, nil
		}
	}
	return Instance{}, false, nil
}
