package edgetest

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// promises is what contract.yaml says of the metrics.
type promises struct {
	Bounds map[string]struct {
		Values  []string `yaml:"values"`
		Pattern string   `yaml:"pattern"`
		Max     int      `yaml:"max"`
	} `yaml:"bounds"`
	Metrics []struct {
		Name     string            `yaml:"name"`
		Type     string            `yaml:"type"`
		Help     string            `yaml:"help"`
		Labels   map[string]string `yaml:"labels"`
		Optional bool              `yaml:"optional"`
	} `yaml:"metrics"`
}

func TestTheEdgeTellsExactlyWhatItsContractSays(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../contract.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var contract promises
	if err := yaml.Unmarshal(text, &contract); err != nil {
		t.Fatal(err)
	}
	blue := newReplica(t, "blue")
	e := newEdge(t, "EDGE_TLS", "internal", "EDGE_HOSTS", host)
	e.start()
	e.set(ask("", slot("blue", 100, blue)))
	e.healthy()
	e.speaks(pool(t, filepath.Join(e.dir, "caddy", "pki", "authorities", "local", "root.crt")))
	parser := expfmt.NewTextParser(model.UTF8Validation)
	found, err := parser.TextToMetricFamilies(strings.NewReader(get(t, "http://"+e.metrics+"/metrics").body))
	if err != nil {
		t.Fatal(err)
	}
	for _, promise := range contract.Metrics {
		family := found[promise.Name]
		if family == nil {
			if !promise.Optional {
				t.Errorf("%s is in the contract and was not told", promise.Name)
			}
			continue
		}
		if kind := strings.ToLower(family.GetType().String()); kind != promise.Type || family.GetHelp() != promise.Help {
			t.Errorf("%s is a %s, %q; the contract says %s, %q", promise.Name, kind, family.GetHelp(), promise.Type, promise.Help)
		}
		values := map[string]map[string]bool{}
		for _, series := range family.GetMetric() {
			for _, pair := range series.GetLabel() {
				if values[pair.GetName()] == nil {
					values[pair.GetName()] = map[string]bool{}
				}
				values[pair.GetName()][pair.GetValue()] = true
			}
		}
		if got, want := slices.Sorted(maps.Keys(values)), slices.Sorted(maps.Keys(promise.Labels)); !slices.Equal(got, want) {
			t.Errorf("%s has the labels %v; the contract says %v", promise.Name, got, want)
		}
		for label, bound := range promise.Labels {
			b := contract.Bounds[bound]
			pattern := regexp.MustCompile("^(?:" + b.Pattern + ")$")
			for value := range values[label] {
				if len(b.Values) > 0 && !slices.Contains(b.Values, value) || len(b.Values) == 0 && !pattern.MatchString(value) {
					t.Errorf("%s has %s=%q, which is out of its bound %s", promise.Name, label, value, bound)
				}
			}
			if b.Max > 0 && len(values[label]) > b.Max {
				t.Errorf("%s has %d values of %s, and the bound is %d", promise.Name, len(values[label]), label, b.Max)
			}
		}
		delete(found, promise.Name)
	}
	for name := range found {
		if strings.HasPrefix(name, "edge_") {
			t.Errorf("%s is told and not in the contract", name)
		}
	}
}
