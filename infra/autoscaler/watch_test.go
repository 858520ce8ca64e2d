package autoscaler

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"bookshelf/infra/autoscale"
	"bookshelf/infra/delivery"
	"bookshelf/infra/environment"
	"bookshelf/infra/runtime"
	"bookshelf/infra/runtime/edge"
	"bookshelf/infra/runtime/edge/edgetest"
	"bookshelf/infra/stack"
)

// loaded is a platform whose edge has requests in flight.
type loaded struct {
	*edgetest.Platform
	replicas, ready, inFlight, weight int
	// asked counts the looks; each that trouble is for fails, or changes what is seen.
	asked   int
	trouble func(asked int) error
	// seconds is the CPU time of each replica.
	seconds map[string]float64
}

func (p *loaded) Check(context.Context) error { return nil }

func (p *loaded) Instances(ctx context.Context, env runtime.Environment) ([]runtime.Instance, error) {
	p.Others = nil
	for n := range p.replicas {
		p.Others = append(p.Others, runtime.Instance{
			ID: fmt.Sprintf("blue-%d", n+1), Component: "app", Slot: "blue", Kind: runtime.KindService, State: runtime.StateHealthy, NanoCPUs: 5e8,
		})
	}
	return p.Platform.Instances(ctx, env)
}

func (p *loaded) CPUSeconds(_ context.Context, id string) (float64, error) {
	seconds, there := p.seconds[id]
	if !there {
		return 0, runtime.ErrNotFound
	}
	return seconds, nil
}

func (p *loaded) answer([]string, []byte) (any, error) {
	p.asked++
	if p.trouble != nil {
		if err := p.trouble(p.asked); err != nil {
			return nil, err
		}
	}
	live := edge.Slot{Weight: p.weight, InFlight: p.inFlight}
	for n := range p.replicas {
		live.Replicas = append(live.Replicas, edge.Replica{Address: fmt.Sprintf("app-blue-%d:8080", n+1), Healthy: n < p.ready})
	}
	return edge.State{Slots: map[string]edge.Slot{"blue": live}}, nil
}

// quiet is a reporter that nobody listens to.
type quiet struct{}

func (quiet) Step(stack.Step) {}

func (quiet) Note(string, ...any) {}

// configured is an operator of one environment, prod.
func configured(t *testing.T, platform runtime.Platform) *delivery.Operator {
	t.Helper()
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "Pulumi.prod.yaml"), []byte("config: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return &delivery.Operator{Layout: stack.Layout{Infra: root, State: filepath.Join(root, "state")}, Platform: platform, Report: quiet{}}
}

// deployed is an environment, prod, with replicas that have nothing to do.
func deployed(t *testing.T, replicas int) (*delivery.Operator, *loaded) {
	t.Helper()
	p := &loaded{Platform: &edgetest.Platform{}, replicas: replicas, ready: replicas, weight: 100}
	p.Answer = p.answer
	o := configured(t, p)
	scaled(t, o, replicas)
	return o, p
}

// scaled notes how many replicas there are to be.
func scaled(t *testing.T, o *delivery.Operator, replicas int) {
	t.Helper()
	slots := environment.Slots{Live: "blue", Slots: map[string]environment.Slot{"blue": {Image: "one", Replicas: replicas}}}
	if err := environment.WriteSlots(o.Layout.State, "prod", slots); err != nil {
		t.Fatal(err)
	}
}

func TestRequestsInFlightAreAveragedAndReplicasCountedAtTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o, p := deployed(t, 3)
		w := newWatch(o, "prod", false)
		for _, inFlight := range []int{2, 4, 9} {
			p.inFlight, p.ready = inFlight, p.ready-1
			w.look(t.Context())
		}
		got, err := w.sum(t.Context())
		want := autoscale.Observation{At: time.Now(), Replicas: 3, InFlight: autoscale.Of(5)}
		if diff := cmp.Diff(want, got.Observation); diff != "" || err != nil || got.busy != "" || got.unfinished {
			t.Errorf("%s\n%v, busy %q, unfinished %v", diff, err, got.busy, got.unfinished)
		}
	})
}

func TestAnEdgeThatKnowsAnotherNumberIsUnfinished(t *testing.T) {
	t.Parallel()
	o, p := deployed(t, 3)
	p.replicas, p.ready = 2, 2
	w := newWatch(o, "prod", false)
	w.look(t.Context())
	got, err := w.sum(t.Context())
	if err != nil || !got.unfinished || got.Replicas != 3 || got.Ready != 2 {
		t.Errorf("%+v, %v: want 2 of 3 ready, unfinished", got, err)
	}
}

func TestALoadOfTwoSlotsIsNone(t *testing.T) {
	t.Parallel()
	o, p := deployed(t, 3)
	p.inFlight = 7
	w := newWatch(o, "prod", false)
	w.look(t.Context())
	w.looks[0].slot = "green" // was live a moment ago
	w.look(t.Context())
	got, err := w.sum(t.Context())
	if err != nil || got.busy == "" || got.InFlight.Known {
		t.Errorf("%+v, %v: want it busy, without a load", got, err)
	}
}

// TestCPUIsComparedBetweenRounds: each replica may use half a processor.
func TestCPUIsComparedBetweenRounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o, p := deployed(t, 2)
		w := newWatch(o, "prod", true)
		for round, test := range []struct {
			seconds map[string]float64
			want    autoscale.Reading
		}{
			{map[string]float64{"blue-1": 10, "blue-2": 50}, autoscale.Reading{}},   // nothing to compare with
			{map[string]float64{"blue-1": 12, "blue-2": 51}, autoscale.Of(60)},      // 80 % and 40 %
			{map[string]float64{"blue-1": 13, "blue-2": 1}, autoscale.Of(40)},       // one was started again
			{map[string]float64{"blue-1": 14}, autoscale.Of(40)},                    // and is gone
			{map[string]float64{"blue-2": 3}, autoscale.Reading{}},                  // and the other one
			{map[string]float64{"blue-1": 100, "blue-2": 5}, autoscale.Of(80)},      // and back
			{map[string]float64{"blue-1": 102.5, "blue-2": 7.5}, autoscale.Of(100)}, // both busy
		} {
			p.seconds = test.seconds
			w.look(t.Context())
			got, err := w.sum(t.Context())
			if diff := cmp.Diff(test.want, got.CPU, cmpopts.EquateApprox(0, 1e-9)); diff != "" || err != nil {
				t.Errorf("round %d: %v\n%s", round, err, diff)
			}
			<-time.After(5 * time.Second)
		}
	})
}
