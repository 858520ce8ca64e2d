// Package contract reads the telemetry contracts: which metrics there are, with which labels. A contract is a file; nothing is imported
// from the program that keeps it.
package contract

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bound says which values a label can have: one of Values, or at most Max that match Pattern.
type Bound struct {
	Values  []string `yaml:"values"`
	Pattern string   `yaml:"pattern"`
	Max     int      `yaml:"max"`
}

// Metric is a family of series. Labels maps a label to the name of its bound, "any" where it is not ours to say.
type Metric struct {
	Name      string            `yaml:"name"`
	Type      string            `yaml:"type"` // as Prometheus' text format has it
	Unit      string            `yaml:"unit"` // UCUM
	Help      string            `yaml:"help"`
	Stability string            `yaml:"stability"` // stable or development
	OTel      string            `yaml:"otel"`      // the semantic convention
	Buckets   []float64         `yaml:"buckets"`
	Labels    map[string]string `yaml:"labels"`
	Optional  bool              `yaml:"optional"` // not always there
}

// Field is an attribute of a span or a field of a log line.
type Field struct {
	Name      string   `yaml:"name"`
	Type      string   `yaml:"type"`
	Unit      string   `yaml:"unit"`
	Bound     string   `yaml:"bound"`
	Help      string   `yaml:"help"`
	Stability string   `yaml:"stability"`
	OTel      string   `yaml:"otel"`
	In        []string `yaml:"in"` // messages; in all when empty
	Optional  bool     `yaml:"optional"`
}

// Span is a kind of span.
type Span struct {
	Name       string  `yaml:"name"`
	Kind       string  `yaml:"kind"`
	Help       string  `yaml:"help"`
	Stability  string  `yaml:"stability"`
	Attributes []Field `yaml:"attributes"`
}

// Saturation is something that fills up: two metrics, used and its limit.
type Saturation struct {
	Name  string `yaml:"name"`
	Used  string `yaml:"used"`
	Limit string `yaml:"limit"`
}

// Refusals are what is turned away: the series of the counter Of that have the labels Refused.
type Refusals struct {
	Name    string            `yaml:"name"`
	Of      string            `yaml:"of"`
	Refused map[string]string `yaml:"refused"`
}

// Contract is what one program tells of itself.
type Contract struct {
	Name       string           `yaml:"name"`
	Version    string           `yaml:"version"`
	Job        string           `yaml:"job"`
	Bounds     map[string]Bound `yaml:"bounds"`
	Metrics    []Metric         `yaml:"metrics"`
	Runtime    []Metric         `yaml:"runtime"`
	Saturation []Saturation     `yaml:"saturation"`
	Refusals   []Refusals       `yaml:"refusals"`
	Spans      []Span           `yaml:"spans"`
	Resource   []Field          `yaml:"resource"`
	Logs       []Field          `yaml:"logs"`
}

// Job is a scrape job.
type Job struct {
	Name     string   `yaml:"name"`
	What     string   `yaml:"what"`
	Labels   []string `yaml:"labels"`
	Optional bool     `yaml:"optional"` // an environment may be without
}

// Targets are the scrape jobs and the labels that all targets have.
type Targets struct {
	Labels []string `yaml:"labels"`
	Jobs   []Job    `yaml:"jobs"`
}

// Set is everything that rules and dashboards may use.
type Set struct {
	App      Contract // of the service that is delivered
	Service  Contract // what any service tells
	Edge     Contract
	Delivery Contract
	External []Contract
	Targets  Targets

	byName   map[string]Metric
	recorded map[string]bool
}

// Load reads the contracts of the repository at root, and says everything that is wrong with them.
func Load(root string) (*Set, error) {
	s := &Set{byName: map[string]Metric{}, recorded: map[string]bool{}}
	var external struct {
		Sources []Contract `yaml:"sources"`
	}
	err := errors.Join(
		read(root, "app/internal/telemetry/contract.yaml", &s.App),
		read(root, "infra/observability/contracts/service.yaml", &s.Service),
		read(root, "infra/images/edge/contract.yaml", &s.Edge),
		read(root, "infra/observability/textfile/contract.yaml", &s.Delivery),
		read(root, "infra/observability/contracts/external.yaml", &external),
		read(root, "infra/observability/contracts/targets.yaml", &s.Targets),
	)
	if err != nil {
		return nil, err
	}
	s.External = external.Sources
	return s, s.index()
}

// read takes no field that it does not know: a misspelled one would be a promise that nobody keeps.
func read(root, name string, into any) error {
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		return err
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

var types = []string{"counter", "gauge", "histogram", "summary", "untyped"}

// index fills byName. The service's metrics are in two contracts, which have to agree.
func (s *Set) index() error {
	var problems []error
	for _, own := range s.Service.Metrics {
		at := slices.IndexFunc(s.App.Metrics, func(m Metric) bool { return m.Name == own.Name })
		if at < 0 || s.App.Metrics[at].Type != own.Type || s.App.Metrics[at].Unit != own.Unit || !sameKeys(s.App.Metrics[at].Labels, own.Labels) {
			problems = append(problems, fmt.Errorf("the service's contract does not have %s as docs/contract.md wants it", own.Name))
		}
	}
	all := append([]Contract{s.App, s.Edge, s.Delivery}, s.External...)
	for _, c := range all {
		for _, m := range slices.Concat(c.Metrics, c.Runtime) {
			_, twice := s.byName[m.Name]
			switch {
			case m.Name == "" || m.Help == "" || m.Unit == "" || !slices.Contains(types, m.Type):
				problems = append(problems, fmt.Errorf("metric %q: name, type, unit and help are needed", m.Name))
			case twice:
				problems = append(problems, fmt.Errorf("metric %s is in two contracts", m.Name))
			}
			for label, bound := range m.Labels {
				if _, known := c.Bounds[bound]; !known && bound != "any" {
					problems = append(problems, fmt.Errorf("metric %s: label %s: there is no bound %q", m.Name, label, bound))
				}
			}
			s.byName[m.Name] = m
		}
	}
	return errors.Join(problems...)
}

func sameKeys(a, b map[string]string) bool {
	for key := range a {
		if _, ok := b[key]; !ok {
			return false
		}
	}
	return len(a) == len(b)
}

// Record adds the name of a series that a rule records.
func (s *Set) Record(name string) { s.recorded[name] = true }

// Metric finds a metric by the name of a series, such as that of a histogram's buckets. Recorded ones have no contract of their own.
func (s *Set) Metric(series string) (m Metric, recorded, ok bool) {
	if s.recorded[series] {
		return Metric{}, true, true
	}
	m, ok = s.byName[series]
	if ok && m.Type != "histogram" {
		return m, false, true
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if base, cut := strings.CutSuffix(series, suffix); cut && s.byName[base].Type == "histogram" {
			return s.byName[base], false, true
		}
	}
	return Metric{}, false, false
}

// TargetLabels are the labels that targets add, of any job.
func (s *Set) TargetLabels() []string {
	labels := slices.Clone(s.Targets.Labels)
	for _, job := range s.Targets.Jobs {
		labels = append(labels, job.Labels...)
	}
	return labels
}
