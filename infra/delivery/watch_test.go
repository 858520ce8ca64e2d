package delivery

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"bookshelf/infra/autoscale"
)

func TestRequestsInFlightAreAveragedAndReplicasCountedAtTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o, p := deployed(t, 3)
		w := o.watch("prod", false)
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
	w := o.watch("prod", false)
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
	w := o.watch("prod", false)
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
		w := o.watch("prod", true)
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
