package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
)

// world is what Prometheus would have scraped: series with their values, in the notation of Prometheus' own rule tests.
type world map[string]string

// with returns the world with some series changed; a value of "" takes one away.
func (w world) with(changes world) world {
	changed := maps.Clone(w)
	maps.Copy(changed, changes)
	maps.DeleteFunc(changed, func(_, values string) bool { return values == "" })
	return changed
}

// load writes it as a command of promqltest, with a sample every step.
func (w world) load(step time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "load %s\n", step)
	for _, series := range slices.Sorted(maps.Keys(w)) {
		fmt.Fprintf(&b, "  %s %s\n", series, w[series])
	}
	return b.String()
}

// firing is an alert that fires, with what its receiver would read.
type firing struct {
	name, summary string
	labels        labels.Labels
}

// prometheus is storage, engine and rules, as Prometheus puts them together.
type prometheus struct {
	storage storage.Storage
	engine  *promql.Engine
	groups  []*rules.Group
}

// newPrometheus loads a world and the rule files.
func newPrometheus(t *testing.T, w world, step time.Duration, files ...string) prometheus {
	t.Helper()
	loaded := promqltest.LoadedStorage(t, w.load(step), func(o *tsdb.Options) {
		// What rules record at the beginning comes after what was scraped until the end.
		o.MinBlockDuration = (100 * 24 * time.Hour).Milliseconds()
		o.MaxBlockDuration = o.MinBlockDuration
	})
	p := prometheus{storage: loaded, engine: promqltest.NewTestEngine(t, false, 5*time.Minute, 1_000_000)}
	manager := rules.NewManager(&rules.ManagerOptions{
		QueryFunc: rules.EngineQueryFunc(p.engine, loaded), AppendableV2: loaded, Queryable: loaded, Context: t.Context(),
		Logger: slog.New(slog.DiscardHandler), NotifyFunc: func(_ context.Context, _ string, _ ...*rules.Alert) {},
		Parser: parser.NewParser(parser.Options{}),
	})
	var paths []string
	for _, file := range files {
		paths = append(paths, filepath.Join("..", "rules", file))
	}
	groups, problems := manager.LoadGroups(step, labels.EmptyLabels(), "", nil, false, paths...)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		p.groups = append(p.groups, groups[name])
	}
	for _, group := range p.groups {
		for _, rule := range group.Rules() {
			if alert, ok := rule.(*rules.AlertingRule); ok {
				alert.SetRestored(true) // there is nothing from before a restart
			}
		}
	}
	// What others use is recorded first.
	slices.SortStableFunc(p.groups, func(a, b *rules.Group) int { return strings.Compare(b.File(), a.File()) })
	return p
}

// run evaluates the rules every step for so long and tells of each alert that fires.
func (p prometheus) run(t *testing.T, step, length time.Duration, tell func(at time.Duration, f firing)) {
	t.Helper()
	for at := time.Duration(0); at <= length; at += step {
		for _, group := range p.groups {
			group.Eval(t.Context(), time.Unix(0, 0).Add(at))
			for _, rule := range group.Rules() {
				if rule.Health() == rules.HealthBad {
					t.Fatalf("%v: %s: %v", at, rule.Name(), rule.LastError())
				}
				alert, ok := rule.(*rules.AlertingRule)
				if !ok {
					continue
				}
				for _, active := range alert.ActiveAlerts() {
					if active.State == rules.StateFiring {
						tell(at, firing{alert.Name(), active.Annotations.Get("summary"), active.Labels})
					}
				}
			}
		}
	}
}

// watch evaluates the rule files at every second sample of a world and returns what fired at each of these moments. Every one would be
// twice the work, and tell the same.
func watch(t *testing.T, w world, step, length time.Duration, files ...string) map[time.Duration][]firing {
	t.Helper()
	fired := map[time.Duration][]firing{}
	newPrometheus(t, w, step, files...).run(t, 2*step, length, func(at time.Duration, f firing) { fired[at] = append(fired[at], f) })
	return fired
}

// names are those of the alerts that fire, the dead man's switch aside, each once.
func names(list []firing) []string {
	set := map[string]bool{}
	for _, f := range list {
		if f.name != "Watchdog" {
			set[f.name] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}
