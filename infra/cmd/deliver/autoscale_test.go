package main

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bookshelf/infra/autoscale"
	"bookshelf/infra/autoscaler"
)

// event is one of what autoscale has to say, at half past two.
func event(e autoscaler.Event) autoscaler.Event {
	e.At, e.Environment = time.Date(2026, time.March, 1, 14, 30, 0, 0, time.UTC), "dev"
	return e
}

func TestWhatAutoscaleSaysIsALineEach(t *testing.T) {
	t.Parallel()
	more := autoscale.Decision{Replicas: 4, Change: 2, Rule: autoscale.More, Why: "4 are needed"}
	for name, test := range map[string]struct {
		event autoscaler.Event
		want  string
	}{
		"a change":        {autoscaler.Event{Decision: more, Seconds: 12.34}, "14:30:00  2 → 4 in 12.3 s  4 are needed\n"},
		"only said":       {autoscaler.Event{Decision: more, DryRun: true}, "14:30:00  would be 2 → 4  4 are needed\n"},
		"nothing changes": {autoscaler.Event{Decision: autoscale.Decision{Replicas: 2, Why: "2 replicas fit"}}, "14:30:00  stays 2  2 replicas fit\n"},
		"it waits":        {autoscaler.Event{Decision: more, Waits: "dev is locked"}, "14:30:00  waits: dev is locked\n"},
		"it failed":       {autoscaler.Event{Decision: more, Error: "no room", Failures: 3}, "14:30:00  failed (3 in a row): no room\n"},
	} {
		var out bytes.Buffer
		d := &deliver{stdout: &out}
		d.tellAutoscale(event(test.event))
		if diff := cmp.Diff(test.want, out.String()); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func TestWhatAutoscaleSaysIsAnObjectPerLineInJSON(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	d := &deliver{stdout: &out, json: true}
	first := event(autoscaler.Event{Decision: autoscale.Decision{Replicas: 4, Change: 2, Rule: autoscale.More, Why: "4 are needed"}, Seconds: 12.5})
	d.tellAutoscale(first)
	d.tellAutoscale(event(autoscaler.Event{Waits: "dev is locked"}))
	want := `{"at":"2026-03-01T14:30:00Z","environment":"dev","replicas":4,"change":2,"rule":"more","why":"4 are needed","seconds":12.5}`
	line, rest, _ := bytes.Cut(out.Bytes(), []byte("\n"))
	if diff := cmp.Diff(want, string(line)); diff != "" {
		t.Error(diff)
	}
	var second autoscaler.Event
	if err := json.Unmarshal(rest, &second); err != nil || second.Waits != "dev is locked" {
		t.Errorf("the second line is %q (%v)", rest, err)
	}
}
