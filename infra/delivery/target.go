package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"bookshelf/infra/environment"
	"bookshelf/infra/release"
	"bookshelf/infra/release/history"
	"bookshelf/infra/release/probe"
	"bookshelf/infra/runtime"
	"bookshelf/infra/runtime/edge"
)

// target is an environment as a release sees it.
type target struct {
	*session
	// image is what the standby slot is filled with, count the number of its replicas. Without an image it is started as it is.
	image string
	count int
	// folder is where the release keeps what it leaves.
	folder string
	// reads are the requests of a load.
	reads []probe.Request
	// probe is told which version has to answer; nil where nothing is accounted for.
	probe *probe.Probe
	// versions are what slots call themselves, as far as they were asked.
	versions map[string]string
	// born are the replicas as they were when their slot was started, by name.
	born map[string]runtime.Instance
}

var _ release.Target = (*target)(nil)

// Preflight implements release.Target.
func (t *target) Preflight(ctx context.Context) error {
	instances, err := t.Platform.Instances(ctx, t.env)
	if err != nil {
		return err
	}
	for _, instance := range instances {
		if !t.slots.Idle(instance.Slot) && !instance.Serving() {
			return fmt.Errorf("%s is %s: run `deliver up -e %s` first", instance.Name, describe(instance), t.name)
		}
	}
	state, err := t.edge.State(ctx)
	if err != nil {
		return err
	}
	live := state.Slots[t.slots.Live]
	if live.Weight != 100 {
		return fmt.Errorf("%s is live and has %d %% of the traffic: run `deliver up -e %s` first", t.slots.Live, live.Weight, t.name)
	}
	if missing := unready(edge.State{Slots: map[string]edge.Slot{t.slots.Live: live}}); len(missing) > 0 {
		return fmt.Errorf("the edge does not find ready: %s", missing[0])
	}
	t.note(instances)
	return t.tryProbe(ctx)
}

// probeTrial is how long the probe is looked at before anything is changed.
const probeTrial = 2 * time.Second

// tryProbe makes sure that what serves answers the probe as expected. A probe that fails by itself could not tell good from bad.
func (t *target) tryProbe(ctx context.Context) error {
	if t.probe == nil {
		return nil
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(probeTrial):
	}
	requests, bad := 0, 0
	for _, sample := range t.probe.Between(time.Time{}, time.Now()) {
		requests += sample.Requests
		bad += sample.Failed + sample.Lost
	}
	const tolerated = 0.05
	if requests == 0 || float64(bad) > tolerated*float64(requests) {
		why := "none has an answer yet"
		if losses := t.probe.Losses(); len(losses) > 0 {
			why = fmt.Sprintf("%s: %s", losses[0].Kind, losses[0].Detail)
		}
		return fmt.Errorf("what serves fails %d of %d requests of the probe (%s): mend it, or the probe in %s:service, first", bad, requests, why, environment.Namespace)
	}
	return nil
}

// note remembers how the replicas are now, so that a crash can be told from a start.
func (t *target) note(instances []runtime.Instance) {
	t.born = map[string]runtime.Instance{}
	for _, instance := range instances {
		t.born[instance.Name] = instance
	}
}

// RestorePoint implements release.Target: a dump of the database beside the release's report.
func (t *target) RestorePoint(ctx context.Context) (string, error) {
	path := filepath.Join(t.folder, history.Dump)
	if err := t.dump(ctx, path); err != nil {
		return "", err
	}
	return "pg_restore of " + path, nil
}

// Start implements release.Target. Pulumi runs the migration first, and is done when every replica is healthy.
func (t *target) Start(ctx context.Context, slot string) error {
	filled := t.slots.Slots[slot]
	if t.image != "" {
		filled = t.config.Fill(t.image, t.count)
	}
	filled.Retired = false
	if err := t.writeSlots(t.slots.With(slot, filled)); err != nil {
		return err
	}
	if _, err := t.converge(ctx); err != nil {
		return err
	}
	if err := t.direct(ctx); err != nil {
		return err
	}
	instances, err := t.Platform.Instances(ctx, t.env)
	if err != nil {
		return err
	}
	t.note(instances)
	_, err = t.version(ctx, slot)
	return err
}

// version asks a slot what it calls itself.
func (t *target) version(ctx context.Context, slot string) (string, error) {
	answers, err := t.edge.Fetch(ctx, slot, "/version")
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
		if t.versions == nil {
			t.versions = map[string]string{}
		}
		t.versions[slot] = said.Version
	}
	return t.versions[slot], nil
}

// Smoke implements release.Target.
func (t *target) Smoke(ctx context.Context, slot string) error {
	for _, path := range append([]string{"/readyz"}, t.config.Service.Smoke...) {
		answers, err := t.edge.Fetch(ctx, slot, path)
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
func (t *target) LoadBoth(ctx context.Context, rate int, duration time.Duration, warmUp int) (map[string]release.Sample, error) {
	order := edge.Load{
		Slots: []string{t.slots.Live, environment.OtherSlot(t.slots.Live)}, Rate: rate, Seconds: duration.Seconds(), WarmUp: warmUp, TimeoutSeconds: 15,
	}
	for _, read := range t.reads {
		order.Requests = append(order.Requests, edge.LoadRequest{Method: read.Method, Path: read.Path, Headers: read.Headers, Status: read.Status})
	}
	met, err := t.edge.Load(ctx, order)
	if err != nil {
		return nil, err
	}
	samples := map[string]release.Sample{}
	for slot, m := range met {
		s := release.Sample{Requests: m.Requests, Failed: m.Failed, Lost: m.Lost}
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
func (t *target) Shift(ctx context.Context, slot string, percent int, lease time.Duration) error {
	other := environment.OtherSlot(slot)
	change := t.change(map[string]int{slot: percent, other: 100 - percent})
	if lease > 0 {
		change.LeaseSeconds, change.Fallback = lease.Seconds(), map[string]int{other: 100, slot: 0}
	}
	if t.probe != nil {
		t.probe.Expect("")
	}
	if _, err := t.edge.Set(ctx, change); err != nil {
		return err
	}
	if t.probe != nil && percent == 100 {
		t.probe.Expect(t.versions[slot])
	}
	return nil
}

// InFlight implements release.Target.
func (t *target) InFlight(ctx context.Context, slot string) (int, error) {
	state, err := t.edge.State(ctx)
	return state.Slots[slot].InFlight + state.Draining[slot], err
}

// Alive implements release.Target.
func (t *target) Alive(ctx context.Context, slot string) error {
	instances, err := t.Platform.Instances(ctx, t.env)
	if err != nil {
		return err
	}
	now := map[string]runtime.Instance{}
	for _, instance := range instances {
		now[instance.Name] = instance
	}
	for n := 1; n <= t.slots.Slots[slot].Replicas; n++ {
		name := engineName(t.name, environment.Replica(slot, n))
		replica, there := now[name]
		switch {
		case !there:
			return fmt.Errorf("%s is gone", name)
		case !replica.Serving():
			return fmt.Errorf("%s is %s", name, describe(replica))
		case replica.ID != t.born[name].ID || !replica.StartedAt.Equal(t.born[name].StartedAt):
			return fmt.Errorf("%s has ended and was started again at %s", name, replica.StartedAt.Format(time.TimeOnly))
		}
	}
	return nil
}

// Observe implements release.Target.
func (t *target) Observe(ctx context.Context) (map[string]release.Observation, error) {
	observed := map[string]release.Observation{}
	for slot := range t.slots.Serving() {
		answers, err := t.edge.Scrape(ctx, slot)
		if err != nil {
			return nil, err
		}
		observed[slot] = observation(answers)
	}
	return observed, nil
}

// observation adds up what replicas say of themselves.
func observation(answers []edge.Answer) release.Observation {
	var totals edge.Totals
	o := release.Observation{}
	for _, answer := range answers {
		if answer.Error != "" || totals.Add(answer.Body) != nil {
			o.Missing++
		}
	}
	o.Requests, o.Errors = totals.Requests, totals.Errors
	for _, bound := range totals.Bounds() {
		o.Latency = append(o.Latency, release.Bucket{Seconds: bound, Count: totals.Within[bound]})
	}
	return o
}

// Commit implements release.Target.
func (t *target) Commit(ctx context.Context, slot string) error {
	slots := t.slots
	slots.Live = slot
	if err := t.writeSlots(slots); err != nil {
		return err
	}
	if _, err := t.stack.Up(ctx, nil, t.Report.Step); err != nil {
		return err
	}
	return t.rememberGood()
}

// Retire implements release.Target. The edge is told first: a slot that is stopped is none that it may ask.
func (t *target) Retire(ctx context.Context, slot string) error {
	retired, filled := t.slots.Slots[slot]
	if !filled {
		return nil
	}
	there, err := t.replicas(ctx, slot)
	if err != nil {
		return err
	}
	migration, err := t.migrated(ctx, slot)
	if err != nil {
		return err
	}
	slots := t.slots.Without(slot) // what never ran shows nothing: the next up clears it away
	if migration != "" {
		retired.Retired, retired.Replicas = true, len(there)
		slots = t.slots.With(slot, retired)
	}
	if err := t.writeSlots(slots); err != nil {
		return err
	}
	if _, err := t.edge.Set(ctx, t.change(map[string]int{environment.OtherSlot(slot): 100})); err != nil {
		return err
	}
	problems := []error{t.saveLogs(ctx, slot)}
	names := []string{migration}
	for _, instance := range there {
		problems = append(problems, t.Platform.Stop(ctx, instance.ID))
		names = append(names, instance.Name)
	}
	return errors.Join(append(problems, t.stack.Forgive(ctx, names))...)
}

// migrated returns the name of the container that a slot's migration ran in, well or not; "" where it never did.
func (s *session) migrated(ctx context.Context, slot string) (string, error) {
	instances, err := s.Platform.Instances(ctx, s.env)
	if err != nil {
		return "", err
	}
	for _, i := range instances {
		ran := i.State == runtime.StateCompleted || i.State == runtime.StateFailed
		if i.Component == "migration" && i.Slot == slot && ran && !i.StartedAt.IsZero() {
			return i.Name, nil
		}
	}
	return "", nil
}

// replicas lists the containers of a slot, whatever they do.
func (s *session) replicas(ctx context.Context, slot string) ([]runtime.Instance, error) {
	instances, err := s.Platform.Instances(ctx, s.env)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(instances, func(i runtime.Instance) bool { return i.Component != "app" || i.Slot != slot }), nil
}

// saveLogs keeps the log lines of a slot beside the release's report.
func (t *target) saveLogs(ctx context.Context, slot string) error {
	if t.folder == "" {
		return nil
	}
	file, err := t.create(slot + ".log")
	if err != nil {
		return err
	}
	err = t.Platform.Logs(ctx, t.env, runtime.LogOptions{Slot: slot}, file, file)
	if errors.Is(err, runtime.ErrNotFound) {
		err = nil
	}
	return errors.Join(err, file.Close())
}

// create makes a file in the release's folder, which nobody else may read: it can hold what is in the database.
func (t *target) create(name string) (*os.File, error) {
	if err := os.MkdirAll(t.folder, 0o700); err != nil {
		return nil, fmt.Errorf("make the release's folder: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(t.folder, name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("keep %s: %w", name, err)
	}
	return file, nil
}

// database runs a shell command in the database's container, as its administrator.
func (s *session) database(ctx context.Context, command string, arguments []string, stdin io.Reader, stdout io.Writer) error {
	instances, err := s.Platform.Instances(ctx, s.env)
	if err != nil {
		return err
	}
	for _, instance := range instances {
		if instance.Component != "postgres" || !instance.Serving() {
			continue
		}
		var complaint limited
		script := `export PGPASSWORD=$(cat /run/secrets/superuser_password) PGHOST=127.0.0.1 PGUSER=postgres; exec ` + command + ` "$@"`
		code, err := s.Platform.Exec(ctx, instance.ID, append([]string{"sh", "-c", script, command}, arguments...), stdin, stdout, &complaint)
		if err == nil && code != 0 {
			err = fmt.Errorf("%s ended with exit code %d: %s", command, code, complaint.String())
		}
		return err
	}
	return fmt.Errorf("the database of %s does not run", s.name)
}
