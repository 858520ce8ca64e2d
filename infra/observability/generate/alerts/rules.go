package alerts

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

// Rules returns the alerts as Prometheus reads them.
func (g Group) Rules() rulefmt.RuleGroup {
	group := rulefmt.RuleGroup{Name: g.Name}
	for _, a := range g.Alerts {
		labels := map[string]string{"severity": string(a.Severity)}
		maps.Copy(labels, a.Labels)
		group.Rules = append(group.Rules, rulefmt.Rule{
			Alert: a.Name, Expr: a.Expr, For: model.Duration(a.For), KeepFiringFor: model.Duration(a.KeepFor), Labels: labels,
			Annotations: map[string]string{"summary": a.Summary, "description": a.Description, "runbook": g.Runbook(a.Name)},
		})
	}
	return group
}

// Marshal writes groups as a rule file, and reads it as Prometheus does: what it would refuse is an error here.
func Marshal(groups []rulefmt.RuleGroup, source string) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Generated from %s; `make observability` writes it anew.\n", source)
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(rulefmt.RuleGroups{Groups: groups}); err != nil {
		return nil, fmt.Errorf("write rules: %w", err)
	}
	if _, problems := rulefmt.Parse(b.Bytes(), false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler)); len(problems) > 0 {
		return nil, fmt.Errorf("rules that Prometheus would refuse: %w", problems[0])
	}
	return b.Bytes(), nil
}
