package stack

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func options(level Level) Options {
	return Options{
		Environment: "dev", Level: level, Port: 9400, Retention: 48 * time.Hour, AdminPort: 9090, EdgeMetrics: "edge:9090",
		EdgeURL: "http://edge:8080/readyz", Replicas: []Replica{{"app-blue-1", "blue", 1}, {"app-blue-2", "blue", 2}},
	}
}

func parts(t *testing.T, level Level) map[string]Part {
	t.Helper()
	listed, err := Parts(options(level))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]Part{}
	for _, part := range listed {
		found[part.Name] = part
	}
	return found
}

func TestEveryPartHasAnImageAndLimits(t *testing.T) {
	t.Parallel()
	for _, level := range []Level{Lean, Full} {
		images, err := Image(level)
		if err != nil {
			t.Fatal(err)
		}
		for name, part := range parts(t, level) {
			if images[name] == "" || part.MemoryMiB < 32 || part.CPUs == "" || part.User == "" || len(part.Command) == 0 {
				t.Errorf("%s at %s: image %q, part %+v", name, level, images[name], part)
			}
			for file, content := range part.Files {
				if !json.Valid([]byte(content)) {
					t.Errorf("%s of %s is not JSON: %s", file, name, content)
				}
			}
		}
	}
	if got, err := Parts(options(Off)); err != nil || len(got) > 0 {
		t.Errorf("off has the parts %v, %v", got, err)
	}
}

func TestOnlyTheWindowHasTheEnginesSocket(t *testing.T) {
	t.Parallel()
	for name, part := range parts(t, Full) {
		for _, mount := range part.Mounts {
			if strings.Contains(mount.Host, "docker.sock") != (name == EngineView) && strings.Contains(mount.Host, "docker.sock") {
				t.Errorf("%s is given %s", name, mount.Host)
			}
		}
		if slices.Contains(part.Networks, Engine) != (name == EngineView || name == Collector) {
			t.Errorf("%s is on the networks %v: only the collector may be with the window on the engine", name, part.Networks)
		}
		if (part.User == root) != (name == EngineView || name == Collector) {
			t.Errorf("%s runs as %s", name, part.User)
		}
	}
	if view := parts(t, Full)[EngineView]; view.Published != 0 || !slices.Equal(view.Networks, []string{Engine}) {
		t.Errorf("the window on the engine is published at %d, on the networks %v", view.Published, view.Networks)
	}
}

func TestPortsAreConstantAndFew(t *testing.T) {
	t.Parallel()
	lean, full := parts(t, Lean), parts(t, Full)
	seen := map[int]string{}
	for name, part := range full {
		if part.Published == 0 {
			continue
		}
		if other := seen[part.Published]; other != "" {
			t.Errorf("%s and %s have the port %d", name, other, part.Published)
		}
		seen[part.Published] = name
		if part.Published < 9400 || part.Published >= 9400+Ports {
			t.Errorf("%s has the port %d, beyond the range that is documented", name, part.Published)
		}
		if there, ok := lean[name]; ok && there.Published != part.Published {
			t.Errorf("%s moves from %d to %d", name, there.Published, part.Published)
		}
	}
}

func TestAReleaseChangesNoConfigurationThatTakesAnotherContainer(t *testing.T) {
	t.Parallel()
	before := parts(t, Full)
	o := options(Full)
	o.Replicas = append(o.Replicas, Replica{"app-green-1", "green", 1})
	after, err := Parts(o)
	if err != nil {
		t.Fatal(err)
	}
	reloaded := 0
	for _, part := range after {
		if fmt.Sprint(part.Files, part.Command) != fmt.Sprint(before[part.Name].Files, before[part.Name].Command) {
			t.Errorf("%s changes with the replicas", part.Name)
		}
		if strings.Contains(part.Reloads[targetsFile], "app-green-1:9090") {
			reloaded++
		}
	}
	if reloaded != 1 {
		t.Errorf("%d parts learn of the new replica, want the one that scrapes", reloaded)
	}
}

func TestASearchIsQuoted(t *testing.T) {
	t.Parallel()
	const id = "4BF92F3577b34da6a3ce929d0e0e4736"
	for name, test := range map[string]struct {
		search LogSearch
		want   string
	}{
		"everything":       {LogSearch{}, `* | sort by (_time)`},
		"a service":        {LogSearch{Service: "app"}, `"service.name":="app" | sort by (_time)`},
		"a trace":          {LogSearch{Trace: id}, `"trace_id":="` + strings.ToLower(id) + `" | sort by (_time)`},
		"a least severity": {LogSearch{Level: "warn"}, `level:in("WARN","ERROR") | sort by (_time)`},
		"a text that would be a query": {
			LogSearch{Text: `" or * | delete`}, `~"\" or \\* \\| delete" | sort by (_time)`,
		},
		"the last minutes":  {LogSearch{Since: 90 * time.Second}, `_time:90s | sort by (_time)`},
		"following is live": {LogSearch{Service: "edge", Follow: true, Since: time.Minute}, `"service.name":="edge"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := test.search.Query(); err != nil || got != test.want {
				t.Errorf("%s (%v), want %s", got, err, test.want)
			}
		})
	}
	for _, bad := range []LogSearch{{Trace: "x"}, {Trace: strings.Repeat("g", 32)}, {Level: "loud"}} {
		if _, err := bad.Query(); err == nil {
			t.Errorf("%+v is no error", bad)
		}
	}
}
