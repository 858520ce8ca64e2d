package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bookshelf/infra/observability/generate/contract"
	"bookshelf/infra/observability/generate/objectives"
)

// Budgets are of days: these scenarios have a sample every five minutes for ten hours, in which a fault lasts from the fourth hour.
const (
	slowStep = 5 * time.Minute
	slowEnd  = 10 * time.Hour
	samples  = int(slowEnd / slowStep)
)

// served is a counter of so many requests per minute, from sample `from` for `count` samples and then none.
func served(perMinute float64, from, count int) string {
	step := perMinute * 5
	parts := []string{}
	if from > 0 {
		parts = append(parts, fmt.Sprintf("0x%d", from-1))
	}
	parts = append(parts, fmt.Sprintf("0+%gx%d", step, count))
	if left := samples - from - count - 1; left > 0 {
		parts = append(parts, fmt.Sprintf("%gx%d", step*float64(count), left))
	}
	return strings.Join(parts, " ")
}

func TestBudgetsBurn(t *testing.T) {
	t.Parallel()
	const hour4 = 48
	all := served(600, 0, samples)
	for name, c := range map[string]struct {
		world world
		fires map[string]bool // alert and class and objective
		quiet bool            // at the end
	}{
		"an outage of an hour burns fast, and is over when it is over": {
			world{requests("blue", "200"): all, requests("blue", "500"): served(300, hour4, 12)},
			map[string]bool{"BudgetBurningFast read availability": true, "BudgetBurningSlowly read availability": true}, false,
		},
		"half a per cent of errors all day burns slowly": {
			world{requests("blue", "200"): all, requests("blue", "500"): served(3, 0, samples)},
			map[string]bool{"BudgetBurningSlowly read availability": true}, false,
		},
		"what the objective allows for is no alert": {
			world{requests("blue", "200"): all, requests("blue", "500"): served(0.5, 0, samples)}, map[string]bool{}, true,
		},
		"slow answers burn the budget of the latency alone": {
			world{requests("blue", "200"): all, count(): all, bucket("0.25"): served(300, 0, samples)},
			map[string]bool{"BudgetBurningFast read latency": true, "BudgetBurningSlowly read latency": true}, false,
		},
		"three failures of ten requests are too few to tell": {
			world{requests("blue", "200"): served(0.01, 0, samples), requests("blue", "500"): served(0.6, hour4, 1)}, map[string]bool{}, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := watch(t, c.world, slowStep, slowEnd, "objectives.yml")
			found := map[string]bool{}
			for moment, list := range at {
				for _, one := range list {
					what := one.name + " " + one.labels.Get("class") + " " + one.labels.Get("objective")
					found[what] = true
					if one.name == "BudgetBurningSlowly" && moment < 2*time.Hour {
						t.Errorf("after %v, a trend of days is told", moment)
					}
				}
			}
			if !maps.Equal(found, c.fires) {
				t.Errorf("%v fire; want %v", slices.Sorted(maps.Keys(found)), slices.Sorted(maps.Keys(c.fires)))
			}
			last := names(at[slowEnd])
			if slices.Contains(last, "BudgetBurningFast") && !strings.HasPrefix(name, "slow answers") {
				t.Errorf("%v fire hours after it is over", last)
			}
			if c.quiet && len(last) > 0 {
				t.Errorf("%v fire at the end", last)
			}
		})
	}
}

// count is the number of the observations behind bucket.
func count() string {
	return strings.Replace(strings.Replace(bucket("+Inf"), "_bucket", "_count", 1), `le="+Inf",`, "", 1)
}

func TestObjectivesThatCannotBeMeasuredAreRefused(t *testing.T) {
	t.Parallel()
	set, err := contract.Load("../../..")
	if err != nil {
		t.Fatal(err)
	}
	const good = "{class: read, routes: [/api/v1/books], methods: [GET], availability: 99.9, latency: {percent: 99, within: 0.25}}"
	for name, c := range map[string]struct{ old, new, complaint string }{
		"a route that there is not":       {"/api/v1/books]", "/api/v2/books]", `http_route "/api/v2/books" is not among those`},
		"a method that there is not":      {"GET", "GTE", `http_request_method "GTE" is not among those`},
		"a bound that is not measured":    {"0.25", "0.3", "0.3 s is no bound of"},
		"a promise that cannot be broken": {"99.9", "100", "availability 100 is not between 50 and 100"},
		"a promise of nobody":             {"class: read, ", "", "a class, routes and methods are needed"},
		"a field that there is not":       {"availability: 99.9", "availability: 99.9, avail: 1", "field avail not found"},
		"the same requests twice":         {good, good + "," + strings.Replace(good, "read", "again", 1), `GET /api/v1/books is in class "read" as well`},
		"no promise at all":               {good, "", "there is no objective"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "objectives.yaml")
			if err := os.WriteFile(file, []byte("objectives: ["+strings.Replace(good, c.old, c.new, 1)+"]\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := objectives.Load(file, set.App); err == nil || !strings.Contains(err.Error(), c.complaint) {
				t.Errorf("the error is %v; want %q in it", err, c.complaint)
			}
		})
	}
}
