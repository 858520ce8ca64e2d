package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/prometheus/prometheus/model/rulefmt"

	"bookshelf/infra/observability/generate/alerts"
	"bookshelf/infra/observability/generate/contract"
	"bookshelf/infra/observability/generate/dashboards"
	"bookshelf/infra/observability/generate/objectives"
)

// objectivesFile is what the service promises.
const objectivesFile = "app/internal/telemetry/objectives.yaml"

// generate returns every file by its path below root. A rule that uses what no contract has is an error.
func generate(root string) (map[string][]byte, error) {
	set, err := contract.Load(root)
	if err != nil {
		return nil, err
	}
	classes, err := objectives.Load(filepath.Join(root, filepath.FromSlash(objectivesFile)), set.App)
	if err != nil {
		return nil, err
	}
	groups := alerts.Groups(set)
	files := map[string][]byte{}
	promised := objectives.Rules(classes)
	var rules []rulefmt.RuleGroup
	for _, g := range groups {
		rules = append(rules, g.Rules())
	}
	if err := checkRules(set, slices.Concat(promised, rules)); err != nil {
		return nil, err
	}
	if files["infra/observability/rules/objectives.yml"], err = alerts.Marshal(promised, objectivesFile); err != nil {
		return nil, err
	}
	if files["infra/observability/rules/alerts.yml"], err = alerts.Marshal(rules, "infra/observability/generate/alerts"); err != nil {
		return nil, err
	}
	if err := addDashboards(files, set); err != nil {
		return nil, err
	}
	files["docs/telemetry.md"] = telemetryPage(set)
	files["docs/alerts.md"] = alertsPage(append(groups, objectives.Group()), classes)
	return files, nil
}

// checkRules looks up every name that a rule uses. What rules record may be used by all.
func checkRules(set *contract.Set, groups []rulefmt.RuleGroup) error {
	var problems []error
	for _, g := range groups {
		for _, r := range g.Rules {
			if r.Record != "" {
				set.Record(r.Record)
			}
		}
	}
	for _, g := range groups {
		for _, r := range g.Rules {
			if err := set.Check(r.Expr); err != nil {
				problems = append(problems, fmt.Errorf("%s%s: %w", r.Alert, r.Record, err))
			}
		}
	}
	return errors.Join(problems...)
}

// PanelQuery is a query of a panel, for whoever tries them all on a running environment.
type PanelQuery struct {
	Dashboard string `json:"dashboard"`
	Panel     string `json:"panel"`
	Expr      string `json:"expr"`
	Optional  bool   `json:"optional"` // may have no answer where an environment is without that part
}

// addDashboards adds every dashboard in both forms, and the list of their queries.
func addDashboards(files map[string][]byte, set *contract.Set) error {
	var problems []error
	var queries []PanelQuery
	for _, d := range dashboards.All(set) {
		for _, row := range d.Rows {
			for _, p := range row.Panels {
				for _, q := range p.Queries {
					problems = append(problems, within(d.Name+": "+p.Title, set.Check(q.Expr)))
					queries = append(queries, PanelQuery{Dashboard: d.Name, Panel: p.Title, Expr: q.Expr, Optional: p.Optional})
				}
			}
		}
		for _, m := range d.Markers {
			problems = append(problems, within(d.Name+": "+m.Title, set.Check(m.Expr)))
		}
		for folder, write := range map[string]func() ([]byte, error){"grafana": d.Grafana, "vmui": d.Vmui} {
			text, err := write()
			if err != nil {
				return err
			}
			files["infra/observability/dashboards/"+folder+"/"+d.Name+".json"] = text
		}
	}
	list, err := json.MarshalIndent(queries, "", "  ")
	files["infra/observability/dashboards/queries.json"] = append(list, '\n')
	return errors.Join(append(problems, err)...)
}

// within says where an error is.
func within(where string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", where, err)
}
