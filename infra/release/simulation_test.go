package release

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// simulations is how many releases of each kind are simulated. They are the same ones in every run; RELEASE_SIMULATIONS asks for
// more, as for the figures of docs/releases.md.
func simulations(t *testing.T, few int) int {
	t.Helper()
	text, set := os.LookupEnv("RELEASE_SIMULATIONS")
	if !set {
		return few
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("RELEASE_SIMULATIONS = %q: want a number of releases", text)
	}
	return n
}

// probeRate is how many requests per second a profile is meant for.
func probeRate(profile string) int { return map[string]int{"standard": 100, "fast": 150}[profile] }

// simulate is one release on a noisy host.
func simulate(t *testing.T, profile string, seed uint64, change func(r *rand.Rand, a *answer)) (report Report) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.rate, w.startup = probeRate(profile), 2*time.Second
		w.behave = noisy(seed, change)
		report = w.release(Profiles[profile]).Run(t.Context(), order())
	})
	return report
}

// warmUp makes the first requests of a new slot slow: its connections and caches are yet to be made.
func warmUp() func(*rand.Rand, *answer) {
	left := 10
	return func(_ *rand.Rand, a *answer) {
		if left > 0 {
			left--
			a.latency += 60 * time.Millisecond
		}
	}
}

// TestGoodReleasesPassOnANoisyHost allows one false verdict in a thousand, of the numbers that it is run with.
func TestGoodReleasesPassOnANoisyHost(t *testing.T) {
	t.Parallel()
	for profile, few := range map[string]int{"fast": 20, "standard": 1} {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			releases, bad := simulations(t, few), 0
			var longest time.Duration
			for seed := range uint64(releases) {
				report := simulate(t, profile, seed, warmUp())
				longest = max(longest, report.Ended.Sub(report.Started))
				if report.Outcome != OutcomeReleased {
					bad++
					t.Logf("release %d: %s", seed, report.Reason)
				}
			}
			if 1000*bad > releases {
				t.Errorf("%d of %d good releases were taken back", bad, releases)
			}
			t.Logf("%s: %d of %d good releases were taken back; the longest took %s", profile, bad, releases, longest)
		})
	}
}

func TestBadReleasesAreTakenBackOnANoisyHost(t *testing.T) {
	t.Parallel()
	for kind, bad := range map[string]struct {
		change func(*rand.Rand, *answer)
		// percent is the share of the traffic within which it must have been noticed, by profile.
		percent map[string]int
	}{
		"every fifth answer of one route of four fails": {
			func(r *rand.Rand, a *answer) { a.failed = a.failed || r.IntN(20) == 0 }, map[string]int{"standard": 5, "fast": 25},
		},
		"every fifth answer of the main route fails": {
			func(r *rand.Rand, a *answer) { a.failed = a.failed || r.IntN(100) < 15 }, map[string]int{"standard": 5, "fast": 5},
		},
		"half of all answers fail": {
			func(r *rand.Rand, a *answer) { a.failed = r.IntN(2) == 0 }, map[string]int{"standard": 5, "fast": 5},
		},
		"every answer is 300 ms late": {
			func(_ *rand.Rand, a *answer) { a.latency += 300 * time.Millisecond }, map[string]int{"standard": 5, "fast": 5},
		},
	} {
		for profile, few := range map[string]int{"fast": 20, "standard": 5} {
			t.Run(fmt.Sprintf("%s, %s", kind, profile), func(t *testing.T) {
				t.Parallel()
				releases, missed := simulations(t, few), 0
				var slowest time.Duration
				for seed := range uint64(releases) {
					report := simulate(t, profile, seed, bad.change)
					last := report.Verdicts[len(report.Verdicts)-1]
					if report.Outcome != OutcomeRolledBack || last.Percent > bad.percent[profile] {
						missed++
						t.Logf("release %d: %s, at %d %%", seed, report.Outcome, last.Percent)
						continue
					}
					for _, p := range report.Phases {
						if p.Phase == PhaseCanary {
							slowest = max(slowest, last.At.Sub(p.Started))
							break
						}
					}
				}
				if 1000*missed > releases {
					t.Errorf("%d of %d bad releases were not noticed within %d %%", missed, releases, bad.percent[profile])
				}
				t.Logf("%s, %s: %d of %d missed; the slowest was noticed %s after the first shift", kind, profile, missed, releases, slowest)
			})
		}
	}
}
