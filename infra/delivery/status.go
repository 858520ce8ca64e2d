package delivery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"time"

	"bookshelf/infra/backup"
	"bookshelf/infra/environment"
	"bookshelf/infra/provenance"
	"bookshelf/infra/runtime"
	"bookshelf/infra/runtime/edge"
	"bookshelf/infra/traffic"
)

// Status is an environment as the engine shows it now. Its JSON form is what `deliver status --json` prints.
type Status struct {
	Environment string `json:"environment"`
	// Healthy says that every part is there and does its work.
	Healthy bool   `json:"healthy"`
	URL     string `json:"url,omitempty"`
	Live    string `json:"live,omitempty"`
	// Traffic is what the edge gives to which slot, sorted by slot; empty while the edge does not answer.
	Traffic  []SlotStatus `json:"traffic"`
	Parts    []PartStatus `json:"parts"`
	Problems []string     `json:"problems"`
	// Verified is what was verified of the app's image before it was deployed, absent where nothing was.
	Verified *provenance.Record `json:"verified,omitempty"`
	// Backup is how the backups are, absent while that cannot be asked.
	Backup *BackupStatus `json:"backup,omitempty"`
	// Secrets are the ages of what is rotated.
	Secrets []SecretStatus `json:"secrets"`
	// Former are the volumes that restores have left.
	Former []string `json:"former_volumes,omitempty"`
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

// SlotStatus is one slot as the edge sees it.
type SlotStatus struct {
	Slot string `json:"slot"`
	// Weight is its share of the traffic in percent.
	Weight   int    `json:"weight"`
	InFlight int    `json:"in_flight"`
	Ready    int    `json:"ready"`
	Replicas int    `json:"replicas"`
	Image    string `json:"image"`
}

// Status looks at an environment. It asks the engine, not Pulumi's state, takes no lock and changes nothing.
func (o *Operator) Status(ctx context.Context, name string) (Status, error) {
	settings, err := o.reach(ctx, name)
	if err != nil {
		return Status{}, err
	}
	config, err := load(name, settings)
	if err != nil {
		return Status{}, err
	}
	env := o.environment(name)
	instances, err := o.Platform.Instances(ctx, env)
	if err != nil {
		return Status{}, err
	}
	status := Status{Environment: name, URL: config.URL, Traffic: []SlotStatus{}, Parts: []PartStatus{}, Problems: []string{}, Secrets: []SecretStatus{}}
	if len(instances) == 0 {
		status.URL = ""
		status.Problems = append(status.Problems, name+" is not deployed")
		status.Next = fmt.Sprintf("make up ENV=%s", name)
		return status, nil
	}
	slots, err := environment.ReadSlots(o.Layout.State, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Status{}, err
	}
	status.Live = slots.Live
	if err := o.checkParts(ctx, env, instances, slots, &status); err != nil {
		return Status{}, err
	}
	if err := o.checkTraffic(ctx, env, slots, &status); err != nil {
		return Status{}, err
	}
	if err := o.checkObjects(ctx, env, &status); err != nil {
		return Status{}, err
	}
	o.checkBackups(ctx, env, config, instances, &status)
	if err := o.checkSecrets(ctx, env, config, &status); err != nil {
		return Status{}, err
	}
	status.Healthy = len(status.Problems) == 0
	if !status.Healthy {
		status.Next = fmt.Sprintf("deliver up -e %s", name)
	}
	return status, nil
}

// checkParts looks at the containers: those that should be there, and what those that are there do.
func (o *Operator) checkParts(ctx context.Context, env runtime.Environment, instances []runtime.Instance, slots environment.Slots, status *Status) error {
	for _, part := range expected(slots) {
		part = env.Part(part)
		if !slices.ContainsFunc(instances, func(i runtime.Instance) bool { return i.Name == part }) {
			status.Problems = append(status.Problems, part+" is gone")
		}
	}
	for _, instance := range instances {
		part := partOf(instance)
		if slots.Idle(instance.Slot) {
			part.Detail += ", retired"
		} else if !instance.Serving() {
			status.Problems = append(status.Problems, instance.Name+" is "+instance.Describe())
		}
		status.Parts = append(status.Parts, part)
		if instance.Component == "app" && instance.Slot == slots.Live && status.Verified == nil {
			var err error
			if status.Verified, err = o.verifiedImage(ctx, env.Name, instance.Image); err != nil {
				return err
			}
		}
	}
	return nil
}

// expected are the containers that should be there, by the last part of their names.
func expected(slots environment.Slots) []string {
	parts := []string{"secrets", "postgres", "roles", backup.Component, "edge"}
	for name, slot := range slots.Serving() {
		parts = append(parts, "migration-"+name)
		for n := 1; n <= slot.Replicas; n++ {
			parts = append(parts, environment.Replica(name, n))
		}
	}
	slices.Sort(parts[5:])
	return parts
}

// checkTraffic asks the edge what it gives to whom. That it does not run is a problem that checkParts has told already.
func (o *Operator) checkTraffic(ctx context.Context, env runtime.Environment, slots environment.Slots, status *Status) error {
	state, err := edge.New(o.Platform, env).State(ctx)
	if errors.Is(err, runtime.ErrNotFound) {
		return nil
	}
	if err != nil {
		status.Problems = append(status.Problems, err.Error())
		return nil
	}
	for _, slot := range slices.Sorted(maps.Keys(state.Slots)) {
		seen := state.Slots[slot]
		s := SlotStatus{Slot: slot, Weight: seen.Weight, InFlight: seen.InFlight, Replicas: len(seen.Replicas), Image: slots.Slots[slot].Image}
		for _, replica := range seen.Replicas {
			if replica.Healthy {
				s.Ready++
			}
		}
		status.Traffic = append(status.Traffic, s)
	}
	if weight := state.Slots[slots.Live].Weight; weight != 100 {
		status.Problems = append(status.Problems, fmt.Sprintf("%s is live and has %d %% of the traffic: a release is under way, or was cut short", slots.Live, weight))
	}
	for _, missing := range traffic.Unready(state) {
		status.Problems = append(status.Problems, "the edge does not find ready: "+missing)
	}
	return nil
}

func (o *Operator) checkObjects(ctx context.Context, env runtime.Environment, status *Status) error {
	for _, network := range []string{"backend", "frontend", "public"} {
		exists, err := o.Platform.NetworkExists(ctx, env.Part(network))
		if err != nil {
			return err
		}
		if !exists {
			status.Problems = append(status.Problems, "network "+env.Part(network)+" is gone")
		}
	}
	data, err := environment.ReadData(o.Layout.State, env.Name)
	if err != nil {
		return err
	}
	for _, former := range data.Former {
		status.Former = append(status.Former, env.Part(former))
	}
	volume := env.Part(data.Volume)
	exists, err := o.Platform.VolumeExists(ctx, volume)
	if err == nil && !exists {
		status.Problems = append(status.Problems, "volume "+volume+" with the data is gone")
	}
	return err
}

func partOf(i runtime.Instance) PartStatus {
	part := PartStatus{
		Name: i.Name, Component: i.Component, Slot: i.Slot, Kind: i.Kind, State: string(i.State), Detail: i.Describe(),
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
	slots, err := environment.ReadSlots(o.Layout.State, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	for _, instance := range instances {
		if instance.Component == "app" && instance.Slot == slots.Live && instance.Serving() {
			entrypoint, err := o.Platform.Entrypoint(ctx, instance.ID)
			if err != nil {
				return 0, err
			}
			return o.Platform.Exec(ctx, instance.ID, append(entrypoint, arguments...), stdin, stdout, stderr)
		}
	}
	return 0, fmt.Errorf("no app of %s is serving: run `deliver up -e %s` first", name, name)
}
