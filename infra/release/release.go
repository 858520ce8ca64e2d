// Package release carries a new version into an environment step by step, judges it at every step against the version that it
// replaces, and takes it back by itself. It knows neither Pulumi nor Docker nor what the service is about: an environment is a Target,
// the requests that go through its edge meanwhile are Traffic.
package release

import (
	"context"
	"time"

	"bookshelf/infra/release/verdict"
)

// Phase is where a release is. A release goes through them in this order; from each before PhaseCommit it can go to PhaseRollback.
type Phase string

// Phases.
const (
	PhasePreflight Phase = "preflight" // is everything there, and whole? Nothing is changed
	PhaseRestore   Phase = "restore"   // a restore point of the data, to be had before the schema changes
	PhaseStart     Phase = "start"     // the schema is expanded and the standby slot comes up, healthy, without traffic
	PhaseSmoke     Phase = "smoke"     // the standby slot answers as it should, asked directly
	PhaseLoad      Phase = "load"      // both slots take the same load, past the edge's weights: does the standby slot bear it as well?
	PhaseCanary    Phase = "canary"    // a growing share of the traffic, up to all of it
	PhaseBake      Phase = "bake"      // all of the traffic, with the former slot kept warm
	PhaseCommit    Phase = "commit"    // the stack's state names the new slot as live: from here on there is only forward
	PhaseRetire    Phase = "retire"    // the former slot is drained and stopped
	PhaseDone      Phase = "done"
	PhaseRollback  Phase = "rollback" // the traffic is back; the new slot is drained and stopped
	PhaseUndone    Phase = "undone"   // rolled back
)

// Target is the environment that a release changes. Every method can be called again after a call that failed or was cut short, and
// then brings about the same state.
type Target interface {
	// Preflight makes sure that the release can begin: the live slot serves, the edge answers, the image may run here.
	Preflight(ctx context.Context) error
	// RestorePoint makes one and says how to return to it; "" where the environment needs none.
	RestorePoint(ctx context.Context) (how string, err error)
	// Start expands the schema and brings the slot up with the new image, without traffic. It returns when every replica is ready.
	Start(ctx context.Context, slot string) error
	// Smoke asks each replica of a slot directly, past the edge.
	Smoke(ctx context.Context, slot string) error
	// LoadBoth sends so many reads a second to each of both slots for a time, past the edge's weights and in turns, each at its moment whether
	// or not others have been answered (an open loop). It returns what they met by slot; the first warmUp requests of each slot count, but
	// their latencies do not.
	LoadBoth(ctx context.Context, rate int, duration time.Duration, warmUp int) (map[string]verdict.Sample, error)
	// Shift gives a slot this share of the traffic in percent, and the rest to the other, at once and together. With a lease the edge
	// returns all of it to the other slot by itself when Shift is not called again within that time; 0 is for good.
	Shift(ctx context.Context, slot string, percent int, lease time.Duration) error
	// InFlight is how many requests a slot is answering.
	InFlight(ctx context.Context, slot string) (int, error)
	// Alive returns an error that says which replica of the slot has crashed, restarted or become unhealthy since Start.
	Alive(ctx context.Context, slot string) error
	// Observe reads each slot's own metrics, added up over its replicas.
	Observe(ctx context.Context) (map[string]verdict.Observation, error)
	// Commit makes the slot the live one in the stack's state. It touches no container and no traffic.
	Commit(ctx context.Context, slot string) error
	// Retire stops a slot's containers, which has no traffic any more, and keeps them and their logs for a look.
	Retire(ctx context.Context, slot string) error
}

// Traffic is a constant stream of requests through the edge, each of them accounted for.
type Traffic interface {
	// Between returns what the requests of an interval met, by the slot that answered; "" stands for those that no slot answered. A
	// request belongs to the moment at which it was due.
	Between(from, to time.Time) map[string]verdict.Sample
}

// Account is the reckoning over every request of a release.
type Account struct {
	Sent     int `json:"sent"`
	Answered int `json:"answered"`
	// Failed were answered, but not as they should have been. Lost have no whole answer: a broken connection is a lost request, also
	// where a client could have repeated it.
	Failed int `json:"failed"`
	Lost   int `json:"lost"`
	// WrongVersion counts answers by the former version to requests sent after the last shift had returned, or by the new one after a
	// rollback had.
	WrongVersion int `json:"wrong_version"`
	// Kinds splits it up by kind of request ("read", "write", "slow") and connection ("kept", "fresh"): "write/kept".
	Kinds map[string]Count `json:"kinds"`
	// Losses describes the first of the lost and failed requests.
	Losses []Loss `json:"losses"`
	// Writes is what became of the writes; absent where none were sent.
	Writes *Writes `json:"writes,omitempty"`
}

// Count is a part of an account.
type Count struct {
	Sent     int `json:"sent"`
	Answered int `json:"answered"`
	Failed   int `json:"failed"`
	Lost     int `json:"lost"`
}

// Loss is one request that did not get the answer that it should have got.
type Loss struct {
	At     time.Time `json:"at"`
	Kind   string    `json:"kind"`
	Slot   string    `json:"slot"`
	Status int       `json:"status"`
	Detail string    `json:"detail"`
}

// Writes compares the writes that were sent with what is in the database.
type Writes struct {
	Sent         int `json:"sent"`
	Acknowledged int `json:"acknowledged"`
	// Once counts those found exactly once, Missing the acknowledged that were not found, Twice those found more than once, and
	// Unacknowledged those found without having been acknowledged, which is allowed.
	Once           int `json:"once"`
	Missing        int `json:"missing"`
	Twice          int `json:"twice"`
	Unacknowledged int `json:"unacknowledged"`
}

// Second is what happened within one second, for the report's curves.
type Second struct {
	At    time.Time             `json:"at"`
	Slots map[string]SlotSecond `json:"slots"`
}

// SlotSecond is one slot's part of a second.
type SlotSecond struct {
	Requests int     `json:"requests"`
	Failed   int     `json:"failed"`
	Lost     int     `json:"lost"`
	P50      float64 `json:"p50_ms"`
	P99      float64 `json:"p99_ms"`
}

// Outcome is how a release ended.
type Outcome string

// Outcomes.
const (
	OutcomeReleased   Outcome = "released"
	OutcomeRolledBack Outcome = "rolled back"
	OutcomeRefused    Outcome = "refused" // the preflight failed: nothing was touched
	OutcomeStuck      Outcome = "needs a person"
)

// Report is everything about one release. Its JSON form is kept with the environment, and is what `deliver release --json` prints.
type Report struct {
	ID          string  `json:"id"`
	Environment string  `json:"environment"`
	Outcome     Outcome `json:"outcome"`
	// Reason says why it was not released, "" when it was.
	Reason string `json:"reason,omitempty"`
	// NotUndone says plainly what a rollback has left as it is.
	NotUndone []string  `json:"not_undone,omitempty"`
	From      Version   `json:"from"`
	To        Version   `json:"to"`
	Started   time.Time `json:"started"`
	Ended     time.Time `json:"ended"`
	// Verified says what was verified of the image; "" where the environment asks for nothing.
	Verified string        `json:"verified,omitempty"`
	Phases   []PhaseRecord `json:"phases"`
	Verdicts []Verdict     `json:"verdicts"`
	Account  Account       `json:"account"`
	Seconds  []Second      `json:"seconds"`
	// P50 and P99 in milliseconds before, during and after the shifts.
	Before Latency `json:"before"`
	During Latency `json:"during"`
	After  Latency `json:"after"`
	// SwitchMS is how long the edge took to give the new slot everything, DrainMS until the other slot had answered its last request,
	// RollbackMS from the verdict until the traffic was back. 0 where it did not come to that.
	SwitchMS   float64 `json:"switch_ms"`
	DrainMS    float64 `json:"drain_ms"`
	RollbackMS float64 `json:"rollback_ms"`
}

// Version is what a slot runs.
type Version struct {
	Slot  string `json:"slot"`
	Image string `json:"image"`
	// Version is what the service calls itself in its version header.
	Version string `json:"version"`
}

// Latency is two quantiles in milliseconds over a number of requests.
type Latency struct {
	Requests int     `json:"requests"`
	P50      float64 `json:"p50_ms"`
	P99      float64 `json:"p99_ms"`
}

// PhaseRecord is one phase of a release as it was; of the canary there is one for each step.
type PhaseRecord struct {
	Phase   Phase     `json:"phase"`
	Percent int       `json:"percent,omitempty"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended"`
	// Problem is why it ended badly.
	Problem string `json:"problem,omitempty"`
}

// Verdict is one comparison of the new slot with the old one over the same time.
type Verdict struct {
	At      time.Time `json:"at"`
	Phase   Phase     `json:"phase"`
	Percent int       `json:"percent"`
	verdict.Verdict
}
