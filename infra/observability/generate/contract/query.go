package contract

import (
	"errors"
	"fmt"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
)

// Check parses a query and looks up every metric and label in it. A name that no contract has is an error: it would be a panel that
// stays empty, or an alert that never fires.
func (s *Set) Check(query string) error {
	expression, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	if err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	var problems []error
	known := append(s.TargetLabels(), "le")
	var grouped []string
	open := false // a recorded series may have any label
	parser.Inspect(expression, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			m, recorded, ok := s.Metric(n.Name)
			if !ok {
				problems = append(problems, fmt.Errorf("%s: no contract has the metric %q", query, n.Name))
				return nil
			}
			open = open || recorded
			for label := range m.Labels {
				known = append(known, label)
			}
			for _, matcher := range n.LabelMatchers {
				if matcher.Name != model.MetricNameLabel && !recorded && m.Labels[matcher.Name] == "" &&
					!slices.Contains(s.TargetLabels(), matcher.Name) && (m.Type != "histogram" || matcher.Name != "le") {
					problems = append(problems, fmt.Errorf("%s: %s has no label %s", query, n.Name, matcher.Name))
				}
			}
		case *parser.AggregateExpr:
			if !n.Without {
				grouped = append(grouped, n.Grouping...)
			}
		case *parser.BinaryExpr:
			if n.VectorMatching != nil && n.VectorMatching.On {
				grouped = append(grouped, n.VectorMatching.MatchingLabels...)
			}
		}
		return nil
	})
	for _, label := range grouped {
		if !open && !slices.Contains(known, label) {
			problems = append(problems, fmt.Errorf("%s: no metric of it has the label %s", query, label))
		}
	}
	return errors.Join(problems...)
}
