package delivery

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bookshelf/infra/environment"
	"bookshelf/infra/release"
	"bookshelf/infra/runtime"
	"bookshelf/infra/runtime/edge"
)

// told is a platform whose edge notes what it is told, and answers with what it was told last.
type told struct {
	runtime.Platform
	instances []runtime.Instance
	changes   []string
	fetched   func(slot, path string) string
	stopped   []string
}

func (p *told) Instances(context.Context, runtime.Environment) ([]runtime.Instance, error) {
	return append([]runtime.Instance{{ID: "edge", Component: edge.Component, Kind: runtime.KindService, State: runtime.StateHealthy}}, p.instances...), nil
}

func (p *told) Entrypoint(context.Context, string) ([]string, error) { return []string{"/edge"}, nil }

func (p *told) Stop(_ context.Context, id string) error {
	p.stopped = append(p.stopped, id)
	return nil
}

func (p *told) Logs(_ context.Context, _ runtime.Environment, options runtime.LogOptions, stdout, _ io.Writer) error {
	_, err := fmt.Fprintf(stdout, "the log of %s\n", options.Slot)
	return err
}

func (p *told) Exec(_ context.Context, _ string, command []string, stdin io.Reader, stdout, _ io.Writer) (int, error) {
	input, err := io.ReadAll(stdin)
	if err != nil {
		return 0, err
	}
	answer := "{}"
	switch command[1] {
	case "fetch":
		answer = p.fetched(command[2], command[3])
	case "slots":
		if len(input) > 0 {
			p.changes = append(p.changes, string(input))
		}
	}
	_, err = io.WriteString(stdout, answer)
	return 0, err
}

func replica(slot string, n int) runtime.Instance {
	return runtime.Instance{
		ID: fmt.Sprintf("%s-%d", slot, n), Name: engineName("dev", environment.Replica(slot, n)), Component: "app", Slot: slot,
		Kind: runtime.KindService, State: runtime.StateHealthy, StartedAt: time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC),
	}
}

// inRelease is a target in the middle of a release from blue to green.
func inRelease(t *testing.T) (*target, *told) {
	t.Helper()
	p := &told{instances: []runtime.Instance{replica("blue", 1), replica("green", 1), replica("green", 2)}}
	o := &Operator{Platform: p, Report: &silent{}}
	o.Layout.State = t.TempDir()
	s := &session{Operator: o, name: "dev", env: o.environment("dev"), edge: edge.New(p, o.environment("dev"))}
	s.slots = environment.Slots{Live: "blue", Slots: map[string]environment.Slot{"blue": {Image: "old", Replicas: 1}, "green": {Image: "new", Replicas: 2}}}
	target := &target{session: s, folder: t.TempDir()}
	target.note(p.instances)
	return target, p
}

func TestAShiftNamesEveryReplicaAndWhatItFallsBackTo(t *testing.T) {
	t.Parallel()
	target, p := inRelease(t)
	if err := target.Shift(t.Context(), "green", 5, 15*time.Second); err != nil {
		t.Fatal(err)
	}
	var got, want edge.Change
	if err := json.Unmarshal([]byte(p.changes[0]), &got); err != nil {
		t.Fatal(err)
	}
	want = edge.Change{
		Slots: map[string]edge.Share{
			"blue":  {Weight: 95, Replicas: []edge.Address{{Address: "app-blue-1:8080", Admin: "app-blue-1:9090"}}},
			"green": {Weight: 5, Replicas: []edge.Address{{Address: "app-green-1:8080", Admin: "app-green-1:9090"}, {Address: "app-green-2:8080", Admin: "app-green-2:9090"}}},
		},
		LeaseSeconds: 15, Fallback: map[string]int{"blue": 100, "green": 0},
	}
	if diff := cmp.Diff(want, got); diff != "" {
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
		"the other slot's died": {func(p *told) { p.instances[0].State = runtime.StateStopped }, ""},
		"one is gone":           {func(p *told) { p.instances = p.instances[:2] }, "bookshelf-dev-app-green-2 is gone"},
		"one was killed": {func(p *told) {
			p.instances[1].State, p.instances[1].KilledForMemory, p.instances[1].MemoryBytes = runtime.StateStopped, true, 64<<20
		}, "bookshelf-dev-app-green-1 is stopped (killed for using more than its 64 MiB)"},
		"one was started again": {func(p *told) { p.instances[2].StartedAt = p.instances[2].StartedAt.Add(time.Minute) }, "bookshelf-dev-app-green-2 has ended and was started again at 12:01:00"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target, p := inRelease(t)
			test.change(p)
			err := target.Alive(t.Context(), "green")
			if test.want == "" && err != nil || test.want != "" && (err == nil || err.Error() != test.want) {
				t.Errorf("want %q, have %v", test.want, err)
			}
		})
	}
}

func TestSmokeAsksEveryReplicaForEveryPath(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ answers, want string }{
		"good":        {`[{"address":"a:1","status":200},{"address":"b:1","status":200}]`, ""},
		"one is bad":  {`[{"address":"a:1","status":200},{"address":"b:1","status":503,"body":"no database"}]`, "b:1/readyz answers 503, want 200: no database"},
		"one is mute": {`[{"address":"a:1","error":"connection refused"}]`, "a:1/readyz: connection refused"},
		"none at all": {`[]`, "slot green has no replica"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target, p := inRelease(t)
			target.config.Service.Smoke = []string{"/version"}
			var asked []string
			p.fetched = func(slot, path string) string {
				asked = append(asked, slot+path)
				return test.answers
			}
			err := target.Smoke(t.Context(), "green")
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
	want := release.Observation{Requests: 6, Missing: 2, Latency: []release.Bucket{{Seconds: 0.1, Count: 4}, {Seconds: math.Inf(1), Count: 6}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTheEdgeIsDirectedOnlyWhenItKnowsOtherReplicas(t *testing.T) {
	t.Parallel()
	target, p := inRelease(t)
	err := target.direct(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(p.changes) != 1 || !strings.Contains(p.changes[0], `"blue":{"weight":100`) {
		t.Errorf("an edge that knows nothing is told %q", p.changes)
	}
}

func TestLogsOfASlotAreKeptForNobodyElseToRead(t *testing.T) {
	t.Parallel()
	target, _ := inRelease(t)
	if err := target.saveLogs(t.Context(), "green"); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(target.folder + "/green.log")
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() == 0 {
		t.Errorf("%v, %v", info, err)
	}
}
