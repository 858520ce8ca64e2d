package report

import (
	"math"
	"math/rand/v2"
	"time"

	"bookshelf/infra/release"
	"bookshelf/infra/release/verdict"
)

// night is when the samples' releases begin.
var night = time.Date(2026, 11, 25, 3, 12, 10, 0, time.UTC)

// stage is a phase of a sample with the share of the traffic that the new slot has in it.
type stage struct {
	phase   release.Phase
	percent int
	seconds float64
}

// run is a sample in the making.
type run struct {
	release.Report
	random *rand.Rand
	at     time.Time
}

// newRun is a release from blue to green of which nothing has happened yet.
func newRun(outcome release.Outcome) *run {
	return &run{
		random: rand.New(rand.NewPCG(7, 7)), at: night,
		Report: release.Report{
			ID: "20261125-031210", Environment: "prod", Outcome: outcome, Started: night,
			From:     release.Version{Slot: "blue", Image: "registry.example/things@sha256:1f0c7a52", Version: "1.4.0"},
			To:       release.Version{Slot: "green", Image: "registry.example/things@sha256:9be3d410", Version: "1.5.0"},
			Verified: "signed with the key of deploy/cosign.pub; provenance of commit 4d9f21c on main; SBOM with 41 components",
		},
	}
}

// go through the stages, at 100 requests a second. slower makes the new slot slower, broken is the share of its answers that fail.
func (r *run) through(slower time.Duration, broken float64, stages ...stage) {
	for _, s := range stages {
		end := r.at.Add(time.Duration(s.seconds * float64(time.Second)))
		percent := 0
		if s.phase == release.PhaseCanary {
			percent = s.percent
		}
		r.Phases = append(r.Phases, release.PhaseRecord{Phase: s.phase, Percent: percent, Started: r.at, Ended: end})
		for r.Started.Add(time.Duration(len(r.Seconds))*time.Second + time.Second/2).Before(end) {
			r.second(s, float64(slower.Milliseconds()), broken)
		}
		r.at = end
	}
	r.Ended = r.at
}

func (r *run) second(s stage, slower, broken float64) {
	green := 0
	for range 100 {
		if r.random.IntN(100) < s.percent {
			green++
		}
	}
	noise := func(around float64) float64 {
		return math.Round(around*math.Exp(r.random.NormFloat64()*0.18)*1000) / 1000
	}
	slots := map[string]release.SlotSecond{}
	if green < 100 {
		slots["blue"] = release.SlotSecond{Requests: 100 - green, P50: noise(2.4), P99: noise(11)}
	}
	if green > 0 {
		failed := 0
		for range green {
			if r.random.Float64() < broken {
				failed++
			}
		}
		slots["green"] = release.SlotSecond{Requests: green, Failed: failed, P50: noise(2.3 + slower), P99: noise(10 + slower)}
	}
	r.Seconds = append(r.Seconds, release.Second{At: r.Started.Add(time.Duration(len(r.Seconds)) * time.Second), Slots: slots})
}

// verdict judges at the present moment.
func (r *run) verdict(phase release.Phase, percent int, decision verdict.Decision, checks ...verdict.Check) {
	r.Verdicts = append(r.Verdicts, release.Verdict{At: r.at, Phase: phase, Percent: percent, Verdict: verdict.Verdict{Decision: decision, Checks: checks}})
}

// reckon adds up the account from the seconds.
func (r *run) reckon() {
	a := &r.Account
	for _, second := range r.Seconds {
		for slot, s := range second.Slots {
			a.Sent += s.Requests
			a.Failed += s.Failed
			a.Lost += s.Lost
			if s.Failed > 0 && len(a.Losses) < 12 {
				a.Losses = append(a.Losses, release.Loss{At: second.At, Kind: "read/kept", Slot: slot, Status: 500, Detail: "status 500, expected [200]"})
			}
		}
	}
	a.Answered = a.Sent - a.Failed - a.Lost
	a.Kinds = map[string]release.Count{}
	rest := release.Count{Sent: a.Sent, Failed: a.Failed}
	for kind, share := range map[string]float64{"read/fresh": 0.15, "write/kept": 0.16, "write/fresh": 0.04, "slow/kept": 0.04, "slow/fresh": 0.01} {
		n := int(share * float64(a.Sent))
		a.Kinds[kind] = release.Count{Sent: n, Answered: n}
		rest.Sent -= n
	}
	rest.Answered = rest.Sent - rest.Failed
	a.Kinds["read/kept"] = rest
	writes := a.Kinds["write/kept"].Sent + a.Kinds["write/fresh"].Sent + a.Kinds["slow/kept"].Sent + a.Kinds["slow/fresh"].Sent
	a.Writes = &release.Writes{Sent: writes, Acknowledged: writes, Once: writes}
}

func good(samples int) []verdict.Check {
	return []verdict.Check{
		{Name: "error ratio (probe)", Decision: verdict.Pass, New: 0, Old: 0, Low: -0.0017, High: 0.0041, Threshold: 0.01, NewSamples: samples, OldSamples: 3000 - samples, Why: "at most 0.41 % more errors than the old slot at 99 % confidence"},
		{Name: "slow requests (probe)", Decision: verdict.Pass, New: 0.096, Old: 0.1, Low: -0.041, High: 0.038, Threshold: 0.1, NewSamples: samples, OldSamples: 3000 - samples, Why: "9.6 % take longer than the old slot's 90th percentile of 4.1 ms"},
	}
}

func released() release.Report {
	r := newRun(release.OutcomeReleased)
	r.through(0, 0, stage{release.PhasePreflight, 0, 1.4}, stage{release.PhaseRestore, 0, 3.2}, stage{release.PhaseStart, 0, 9.5}, stage{release.PhaseSmoke, 0, 0.8})
	for _, percent := range []int{5, 25, 50, 100} {
		r.through(0, 0, stage{release.PhaseCanary, percent, 30})
		r.verdict(release.PhaseCanary, percent, verdict.Pass, good(30*percent)...)
	}
	r.through(0, 0, stage{release.PhaseBake, 100, 60})
	r.verdict(release.PhaseBake, 100, verdict.Pass, good(6000)...)
	r.through(0, 0, stage{release.PhaseCommit, 100, 2.1}, stage{release.PhaseRetire, 100, 4}, stage{release.PhaseDone, 100, 0})
	r.reckon()
	r.Before = release.Latency{Requests: 1490, P50: 2.4, P99: 11.2}
	r.During = release.Latency{Requests: 12000, P50: 2.4, P99: 11.9}
	r.After = release.Latency{Requests: 6600, P50: 2.3, P99: 10.4}
	r.SwitchMS, r.DrainMS = 11.6, 5120
	return r.Report
}

func rolledBack() release.Report {
	r := newRun(release.OutcomeRolledBack)
	r.through(0, 0, stage{release.PhasePreflight, 0, 1.4}, stage{release.PhaseRestore, 0, 3.2}, stage{release.PhaseStart, 0, 9.5}, stage{release.PhaseSmoke, 0, 0.8})
	r.through(0, 0, stage{release.PhaseCanary, 5, 20})
	r.verdict(release.PhaseCanary, 5, verdict.Pass, good(100)...)
	for range 3 {
		r.through(300*time.Millisecond, 0.2, stage{release.PhaseCanary, 25, 1})
		r.verdict(release.PhaseCanary, 25, verdict.Inconclusive, verdict.Check{Name: "error ratio (probe)", Decision: verdict.Inconclusive, New: 0.15, Low: -0.01, High: 0.3, Threshold: 0.01, NewSamples: 25, OldSamples: 75, Why: "too few samples to tell"})
	}
	r.through(300*time.Millisecond, 0.2, stage{release.PhaseCanary, 25, 2})
	r.Reason = "green failed 19.6 % of its requests at 25 %, blue none: at least 12.1 % more, where 1 % is tolerated"
	r.verdict(release.PhaseCanary, 25, verdict.Fail,
		verdict.Check{Name: "error ratio (probe)", Decision: verdict.Fail, New: 0.196, Old: 0, Low: 0.121, High: 0.298, Threshold: 0.01, NewSamples: 122, OldSamples: 378, Why: "at least 12.1 % more errors than the old slot at 99 % confidence"},
		verdict.Check{Name: "slow requests (probe)", Decision: verdict.Fail, New: 1, Old: 0.1, Low: 0.84, High: 0.93, Threshold: 0.1, NewSamples: 98, OldSamples: 378, Why: "all take longer than the old slot's 90th percentile of 4.2 ms; the median went from 2.4 ms to 302 ms"},
		verdict.Check{Name: "error ratio (service's metrics)", Decision: verdict.Inconclusive, New: 0.2, Old: 0, Low: -0.02, High: 0.4, Threshold: 0.01, NewSamples: 40, OldSamples: 160, Why: "one replica's metrics could not be read"},
	)
	// One canary record for the whole step, as a release keeps it.
	last := len(r.Phases) - 1
	r.Phases[last-3].Ended, r.Phases[last-3].Problem = r.Phases[last].Ended, "the verdict was fail"
	r.Phases = r.Phases[:last-2]
	r.through(0, 0, stage{release.PhaseRollback, 0, 6.5}, stage{release.PhaseUndone, 0, 0})
	r.Seconds[len(r.Seconds)-6].Slots[""] = release.SlotSecond{Requests: 2, Lost: 2}
	r.reckon()
	r.Account.WrongVersion = 0
	r.Account.Losses = append(r.Account.Losses, release.Loss{At: r.Ended.Add(-6 * time.Second), Kind: "slow/fresh", Detail: "status 502 without X-Version: not an answer of the service", Status: 502})
	r.Before = release.Latency{Requests: 1490, P50: 2.4, P99: 11.2}
	r.During = release.Latency{Requests: 2500, P50: 2.5, P99: 318}
	r.After = release.Latency{Requests: 640, P50: 2.4, P99: 11.5}
	r.RollbackMS, r.DrainMS = 14.2, 5040
	r.NotUndone = []string{
		"The schema stays expanded: version 1.4.0 works with it.",
		"73 writes that green acknowledged stay in the database.",
		"The restore point of 03:12:14 is there: deliver restore -e prod --to 20261125-031214",
	}
	return r.Report
}

// refused has nothing but its reason.
func refused() release.Report {
	r := newRun(release.OutcomeRefused)
	r.Ended = night.Add(400 * time.Millisecond)
	r.Verified = ""
	r.Reason = "the edge does not answer on 127.0.0.1:8080: connection refused"
	return r.Report
}

func stuck() release.Report {
	r := newRun(release.OutcomeStuck)
	r.through(0, 0, stage{release.PhasePreflight, 0, 1}, stage{release.PhaseStart, 0, 8}, stage{release.PhaseCanary, 50, 20})
	r.through(0, 1, stage{release.PhaseRollback, 50, 12})
	r.Phases[len(r.Phases)-1].Problem = "shift back: the edge is gone"
	r.Reason = "the traffic could not be given back to blue: the edge is gone. Run: deliver recover -e prod"
	r.reckon()
	r.Account.Sent++
	r.Account.WrongVersion = 3
	r.Account.Writes.Missing, r.Account.Writes.Once = 1, r.Account.Writes.Once-1
	return r.Report
}

// samples are a report of each outcome.
func samples() map[string]release.Report {
	return map[string]release.Report{"released": released(), "rolled-back": rolledBack(), "refused": refused(), "stuck": stuck(), "long": long(), "empty": {}}
}

// long is an hour at full rate, with thousands of verdicts and slots of other names.
func long() release.Report {
	r := newRun(release.OutcomeReleased)
	r.From.Slot, r.To.Slot = "a", "b"
	r.through(0, 0, stage{release.PhaseStart, 0, 30})
	for i := range 60 {
		r.through(0, 0.001, stage{release.PhaseBake, 100, 60})
		r.Phases[1].Ended, r.Phases = r.at, r.Phases[:2]
		for range 5 {
			r.verdict(release.PhaseBake, 100, verdict.Pass, good(6000+i)...)
		}
	}
	for _, second := range r.Seconds {
		for from, to := range map[string]string{"blue": "a", "green": "b"} {
			if s, ok := second.Slots[from]; ok {
				second.Slots[to] = s
				delete(second.Slots, from)
			}
		}
	}
	r.reckon()
	return r.Report
}
