package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bookshelf/infra/runtime"
)

// platform runs the edge's commands as a function.
type platform struct {
	runtime.Platform
	instances []runtime.Instance
	command   func(id, arguments, stdin string) (code int, stdout, stderr string, err error)
}

func (p *platform) Instances(context.Context, runtime.Environment) ([]runtime.Instance, error) {
	return p.instances, nil
}

func (p *platform) Entrypoint(context.Context, string) ([]string, error) {
	return []string{"/edge"}, nil
}

func (p *platform) Exec(_ context.Context, id string, command []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	input, err := io.ReadAll(stdin)
	if err != nil {
		return 0, err
	}
	code, out, complaint, err := p.command(id, strings.Join(command, " "), string(input))
	fmt.Fprint(stdout, out)
	fmt.Fprint(stderr, complaint)
	return code, err
}

func running(id string) runtime.Instance {
	return runtime.Instance{ID: id, Component: Component, Kind: runtime.KindService, State: runtime.StateHealthy}
}

func TestAChangeIsOneCommandAndItsAnswerTheNewState(t *testing.T) {
	t.Parallel()
	var said string
	p := &platform{instances: []runtime.Instance{running("1")}, command: func(_, arguments, stdin string) (int, string, string, error) {
		said = arguments + " < " + stdin
		return 0, `{"generation":7,"slots":{"blue":{"weight":95,"in_flight":2}}}`, "", nil
	}}
	state, err := New(p, runtime.Environment{Name: "dev"}).Set(t.Context(), Change{
		Slots:        map[string]Share{"blue": {Weight: 95, Replicas: []Address{{"app-blue-1:8080", "app-blue-1:9090"}}}},
		LeaseSeconds: 30, Fallback: map[string]int{"blue": 100},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `/edge slots set < {"slots":{"blue":{"weight":95,"replicas":[{"address":"app-blue-1:8080","admin":"app-blue-1:9090"}]}},"lease_seconds":30,"fallback":{"blue":100}}`
	if diff := cmp.Diff(want, said); diff != "" {
		t.Error(diff)
	}
	if state.Generation != 7 || state.Slots["blue"].InFlight != 2 {
		t.Errorf("state is %+v", state)
	}
}

func TestAnEdgeThatWasReplacedIsFoundAgain(t *testing.T) {
	t.Parallel()
	p := &platform{instances: []runtime.Instance{running("1")}}
	p.command = func(id, _, _ string) (int, string, string, error) {
		if id == "1" {
			p.instances = []runtime.Instance{running("2")}
			return 0, "", "", runtime.ErrNotFound
		}
		return 0, `{"generation":1}`, "", nil
	}
	client := New(p, runtime.Environment{Name: "dev"})
	if state, err := client.State(t.Context()); err != nil || state.Generation != 1 {
		t.Errorf("state %+v, %v", state, err)
	}
}

func TestWhatTheEdgeCannotDoIsAnError(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		instances []runtime.Instance
		code      int
		stdout    string
		want      string
	}{
		"no edge":            {nil, 0, "{}", "dev has no edge that runs"},
		"an edge that stops": {[]runtime.Instance{{ID: "1", Component: Component, State: runtime.StateStopped}}, 0, "{}", "no edge that runs"},
		"a refusal":          {[]runtime.Instance{running("1")}, 2, "", "the edge refuses: the complaint"},
		"a failure":          {[]runtime.Instance{running("1")}, 1, "", "edge slots: exit code 1: the complaint"},
		"nonsense":           {[]runtime.Instance{running("1")}, 0, "<html>", `in "<html>"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &platform{instances: test.instances, command: func(string, string, string) (int, string, string, error) {
				return test.code, test.stdout, "the complaint\n", nil
			}}
			_, err := New(p, runtime.Environment{Name: "dev"}).State(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("want an error with %q, have %v", test.want, err)
			}
			if _, refused := errors.AsType[*RefusedError](err); refused != (test.code == 2) {
				t.Errorf("a refusal is told apart: %v", err)
			}
		})
	}
}

func TestALoadIsOneCommandThatPrintsWhatEachSlotMet(t *testing.T) {
	t.Parallel()
	var said string
	p := &platform{instances: []runtime.Instance{running("1")}, command: func(_, arguments, stdin string) (int, string, string, error) {
		said = arguments + " < " + stdin
		return 0, `{"blue":{"requests":3,"failed":1,"lost":0,"microseconds":[200,100]},"green":{"requests":3,"failed":0,"lost":3,"microseconds":[]}}`, "", nil
	}}
	met, err := New(p, runtime.Environment{Name: "dev"}).Load(t.Context(), Load{
		Slots: []string{"blue", "green"}, Rate: 50, Seconds: 1.5, WarmUp: 20, TimeoutSeconds: 15,
		Requests: []LoadRequest{{Method: "GET", Path: "/", Status: []int{200}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `/edge load < {"slots":["blue","green"],"rate":50,"seconds":1.5,"warm_up":20,"timeout_seconds":15,"requests":[{"method":"GET","path":"/","headers":null,"status":[200]}]}`
	if diff := cmp.Diff(want, said); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]Loaded{"blue": {3, 1, 0, []int64{200, 100}}, "green": {3, 0, 3, []int64{}}}, met); diff != "" {
		t.Error(diff)
	}
}
