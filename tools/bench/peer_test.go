package main

import (
	"encoding/json"
	"io"
	"strings"
	"testing"

	"bookshelf/tools/internal/load"
)

// pair is a round of an operation; the tail of each is in milliseconds.
func pair(round int, operation string, this, other, thisTail, otherTail float64) load.Pair {
	return load.Pair{
		Round: round, Operation: operation,
		This:  load.Measured{PerSecond: this, P99: thisTail / 1e3},
		Other: load.Measured{PerSecond: other, P99: otherTail / 1e3},
	}
}

func TestThePeerIsComparedRoundByRound(t *testing.T) {
	t.Parallel()
	plan := load.Plan{Operations: []string{"get", "create"}, Books: 10, Connections: 4, Seconds: 1}
	// The second round ran on a machine of half the speed, which changes no ratio.
	batch := load.Batch{Rounds: []load.Pair{
		pair(0, "get", 800, 100, 2, 8), pair(0, "create", 300, 100, 5, 5),
		pair(1, "get", 400, 50, 4, 16), pair(1, "create", 100, 50, 10, 20),
		pair(2, "get", 1000, 100, 2, 6), pair(2, "create", 200, 100, 5, 2.5),
	}}
	c := newComparison(plan, batch)
	for i, want := range []struct {
		name      string
		rate, p99 spread
	}{
		{"get", spread{Median: 8, Min: 8, Max: 10}, spread{Median: 4, Min: 3, Max: 4}},
		{"create", spread{Median: 2, Min: 2, Max: 3}, spread{Median: 1, Min: 0.5, Max: 2}},
	} {
		if got := c.Operations[i]; got.Name != want.name || !near(got.Rate, want.rate) || !near(got.P99, want.p99) {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	var out strings.Builder
	if err := c.print(&out); err != nil {
		t.Fatal(err)
	}
	if table := strings.Join(strings.Fields(out.String()), " "); !strings.Contains(table, "get 8.0 × (8.0–10.0) 4.0 (3.0–4.0)") {
		t.Errorf("table:\n%s", out.String())
	}
	content, err := json.Marshal(c)
	if err != nil || !strings.Contains(string(content), `"connections":4,"books":10,`) || !strings.Contains(string(content), `"rounds":[{"round":0,`) {
		t.Errorf("%s, %v", content, err)
	}
}

func TestWhatTheBenchmarkCannotDoIsSaidBeforeItBegins(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"a profile of a peer":         {[]string{"--profile", "f", "--peer", "i"}, "two different things to do"},
		"a peer without its cache":    {[]string{"--peer", "i", "get-cached"}, "only measured against the limits"},
		"an operation nobody knows":   {[]string{"--peer", "i", "gte"}, `there is no operation "gte"`},
		"a profile of another server": {[]string{"--profile", "f", "get-cached"}, "only measured against the limits"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := run(t.Context(), test.args, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}
