// Package target is an environment as a release sees it: it does what package release asks for, with the platform, the edge, the
// database and Pulumi.
package target

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"bookshelf/infra/environment"
	"bookshelf/infra/release"
	"bookshelf/infra/release/history"
	"bookshelf/infra/release/probe"
	"bookshelf/infra/release/verdict"
	"bookshelf/infra/runtime"
	"bookshelf/infra/runtime/edge"
	"bookshelf/infra/runtime/postgres"
	"bookshelf/infra/traffic"
)

// Stack is what a release changes through Pulumi.
type Stack interface {
	// Slots are what the slots are to run, as it was noted last.
	Slots() environment.Slots
	// WriteSlots notes what the slots are to run, before anything is changed because of it.
	WriteSlots(slots environment.Slots) error
	// Converge brings the engine to what is noted; it returns when every part serves.
	Converge(ctx context.Context) error
	// Commit brings the stack's state to what is noted, which touches no container, and remembers it as good.
	Commit(ctx context.Context) error
	// Forgive lets the stack take the named containers for what they are, although their creation did not succeed.
	Forgive(ctx context.Context, names []string) error
}

// Environment is one as a release sees it.
type Environment struct {
	Stack    Stack
	Platform runtime.Platform
	Env      runtime.Environment
	Edge     *edge.Client
	Database *postgres.Client
	// Fill is what the standby slot is filled with, nil to start it as it is.
	Fill *environment.Slot
	// Paths are what every new replica has to answer with 200, /readyz aside.
	Paths []string
	// Folder is where the release keeps what it leaves.
	Folder string
	// Reads are the requests of a load.
	Reads []probe.Request
	// Probe is told which version has to answer; nil where nothing is accounted for.
	Probe *probe.Probe

	// versions are what slots call themselves, as far as they were asked.
	versions map[string]string
	// born are the replicas as they were when their slot was started, by name.
	born map[string]runtime.Instance
}

var _ release.Target = (*Environment)(nil)

// Preflight implements release.Target.
func (e *Environment) Preflight(ctx context.Context) error {
	instances, err := e.Platform.Instances(ctx, e.Env)
	if err != nil {
		return err
	}
	slots := e.Stack.Slots()
	for _, instance := range instances {
		if !slots.Idle(instance.Slot) && !instance.Serving() {
			return fmt.Errorf("%s is %s: run `deliver up -e %s` first", instance.Name, instance.Describe(), e.Env.Name)
		}
	}
	state, err := e.Edge.State(ctx)
	if err != nil {
		return err
	}
	live := state.Slots[slots.Live]
	if live.Weight != 100 {
		return fmt.Errorf("%s is live and has %d %% of the traffic: run `deliver up -e %s` first", slots.Live, live.Weight, e.Env.Name)
	}
	if missing := traffic.Unready(edge.State{Slots: map[string]edge.Slot{slots.Live: live}}); len(missing) > 0 {
		return fmt.Errorf("the edge does not find ready: %s", missing[0])
	}
	e.note(instances)
	return e.tryProbe(ctx)
}

// The probe is looked at before anything is changed, until it has had enough answers, and at most for a time.
const (
	probeTrial = 100
	trialLimit = 2 * time.Second
)

// tryProbe makes sure that what serves answers the probe as expected. A probe that fails by itself could not tell good from bad.
func (e *Environment) tryProbe(ctx context.Context) error {
	if e.Probe == nil {
		return nil
	}
	requests, bad := 0, 0
	for deadline := time.Now().Add(trialLimit); requests < probeTrial && time.Now().Before(deadline); {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(trialLimit / 20):
		}
		requests, bad = 0, 0
		for _, sample := range e.Probe.Between(time.Time{}, time.Now()) {
			requests += sample.Requests
			bad += sample.Failed + sample.Lost
		}
	}
	const tolerated = 0.05
	if requests == 0 || float64(bad) > tolerated*float64(requests) {
		why := "none has an answer yet"
		if losses := e.Probe.Losses(); len(losses) > 0 {
			why = fmt.Sprintf("%s: %s", losses[0].Kind, losses[0].Detail)
		}
		return fmt.Errorf("what serves fails %d of %d requests of the probe (%s): mend it, or the probe in %s:service, first", bad, requests, why, environment.Namespace)
	}
	return nil
}

// note remembers how the replicas are now, so that a crash can be told from a start.
func (e *Environment) note(instances []runtime.Instance) {
	e.born = map[string]runtime.Instance{}
	for _, instance := range instances {
		e.born[instance.Name] = instance
	}
}

// RestorePoint implements release.Target: a dump of the database beside the release's report.
func (e *Environment) RestorePoint(ctx context.Context) (string, error) {
	path := filepath.Join(e.Folder, history.Dump)
	if err := e.dump(ctx, path); err != nil {
		return "", err
	}
	return "pg_restore of " + path, nil
}

// dump writes the database to a file. It appears whole or not at all.
func (e *Environment) dump(ctx context.Context, path string) error {
	file, err := e.create(filepath.Base(path) + ".partial")
	if err != nil {
		return err
	}
	err = e.Database.Dump(ctx, file)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(fmt.Errorf("dump the database: %w", err), os.Remove(file.Name()))
	}
	return os.Rename(file.Name(), path)
}

// Start implements release.Target. Pulumi runs the migration first, and is done when every replica is healthy.
func (e *Environment) Start(ctx context.Context, slot string) error {
	filled := e.Stack.Slots().Slots[slot]
	if e.Fill != nil {
		filled = *e.Fill
	}
	filled.Retired = false
	if err := e.Stack.WriteSlots(e.Stack.Slots().With(slot, filled)); err != nil {
		return err
	}
	if e.Fill != nil {
		if err := e.clear(ctx, slot); err != nil {
			return err
		}
	}
	if err := e.Stack.Converge(ctx); err != nil {
		return err
	}
	if err := traffic.Direct(ctx, e.Edge, e.Stack.Slots()); err != nil {
		return err
	}
	instances, err := e.Platform.Instances(ctx, e.Env)
	if err != nil {
		return err
	}
	e.note(instances)
	_, err = e.Version(ctx, slot)
	return err
}

// clear removes the stopped replicas of a slot that is filled anew. Whoever converges would take them for replicas that somebody has
// stopped, start them, and wait for the health of a version that may never have had any.
func (e *Environment) clear(ctx context.Context, slot string) error {
	instances, err := e.Platform.Instances(ctx, e.Env)
	if err != nil {
		return err
	}
	replicas, _ := partsOf(slot, instances)
	for _, replica := range replicas {
		if replica.Serving() {
			continue
		}
		if err := e.Platform.Remove(ctx, replica.ID); err != nil {
			return err
		}
	}
	return nil
}

// Version asks a slot what it calls itself.
func (e *Environment) Version(ctx context.Context, slot string) (string, error) {
	answers, err := e.Edge.Fetch(ctx, slot, "/version")
	if err != nil {
		return "", err
	}
	for _, answer := range answers {
		var said struct {
			Version string `json:"version"`
		}
		if answer.Error != "" {
			return "", fmt.Errorf("%s/version: %s", answer.Address, answer.Error)
		}
		if err := json.Unmarshal([]byte(answer.Body), &said); err != nil || said.Version == "" {
			return "", fmt.Errorf("%s/version: %q does not say a version, see docs/contract.md", answer.Address, tail(answer.Body))
		}
		if e.versions == nil {
			e.versions = map[string]string{}
		}
		e.versions[slot] = said.Version
	}
	return e.versions[slot], nil
}

// KnownVersion is what a slot called itself when it was asked last, "" where it never was.
func (e *Environment) KnownVersion(slot string) string { return e.versions[slot] }

// Smoke implements release.Target.
func (e *Environment) Smoke(ctx context.Context, slot string) error {
	for _, path := range append([]string{"/readyz"}, e.Paths...) {
		answers, err := e.Edge.Fetch(ctx, slot, path)
		if err != nil {
			return err
		}
		if len(answers) == 0 {
			return fmt.Errorf("slot %s has no replica", slot)
		}
		for _, answer := range answers {
			switch {
			case answer.Error != "":
				return fmt.Errorf("%s%s: %s", answer.Address, path, answer.Error)
			case answer.Status != http.StatusOK:
				return fmt.Errorf("%s%s answers %d, want 200: %s", answer.Address, path, answer.Status, tail(answer.Body))
			}
		}
	}
	return nil
}

// LoadBoth implements release.Target. The edge's container sends the load: it is as near to the replicas as clients' requests come.
func (e *Environment) LoadBoth(ctx context.Context, rate int, duration time.Duration, warmUp int) (map[string]verdict.Sample, error) {
	live := e.Stack.Slots().Live
	order := edge.Load{
		Slots: []string{live, environment.OtherSlot(live)}, Rate: rate, Seconds: duration.Seconds(), WarmUp: warmUp, TimeoutSeconds: 15,
	}
	for _, read := range e.Reads {
		order.Requests = append(order.Requests, edge.LoadRequest{Method: read.Method, Path: read.Path, Headers: read.Headers, Status: read.Status})
	}
	met, err := e.Edge.Load(ctx, order)
	if err != nil {
		return nil, err
	}
	samples := map[string]verdict.Sample{}
	for slot, m := range met {
		s := verdict.Sample{Requests: m.Requests, Failed: m.Failed, Lost: m.Lost}
		for _, microseconds := range m.Microseconds {
			s.Latencies = append(s.Latencies, time.Duration(microseconds)*time.Microsecond)
		}
		slices.Sort(s.Latencies)
		samples[slot] = s
	}
	return samples, nil
}

// tail is the end of what a replica said, as far as it fits a message.
func tail(text string) string {
	const most = 300
	if len(text) > most {
		return "…" + text[len(text)-most:]
	}
	return text
}

// Shift implements release.Target.
func (e *Environment) Shift(ctx context.Context, slot string, percent int, lease time.Duration) error {
	other := environment.OtherSlot(slot)
	change := traffic.Change(e.Stack.Slots(), map[string]int{slot: percent, other: 100 - percent})
	if lease > 0 {
		change.LeaseSeconds, change.Fallback = lease.Seconds(), map[string]int{other: 100, slot: 0}
	}
	if e.Probe != nil {
		e.Probe.Expect("")
	}
	if _, err := e.Edge.Set(ctx, change); err != nil {
		return err
	}
	if e.Probe != nil && percent == 100 {
		e.Probe.Expect(e.versions[slot])
	}
	return nil
}

// InFlight implements release.Target.
func (e *Environment) InFlight(ctx context.Context, slot string) (int, error) {
	state, err := e.Edge.State(ctx)
	return state.Slots[slot].InFlight + state.Draining[slot], err
}

// Alive implements release.Target.
func (e *Environment) Alive(ctx context.Context, slot string) error {
	instances, err := e.Platform.Instances(ctx, e.Env)
	if err != nil {
		return err
	}
	now := map[string]runtime.Instance{}
	for _, instance := range instances {
		now[instance.Name] = instance
	}
	for n := 1; n <= e.Stack.Slots().Slots[slot].Replicas; n++ {
		name := e.Env.Part(environment.Replica(slot, n))
		replica, there := now[name]
		switch {
		case !there:
			return fmt.Errorf("%s is gone", name)
		case !replica.Serving():
			return fmt.Errorf("%s is %s", name, replica.Describe())
		case replica.ID != e.born[name].ID || !replica.StartedAt.Equal(e.born[name].StartedAt):
			return fmt.Errorf("%s has ended and was started again at %s", name, replica.StartedAt.Format(time.TimeOnly))
		}
	}
	return nil
}

// Observe implements release.Target.
func (e *Environment) Observe(ctx context.Context) (map[string]verdict.Observation, error) {
	observed := map[string]verdict.Observation{}
	for slot := range e.Stack.Slots().Serving() {
		answers, err := e.Edge.Scrape(ctx, slot)
		if err != nil {
			return nil, err
		}
		observed[slot] = observation(answers)
	}
	return observed, nil
}

// observation adds up what replicas say of themselves.
func observation(answers []edge.Answer) verdict.Observation {
	var totals edge.Totals
	o := verdict.Observation{}
	for _, answer := range answers {
		if answer.Error != "" || totals.Add(answer.Body) != nil {
			o.Missing++
		}
	}
	o.Requests, o.Errors = totals.Requests, totals.Errors
	for _, bound := range totals.Bounds() {
		o.Latency = append(o.Latency, verdict.Bucket{Seconds: bound, Count: totals.Within[bound]})
	}
	return o
}

// Commit implements release.Target.
func (e *Environment) Commit(ctx context.Context, slot string) error {
	slots := e.Stack.Slots()
	slots.Live = slot
	if err := e.Stack.WriteSlots(slots); err != nil {
		return err
	}
	return e.Stack.Commit(ctx)
}

// Retire implements release.Target. The edge is told first: a slot that is stopped is none that it may ask.
func (e *Environment) Retire(ctx context.Context, slot string) error {
	slots := e.Stack.Slots()
	retired, filled := slots.Slots[slot]
	if !filled {
		return nil
	}
	instances, err := e.Platform.Instances(ctx, e.Env)
	if err != nil {
		return err
	}
	replicas, migration := partsOf(slot, instances)
	changed := slots.Without(slot) // what never ran shows nothing: the next up clears it away
	var names []string
	if migration != "" {
		names = append(names, migration)
		retired.Retired, retired.Replicas = true, len(replicas)
		changed = slots.With(slot, retired)
	}
	if err := e.Stack.WriteSlots(changed); err != nil {
		return err
	}
	if _, err := e.Edge.Set(ctx, traffic.Change(changed, map[string]int{environment.OtherSlot(slot): 100})); err != nil {
		return err
	}
	problems := []error{e.saveLogs(ctx, slot)}
	for _, replica := range replicas {
		problems = append(problems, e.Platform.Stop(ctx, replica.ID))
		names = append(names, replica.Name)
	}
	return errors.Join(append(problems, e.Stack.Forgive(ctx, names))...)
}

// partsOf returns the containers of a slot's replicas, whatever they do, and the name of the one that its migration ran in, well or not;
// "" where it never did.
func partsOf(slot string, instances []runtime.Instance) (replicas []runtime.Instance, migration string) {
	for _, i := range instances {
		ran := (i.State == runtime.StateCompleted || i.State == runtime.StateFailed) && !i.StartedAt.IsZero()
		switch {
		case i.Slot != slot:
		case i.Component == "app":
			replicas = append(replicas, i)
		case i.Component == "migration" && ran:
			migration = i.Name
		}
	}
	return replicas, migration
}

// saveLogs keeps the log lines of a slot beside the release's report.
func (e *Environment) saveLogs(ctx context.Context, slot string) error {
	if e.Folder == "" {
		return nil
	}
	file, err := e.create(slot + ".log")
	if err != nil {
		return err
	}
	err = e.Platform.Logs(ctx, e.Env, runtime.LogOptions{Slot: slot}, file, file)
	if errors.Is(err, runtime.ErrNotFound) {
		err = nil
	}
	return errors.Join(err, file.Close())
}

// create makes a file in the release's folder, which nobody else may read: it can hold what is in the database.
func (e *Environment) create(name string) (*os.File, error) {
	if err := os.MkdirAll(e.Folder, 0o700); err != nil {
		return nil, fmt.Errorf("make the release's folder: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(e.Folder, name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("keep %s: %w", name, err)
	}
	return file, nil
}
