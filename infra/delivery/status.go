package delivery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"bookshelf/infra/provenance"
	"bookshelf/infra/runtime"
)

// Status is an environment as the engine shows it now. Its JSON form is what `deliver status --json` prints.
type Status struct {
	Environment string `json:"environment"`
	// Healthy says that every part is there and does its work.
	Healthy  bool         `json:"healthy"`
	URL      string       `json:"url,omitempty"`
	Parts    []PartStatus `json:"parts"`
	Problems []string     `json:"problems"`
	// Verified is what was verified of the app's image before it was deployed, absent where nothing was.
	Verified *provenance.Record `json:"verified,omitempty"`
	// Next is the command that mends it, empty when there is nothing to mend.
	Next string `json:"next,omitempty"`
}

// PartStatus is one container.
type PartStatus struct {
	Name      string     `json:"name"`
	Component string     `json:"component"`
	Slot      string     `json:"slot,omitempty"`
	Kind      string     `json:"kind"`
	State     string     `json:"state"`
	Detail    string     `json:"detail"`
	Image     string     `json:"image"`
	Restarts  int        `json:"restarts"`
	StartedAt *time.Time `json:"started_at,omitempty"`
}

// expected are the containers of every environment, in the order of their start.
var expected = []struct{ component, slot string }{
	{"secrets", ""}, {"postgres", ""}, {"roles", ""}, {"migration", "blue"}, {"app", "blue"},
}

// Status looks at an environment. It asks the engine, not Pulumi's state, takes no lock and changes nothing.
func (o *Operator) Status(ctx context.Context, name string) (Status, error) {
	settings, err := o.reach(ctx, name)
	if err != nil {
		return Status{}, err
	}
	instances, err := o.Platform.Instances(ctx, o.environment(name))
	if err != nil {
		return Status{}, err
	}
	status := Status{Environment: name, Parts: []PartStatus{}, Problems: []string{}}
	if len(instances) == 0 {
		status.Problems = append(status.Problems, name+" is not deployed")
		status.Next = fmt.Sprintf("make up ENV=%s", name)
		return status, nil
	}
	for _, want := range expected {
		if !slices.ContainsFunc(instances, func(i runtime.Instance) bool { return i.Component == want.component && i.Slot == want.slot }) {
			status.Problems = append(status.Problems, engineName(name, strings.Trim(want.component+"-"+want.slot, "-"))+" is gone")
		}
	}
	for _, instance := range instances {
		status.Parts = append(status.Parts, partOf(instance))
		if !instance.Serving() {
			status.Problems = append(status.Problems, instance.Name+" is "+describe(instance))
		}
		if instance.Component == "app" && status.Verified == nil {
			if status.Verified, err = o.verifiedImage(ctx, name, instance.Image); err != nil {
				return Status{}, err
			}
		}
	}
	if err := o.checkObjects(ctx, name, &status); err != nil {
		return Status{}, err
	}
	status.Healthy = len(status.Problems) == 0
	if !status.Healthy {
		status.Next = fmt.Sprintf("deliver up -e %s", name)
	}
	config, err := load(name, settings)
	if err != nil {
		return Status{}, err
	}
	status.URL = fmt.Sprintf("http://%s:%d", config.Bind, config.Port)
	return status, nil
}

func (o *Operator) checkObjects(ctx context.Context, name string, status *Status) error {
	for _, network := range []string{"backend", "frontend"} {
		exists, err := o.Platform.NetworkExists(ctx, engineName(name, network))
		if err != nil {
			return err
		}
		if !exists {
			status.Problems = append(status.Problems, "network "+engineName(name, network)+" is gone")
		}
	}
	exists, err := o.Platform.VolumeExists(ctx, engineName(name, "postgres-data"))
	if err == nil && !exists {
		status.Problems = append(status.Problems, "volume "+engineName(name, "postgres-data")+" with the data is gone")
	}
	return err
}

func partOf(i runtime.Instance) PartStatus {
	part := PartStatus{
		Name: i.Name, Component: i.Component, Slot: i.Slot, Kind: i.Kind, State: string(i.State), Detail: describe(i),
		Image: i.Image, Restarts: i.Restarts,
	}
	if !i.StartedAt.IsZero() {
		started := i.StartedAt.UTC().Truncate(time.Second)
		part.StartedAt = &started
	}
	return part
}

// Logs writes an environment's log lines.
func (o *Operator) Logs(ctx context.Context, name string, options runtime.LogOptions, stdout, stderr io.Writer) error {
	if _, err := o.reach(ctx, name); err != nil {
		return err
	}
	err := o.Platform.Logs(ctx, o.environment(name), options, stdout, stderr)
	if errors.Is(err, runtime.ErrNotFound) {
		what := options.Component
		if what == "" {
			what = "anything"
		}
		return fmt.Errorf("%s runs no container of %s", name, what)
	}
	return err
}

// Exec runs a command of the service in its live container and returns the command's exit code.
func (o *Operator) Exec(ctx context.Context, name string, arguments []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	if _, err := o.reach(ctx, name); err != nil {
		return 0, err
	}
	instances, err := o.Platform.Instances(ctx, o.environment(name))
	if err != nil {
		return 0, err
	}
	for _, instance := range instances {
		if instance.Component == "app" && instance.Serving() {
			entrypoint, err := o.Platform.Entrypoint(ctx, instance.ID)
			if err != nil {
				return 0, err
			}
			return o.Platform.Exec(ctx, instance.ID, append(entrypoint, arguments...), stdin, stdout, stderr)
		}
	}
	return 0, fmt.Errorf("no app of %s is serving: run `deliver up -e %s` first", name, name)
}
