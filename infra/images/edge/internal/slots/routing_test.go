package slots

import (
	"log/slog"
	"testing"
)

// planOf makes slots with replicas that are all healthy.
func planOf(t *testing.T, weights map[string]int, replicas int) *routing {
	t.Helper()
	plan := &routing{slots: map[string]*slot{}}
	for name, weight := range weights {
		s := &slot{weight: weight, counts: &counts{}}
		for range replicas {
			r := newReplica(name, Address{}, slog.New(slog.DiscardHandler))
			r.healthy.Store(true)
			s.replicas = append(s.replicas, r)
		}
		plan.slots[name] = s
	}
	plan.weighted = newSchedule(plan.slots, func(name string) int { return weights[name] })
	return plan
}

func TestAnyHundredRequestsInARowAreDividedExactly(t *testing.T) {
	t.Parallel()
	for name, weights := range map[string]map[string]int{
		"all to one":    {"blue": 100, "green": 0},
		"a canary":      {"blue": 95, "green": 5},
		"one in 100":    {"blue": 99, "green": 1},
		"a half":        {"blue": 50, "green": 50},
		"three":         {"a": 33, "b": 33, "c": 34},
		"hundred slots": hundred(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plan := planOf(t, weights, 1)
			for start := range uint64(100) {
				got := map[*slot]int{}
				for n := range uint64(100) {
					s, _ := plan.weighted.choose(start + n)
					got[s]++
				}
				for slotName, weight := range weights {
					if got[plan.slots[slotName]] != weight {
						t.Fatalf("from request %d on, %s got %d of 100, not %d", start, slotName, got[plan.slots[slotName]], weight)
					}
				}
			}
		})
	}
}

func hundred() map[string]int {
	weights := map[string]int{}
	for i := range 100 {
		weights["s"+string(rune('a'+i/10))+string(rune('a'+i%10))] = 1
	}
	return weights
}

func TestTheTurnsOfACanaryAreSpreadEvenly(t *testing.T) {
	t.Parallel()
	plan := planOf(t, map[string]int{"blue": 95, "green": 5}, 1)
	last := -1
	for n := range 200 {
		if s, _ := plan.weighted.choose(uint64(n)); s == plan.slots["green"] {
			if last >= 0 && n-last != 20 {
				t.Errorf("the canary's turns are %d requests apart, not 20", n-last)
			}
			last = n
		}
	}
}

func TestASlotWithoutAHealthyReplicaLeavesItsTurnsToTheOthers(t *testing.T) {
	t.Parallel()
	plan := planOf(t, map[string]int{"blue": 50, "green": 50}, 1)
	plan.slots["green"].replicas[0].healthy.Store(false)
	for n := range uint64(100) {
		if s, _ := plan.weighted.choose(n); s != plan.slots["blue"] {
			t.Fatalf("request %d does not go to the healthy slot", n)
		}
	}
	plan.slots["blue"].replicas[0].healthy.Store(false)
	if s, r := plan.weighted.choose(0); s != nil || r != nil {
		t.Error("with nobody healthy somebody was chosen")
	}
}

func TestTheReplicaWithTheLeastInFlightIsNext(t *testing.T) {
	t.Parallel()
	s := planOf(t, map[string]int{"blue": 100}, 3).slots["blue"]
	s.replicas[0].inFlight.Store(2)
	s.replicas[1].inFlight.Store(1)
	s.replicas[2].inFlight.Store(2)
	for range 5 {
		if got := s.leastBusy(); got != s.replicas[1] {
			t.Fatal("not the least busy replica was chosen")
		}
	}
	s.replicas[1].healthy.Store(false)
	if got := s.leastBusy(); got == s.replicas[1] {
		t.Error("an unhealthy replica was chosen")
	}
}

func TestEqualReplicasTakeTurns(t *testing.T) {
	t.Parallel()
	s := planOf(t, map[string]int{"blue": 100}, 3).slots["blue"]
	got := map[*Replica]int{}
	for range 300 {
		got[s.leastBusy()]++
	}
	for i, r := range s.replicas {
		if got[r] != 100 {
			t.Errorf("replica %d got %d of 300", i, got[r])
		}
	}
}
