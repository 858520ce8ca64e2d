package autoscaler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bookshelf/infra/autoscale"
	"bookshelf/infra/delivery"
	"bookshelf/infra/environment"
	"bookshelf/infra/runtime"
	"bookshelf/infra/runtime/edge"
)

// watch looks at the load of an environment's live slot, without its lock: it only asks.
type watch struct {
	platform runtime.Platform
	// state is the folder in which it is noted what the slots are to run.
	state string
	env   runtime.Environment
	edge  *edge.Client
	// cpu says whether to look at CPU time; meters are what was read last, by instance.
	cpu    bool
	meters map[string]meter

	looks   []look
	problem error
}

// look is the live slot at one moment.
type look struct {
	slot     string
	replicas int
	edge     edge.Slot
}

// meter is the CPU time of an instance at one moment.
type meter struct {
	at      time.Time
	seconds float64
}

// sighting is what a round has seen.
type sighting struct {
	autoscale.Observation
	// busy is why nothing can be said about the load, nor changed, for now.
	busy string
	// unfinished says that the edge knows another number of replicas than there are to be.
	unfinished bool
}

func newWatch(o *delivery.Operator, name string, cpu bool) *watch {
	env := runtime.Environment{Project: environment.Project, Name: name}
	return &watch{platform: o.Platform, state: o.Layout.State, env: env, edge: edge.New(o.Platform, env), cpu: cpu}
}

// lookLimit is how long the edge may take to say what it does.
const lookLimit = 10 * time.Second

// look asks once. What does not work is kept for sum.
func (w *watch) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	slots, err := environment.ReadSlots(w.state, w.env.Name)
	if err != nil {
		w.problem = err
		return
	}
	state, err := w.edge.State(ctx)
	if err != nil {
		w.problem = err
		return
	}
	w.looks = append(w.looks, look{slot: slots.Live, replicas: slots.LiveSlot().Replicas, edge: state.Slots[slots.Live]})
}

// sum is the round's result: the requests in flight on average, the replicas as they were last. A look that did not work is left out; the
// error is why none did, or why the CPU time is not known.
func (w *watch) sum(ctx context.Context) (sighting, error) {
	looks, problem := w.looks, w.problem
	w.looks, w.problem = nil, nil
	if len(looks) == 0 {
		return sighting{}, problem
	}
	last := looks[len(looks)-1]
	s := sighting{
		Observation: autoscale.Observation{At: time.Now(), Replicas: last.replicas},
		unfinished:  len(last.edge.Replicas) != last.replicas,
	}
	for _, replica := range last.edge.Replicas {
		if replica.Healthy {
			s.Ready++
		}
	}
	inFlight := 0
	for _, l := range looks {
		if l.slot != last.slot || l.edge.Weight != 100 {
			s.busy = fmt.Sprintf("%s is live and has %d %% of the traffic: a release is under way, or was cut short", last.slot, min(l.edge.Weight, last.edge.Weight))
			return s, nil
		}
		inFlight += l.edge.InFlight
	}
	s.InFlight = autoscale.Of(float64(inFlight) / float64(len(looks)))
	var err error
	if w.cpu {
		s.CPU, err = w.used(ctx, last.slot)
	}
	return s, err
}

// used is the share of their limits that the replicas of a slot have used since it was asked before, in percent. Not known is what only
// one of the two moments shows: a replica that is new, was started again, or has no limit.
func (w *watch) used(ctx context.Context, slot string) (autoscale.Reading, error) {
	instances, err := w.platform.Instances(ctx, w.env)
	if err != nil {
		return autoscale.Reading{}, err
	}
	before := w.meters
	w.meters = map[string]meter{}
	var shares float64
	var known int
	for _, instance := range instances {
		if instance.Component != "app" || instance.Slot != slot || !instance.Serving() {
			continue
		}
		seconds, err := w.platform.CPUSeconds(ctx, instance.ID)
		if errors.Is(err, runtime.ErrNotFound) {
			continue
		}
		if err != nil {
			return autoscale.Reading{}, fmt.Errorf("%s: %w", instance.Name, err)
		}
		now := meter{at: time.Now(), seconds: seconds}
		w.meters[instance.ID] = now
		then, there := before[instance.ID]
		if there && instance.NanoCPUs > 0 && now.at.After(then.at) && seconds >= then.seconds {
			shares += (seconds - then.seconds) / now.at.Sub(then.at).Seconds() / (float64(instance.NanoCPUs) / 1e9)
			known++
		}
	}
	if known == 0 {
		return autoscale.Reading{}, nil
	}
	return autoscale.Of(100 * shares / float64(known)), nil
}
