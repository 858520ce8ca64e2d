package target

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bookshelf/infra/environment"
	"bookshelf/infra/release/verdict"
	"bookshelf/infra/runtime"
	"bookshelf/infra/runtime/edge"
	"bookshelf/infra/runtime/edge/edgetest"
)

// told is a platform whose edge notes what it is told, and that has logs and can stop.
type told struct {
	*edgetest.Platform
	changes []edge.Change
	fetched func(slot, path string) []edge.Answer
	stopped []string
	removed []string
	listed  int
}

func (p *told) answer(command []string, stdin []byte) (any, error) {
	switch command[0] {
	case "fetch":
		return p.fetched(command[1], command[2]), nil
	case "slots":
		if len(command) > 1 {
			var change edge.Change
			if err := json.Unmarshal(stdin, &change); err != nil {
				return nil, err
			}
			p.changes = append(p.changes, change)
		}
	}
	return edge.State{}, nil
}

func (p *told) Instances(ctx context.Context, env runtime.Environment) ([]runtime.Instance, error) {
	p.listed++
	return p.Platform.Instances(ctx, env)
}

func (p *told) Stop(_ context.Context, id string) error {
	p.stopped = append(p.stopped, id)
	return nil
}

func (p *told) Remove(_ context.Context, id string) error {
	p.removed = append(p.removed, id)
	return nil
}

func (p *told) Logs(_ context.Context, _ runtime.Environment, options runtime.LogOptions, stdout, _ io.Writer) error {
	_, err := fmt.Fprintf(stdout, "the log of %s\n", options.Slot)
	return err
}

// noted is a stack that only notes what it is to run. Whatever needs Pulumi panics.
type noted struct {
	Stack
	slots    environment.Slots
	forgiven []string
}

func (s *noted) Slots() environment.Slots { return s.slots }

func (s *noted) WriteSlots(slots environment.Slots) error {
	s.slots = slots
	return nil
}

func (s *noted) Converge(context.Context) error { return errConverging }

var errConverging = errors.New("converging")

func (s *noted) Forgive(_ context.Context, names []string) error {
	s.forgiven = names
	return nil
}

var dev = runtime.Environment{Project: "bookshelf", Name: "dev"}

func replica(slot string, n int) runtime.Instance {
	return runtime.Instance{
		ID: fmt.Sprintf("%s-%d", slot, n), Name: dev.Part(environment.Replica(slot, n)), Component: "app", Slot: slot,
		Kind: runtime.KindService, State: runtime.StateHealthy, StartedAt: time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC),
	}
}

// inRelease is an environment in the middle of a release from blue to green.
func inRelease(t *testing.T) (*Environment, *told) {
	t.Helper()
	p := &told{Platform: &edgetest.Platform{Others: []runtime.Instance{replica("blue", 1), replica("green", 1), replica("green", 2)}}}
	p.Answer = p.answer
	slots := environment.Slots{Live: "blue", Slots: map[string]environment.Slot{"blue": {Image: "old", Replicas: 1}, "green": {Image: "new", Replicas: 2}}}
	e := &Environment{Stack: &noted{slots: slots}, Platform: p, Env: dev, Edge: edge.New(p, dev), Folder: t.TempDir()}
	e.note(p.Others)
	return e, p
}

func TestAShiftNamesEveryReplicaAndWhatItFallsBackTo(t *testing.T) {
	t.Parallel()
	e, p := inRelease(t)
	if err := e.Shift(t.Context(), "green", 5, 15*time.Second); err != nil {
		t.Fatal(err)
	}
	want := edge.Change{
		Slots: map[string]edge.Share{
			"blue":  {Weight: 95, Replicas: []edge.Address{{Address: "app-blue-1:8080", Admin: "app-blue-1:9090"}}},
			"green": {Weight: 5, Replicas: []edge.Address{{Address: "app-green-1:8080", Admin: "app-green-1:9090"}, {Address: "app-green-2:8080", Admin: "app-green-2:9090"}}},
		},
		LeaseSeconds: 15, Fallback: map[string]int{"blue": 100, "green": 0},
	}
	if diff := cmp.Diff([]edge.Change{want}, p.changes); diff != "" {
		t.Error(diff)
	}
}

func TestAReplicaThatIsNotAsItWasStartedIsNotAlive(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*told)
		want   string // "" is alive
	}{
		"all as they were":      {func(*told) {}, ""},
		"the other slot's died": {func(p *told) { p.Others[0].State = runtime.StateStopped }, ""},
		"one is gone":           {func(p *told) { p.Others = p.Others[:2] }, "bookshelf-dev-app-green-2 is gone"},
		"one was killed": {func(p *told) {
			p.Others[1].State, p.Others[1].KilledForMemory, p.Others[1].MemoryBytes = runtime.StateStopped, true, 64<<20
		}, "bookshelf-dev-app-green-1 is stopped (killed for using more than its 64 MiB)"},
		"one was started again": {func(p *told) { p.Others[2].StartedAt = p.Others[2].StartedAt.Add(time.Minute) }, "bookshelf-dev-app-green-2 has ended and was started again at 12:01:00"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, p := inRelease(t)
			test.change(p)
			err := e.Alive(t.Context(), "green")
			if test.want == "" && err != nil || test.want != "" && (err == nil || err.Error() != test.want) {
				t.Errorf("want %q, have %v", test.want, err)
			}
		})
	}
}

func TestSmokeAsksEveryReplicaForEveryPath(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answers []edge.Answer
		want    string
	}{
		"good":        {[]edge.Answer{{Address: "a:1", Status: 200}, {Address: "b:1", Status: 200}}, ""},
		"one is bad":  {[]edge.Answer{{Address: "a:1", Status: 200}, {Address: "b:1", Status: 503, Body: "no database"}}, "b:1/readyz answers 503, want 200: no database"},
		"one is mute": {[]edge.Answer{{Address: "a:1", Error: "connection refused"}}, "a:1/readyz: connection refused"},
		"none at all": {nil, "slot green has no replica"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, p := inRelease(t)
			e.Paths = []string{"/version"}
			var asked []string
			p.fetched = func(slot, path string) []edge.Answer {
				asked = append(asked, slot+path)
				return test.answers
			}
			err := e.Smoke(t.Context(), "green")
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("want %q, have %v", test.want, err)
			}
			if test.want == "" {
				if diff := cmp.Diff([]string{"green/readyz", "green/version"}, asked); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func TestWhatReplicasSayIsAddedUpAndWhatTheyDoNotSayIsCounted(t *testing.T) {
	t.Parallel()
	metrics := "http_server_requests_total{http_response_status_code=\"200\"} 3\n# TYPE http_server_request_duration_seconds histogram\n" +
		"http_server_request_duration_seconds_bucket{le=\"0.1\"} 2\nhttp_server_request_duration_seconds_bucket{le=\"+Inf\"} 3\n" +
		"http_server_request_duration_seconds_sum 1\nhttp_server_request_duration_seconds_count 3\n"
	got := observation([]edge.Answer{{Body: metrics}, {Body: metrics}, {Error: "refused"}, {Body: "<html>"}})
	want := verdict.Observation{Requests: 6, Missing: 2, Latency: []verdict.Bucket{{Seconds: 0.1, Count: 4}, {Seconds: math.Inf(1), Count: 6}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestARetiredSlotIsStoppedWithItsContainersListedOnce(t *testing.T) {
	t.Parallel()
	ran := runtime.Instance{ID: "m", Name: dev.Part("migration-green"), Component: "migration", Slot: "green", Kind: runtime.KindTask, State: runtime.StateFailed, StartedAt: time.Now()}
	never := ran
	never.State, never.StartedAt = runtime.StateStopped, time.Time{}
	for name, test := range map[string]struct {
		migration runtime.Instance
		left      environment.Slots
		forgiven  []string
	}{
		"its migration ran": {
			ran, environment.Slots{Live: "blue", Slots: map[string]environment.Slot{"blue": {Image: "old", Replicas: 1}, "green": {Image: "new", Replicas: 2, Retired: true}}},
			[]string{"bookshelf-dev-migration-green", "bookshelf-dev-app-green-1", "bookshelf-dev-app-green-2"},
		},
		"it never ran": {
			never, environment.Slots{Live: "blue", Slots: map[string]environment.Slot{"blue": {Image: "old", Replicas: 1}}},
			[]string{"bookshelf-dev-app-green-1", "bookshelf-dev-app-green-2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, p := inRelease(t)
			p.Others = append(p.Others, test.migration)
			if _, err := e.Edge.State(t.Context()); err != nil { // looks for the edge's container, once
				t.Fatal(err)
			}
			p.listed = 0
			if err := e.Retire(t.Context(), "green"); err != nil {
				t.Fatal(err)
			}
			if p.listed != 1 {
				t.Errorf("the containers were listed %d times, want once", p.listed)
			}
			stack := e.Stack.(*noted)
			if diff := cmp.Diff(test.left, stack.slots); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(test.forgiven, stack.forgiven); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]string{"green-1", "green-2"}, p.stopped); diff != "" {
				t.Error(diff)
			}
			if len(p.changes) != 1 || p.changes[0].Slots["blue"].Weight != 100 || len(p.changes[0].Slots) != 1 {
				t.Errorf("the edge is told %+v, want all for blue and nothing of green", p.changes)
			}
		})
	}
}

func TestWhatASlotThatIsFilledAnewHasLeftIsRemovedAndNotStarted(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fill *environment.Slot
		want []string
	}{
		"filled anew":      {&environment.Slot{Image: "newer", Replicas: 2}, []string{"green-2"}},
		"started as it is": {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, p := inRelease(t)
			e.Fill = test.fill
			p.Others[0].State, p.Others[2].State = runtime.StateStopped, runtime.StateStopped
			if err := e.Start(t.Context(), "green"); !errors.Is(err, errConverging) {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, p.removed); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLogsOfASlotAreKeptForNobodyElseToRead(t *testing.T) {
	t.Parallel()
	e, _ := inRelease(t)
	if err := e.saveLogs(t.Context(), "green"); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(e.Folder + "/green.log")
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() == 0 {
		t.Errorf("%v, %v", info, err)
	}
}
