// Package objectives turns what a service promises into the rules that watch it: how much of its budget of errors each promise has
// spent, and alerts on the rate at which it is being spent (multi-window, multi-burn-rate alerts: Site Reliability Workbook, chapter 5).
package objectives

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"bookshelf/infra/observability/generate/contract"
)

// Class is a class of requests with what is promised about it.
type Class struct {
	Name         string   `yaml:"class"`
	Help         string   `yaml:"help"`
	Routes       []string `yaml:"routes"`       // templates, as http_route has them
	Methods      []string `yaml:"methods"`      // as http_request_method has them
	Availability float64  `yaml:"availability"` // per cent of the answers that are below 500
	Latency      *Latency `yaml:"latency"`      // nil for no promise
}

// Latency promises that Percent of the answers take at most Within seconds, a bound of the histogram of durations.
type Latency struct {
	Percent float64 `yaml:"percent"`
	Within  float64 `yaml:"within"`
}

// Load reads a file of objectives and holds it against the service's contract: a route that there is not would be a promise that is
// always kept. All that is wrong is said at once.
func Load(file string, service contract.Contract) ([]Class, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var promised struct {
		Objectives []Class `yaml:"objectives"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&promised); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var problems []error
	seen := map[string]string{} // route and method → class
	for _, c := range promised.Objectives {
		for _, problem := range c.check(service, seen) {
			problems = append(problems, fmt.Errorf("%s: class %q: %w", file, c.Name, problem))
		}
	}
	if len(promised.Objectives) == 0 {
		problems = append(problems, fmt.Errorf("%s: there is no objective", file))
	}
	return promised.Objectives, errors.Join(problems...)
}

func (c Class) check(service contract.Contract, seen map[string]string) (problems []error) {
	say := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	at := slices.IndexFunc(service.Metrics, func(m contract.Metric) bool { return m.Name == durations })
	if at < 0 {
		return []error{fmt.Errorf("the service's contract has no %s", durations)}
	}
	metric := service.Metrics[at]
	if c.Name == "" || len(c.Routes) == 0 || len(c.Methods) == 0 {
		say("a class, routes and methods are needed")
	}
	for label, values := range map[string][]string{"http_route": c.Routes, "http_request_method": c.Methods} {
		for _, value := range values {
			if known := service.Bounds[metric.Labels[label]].Values; !slices.Contains(known, value) {
				say("%s %q is not among those of the contract", label, value)
			}
		}
	}
	for _, route := range c.Routes {
		for _, method := range c.Methods {
			if other, twice := seen[route+method]; twice {
				say("%s %s is in class %q as well", method, route, other)
			}
			seen[route+method] = c.Name
		}
	}
	if !(c.Availability > 50 && c.Availability < 100) {
		say("availability %v is not between 50 and 100 per cent", c.Availability)
	}
	if l := c.Latency; l != nil {
		if !(l.Percent > 50 && l.Percent < 100) {
			say("latency: %v is not between 50 and 100 per cent", l.Percent)
		}
		if !slices.Contains(metric.Buckets, l.Within) {
			say("latency: %v s is no bound of %s, so it cannot be measured; these are: %v", l.Within, durations, metric.Buckets)
		}
	}
	return problems
}

const (
	requests  = "http_server_requests_total"
	durations = "http_server_request_duration_seconds"
)

// selector picks the series of the class, of those with more matchers.
func (c Class) selector(metric string, more ...string) string {
	matchers := append([]string{fmt.Sprintf("http_route=~%q", alternatives(c.Routes)), fmt.Sprintf("http_request_method=~%q", alternatives(c.Methods))}, more...)
	return metric + "{" + strings.Join(matchers, ",") + "}"
}

// alternatives is a pattern for exactly these values. Only braces of routes mean something to a pattern.
func alternatives(values []string) string {
	return strings.NewReplacer("{", "[{]", "}", "[}]").Replace(strings.Join(values, "|"))
}

// objective is one promise of a class: of all events, so many may be bad.
type objective struct {
	class, kind string
	percent     float64
	bad, all    func(window string) string // events per second
}

// budget is the share of events that may be bad.
func (o objective) budget() string { return fmt.Sprintf("%.6g", (100-o.percent)/100) }

func (c Class) objectives() []objective {
	all := func(window string) string { return "sum(rate(" + c.selector(requests) + "[" + window + "]))" }
	list := []objective{{
		class: c.Name, kind: "availability", percent: c.Availability, all: all,
		bad: func(window string) string {
			return "(sum(rate(" + c.selector(requests, `http_response_status_code=~"5.."`) + "[" + window + "])) or 0 * " + all(window) + ")"
		},
	}}
	if c.Latency != nil {
		total := func(window string) string { return "sum(rate(" + c.selector(durations+"_count") + "[" + window + "]))" }
		list = append(list, objective{
			class: c.Name, kind: "latency", percent: c.Latency.Percent, all: total,
			bad: func(window string) string {
				return "(" + total(window) + " - sum(rate(" + c.selector(durations+"_bucket", fmt.Sprintf(`le="%v"`, c.Latency.Within)) + "[" + window + "])))"
			},
		})
	}
	return list
}
