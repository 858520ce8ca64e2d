// Package textfile tells Prometheus what a command has done: a file in its text format, which node_exporter reads (textfile collector).
// A command that has ended cannot be scraped, and what it did has to be known long after.
package textfile

import (
	_ "embed"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/atomicwriter"
	"gopkg.in/yaml.v3"
)

// contractText lists what may be told; alerts and dashboards use these names.
//
//go:embed contract.yaml
var contractText []byte

// Sample is one value of a metric of contract.yaml.
type Sample struct {
	Name   string
	Labels map[string]string
	Value  float64
}

// metric is what the contract says of one.
type metric struct {
	Name   string            `yaml:"name"`
	Type   string            `yaml:"type"`
	Help   string            `yaml:"help"`
	Labels map[string]string `yaml:"labels"`
}

func promised() (map[string]metric, error) {
	var contract struct {
		Metrics []metric `yaml:"metrics"`
	}
	if err := yaml.Unmarshal(contractText, &contract); err != nil {
		return nil, fmt.Errorf("read the contract: %w", err)
	}
	byName := map[string]metric{}
	for _, m := range contract.Metrics {
		byName[m.Name] = m
	}
	return byName, nil
}

// Write replaces the file of a group, dir/GROUP.prom, by these samples, as a whole: a reader sees the old file or the new one. A
// sample that the contract does not have is an error, and nothing is written.
func Write(dir, group string, samples []Sample) error {
	text, err := format(samples)
	if err != nil {
		return fmt.Errorf("metrics of %s: %w", group, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("metrics of %s: %w", group, err)
	}
	// Readable by all: node_exporter is another user, and there is no secret in it.
	if err := atomicwriter.WriteFile(filepath.Join(dir, group+".prom"), []byte(text), 0o644); err != nil {
		return fmt.Errorf("metrics of %s: %w", group, err)
	}
	return nil
}

// format writes the samples family by family, as the format wants it.
func format(samples []Sample) (string, error) {
	known, err := promised()
	if err != nil {
		return "", err
	}
	families := map[string][]string{}
	for _, s := range samples {
		m, ok := known[s.Name]
		if !ok {
			return "", fmt.Errorf("the contract has no %s", s.Name)
		}
		var pairs []string
		for _, label := range slices.Sorted(maps.Keys(s.Labels)) {
			if _, ok := m.Labels[label]; !ok {
				return "", fmt.Errorf("the contract has no label %s of %s", label, s.Name)
			}
			pairs = append(pairs, label+"="+strconv.Quote(s.Labels[label]))
		}
		if len(pairs) != len(m.Labels) {
			return "", fmt.Errorf("%s: want the labels %v", s.Name, slices.Sorted(maps.Keys(m.Labels)))
		}
		series := s.Name
		if len(pairs) > 0 {
			series += "{" + strings.Join(pairs, ",") + "}"
		}
		families[s.Name] = append(families[s.Name], series+" "+strconv.FormatFloat(s.Value, 'f', -1, 64))
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(families)) {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n%s\n", name, known[name].Help, name, known[name].Type, strings.Join(families[name], "\n"))
	}
	return b.String(), nil
}
