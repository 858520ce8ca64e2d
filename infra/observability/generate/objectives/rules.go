package objectives

import (
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"

	"bookshelf/infra/observability/generate/alerts"
)

// Recorded are the series that the rules record, each with its meaning; all have the labels class and objective.
func Recorded() [][2]string {
	return [][2]string{
		{target, "The share of the requests that is promised to be good."},
		{errorRatio + "WINDOW", "The share that was bad, within " + strings.Join(windows, ", ") + "."},
		{spending, "How fast the budget is being spent, within an hour: 1 spends it in exactly 30 days."},
		{remaining, "What is left of the budget of 30 days; below 0 when the promise is broken."},
	}
}

// Names of what the rules record. Each has the labels class and objective.
const (
	errorRatio = "objective:error_ratio:rate"       // with the window behind: the share of events that were bad
	target     = "objective:target:ratio"           // the share that is promised to be good
	remaining  = "objective:budget_remaining:ratio" // of the budget of 30 days; below 0 when the promise is broken
	spending   = "objective:burn_rate:rate1h"       // 1 spends the budget in exactly 30 days
	period     = "30d"                              // of a promise
	least      = 5                                  // bad events in the long window, below which nobody is told: one failure of three requests is no trend
	slowly     = model.Duration(5 * time.Minute)    // how often what changes slowly is computed
)

// windows are those of the recorded error ratios.
var windows = []string{"5m", "30m", "1h", "2h", "6h", "1d", "3d"}

// burn is one pair of windows: the long one says that it matters, the short one that it still goes on.
type burn struct {
	short, long string
	rate        float64 // times the rate that spends the budget in exactly 30 days
	hours       float64 // of the long window
	history     string  // how long Prometheus must have watched; "" for no time
}

// fast spends 2 % of the budget in an hour or 5 % in six, slow 10 % in a day or in three. To a Prometheus that is minutes old all
// windows are the same, and what passes in a minute looks like three days: slow waits until the short window has passed once.
var (
	fast = []burn{{"5m", "1h", 14.4, 1, ""}, {"30m", "6h", 6, 6, ""}}
	slow = []burn{{"2h", "1d", 3, 24, "2h"}, {"6h", "3d", 1, 72, "6h"}}
)

// Rules returns the recording rules and the alerts of all classes.
func Rules(classes []Class) []rulefmt.RuleGroup {
	ratios := rulefmt.RuleGroup{Name: "objectives"}
	budgets := rulefmt.RuleGroup{Name: "objectives-budgets", Interval: slowly}
	alerting := rulefmt.RuleGroup{Name: "objectives-alerts"}
	for _, c := range classes {
		for _, o := range c.objectives() {
			for _, window := range windows {
				ratios.Rules = append(ratios.Rules, o.record(errorRatio+window, o.bad(window)+" / "+o.all(window)))
			}
			ratios.Rules = append(ratios.Rules,
				o.record(target, fmt.Sprintf("vector(%.6g)", o.percent/100)),
				o.record(spending, o.recorded(errorRatio+"1h")+" / "+o.budget()))
			budgets.Rules = append(budgets.Rules, o.record(remaining, "1 - "+o.bad(period)+" / "+o.all(period)+" / "+o.budget()))
			alerting.Rules = append(alerting.Rules, o.alert("BudgetBurningFast", alerts.Critical, fast), o.alert("BudgetBurningSlowly", alerts.Warning, slow))
		}
	}
	return []rulefmt.RuleGroup{ratios, budgets, alerting}
}

func (o objective) labels() map[string]string {
	return map[string]string{"class": o.class, "objective": o.kind}
}

func (o objective) record(name, expr string) rulefmt.Rule {
	return rulefmt.Rule{Record: name, Expr: expr, Labels: o.labels()}
}

// recorded picks the objective's own of a recorded series.
func (o objective) recorded(name string) string {
	return fmt.Sprintf("%s{class=%q,objective=%q}", name, o.class, o.kind)
}

func (o objective) alert(name string, severity alerts.Severity, pairs []burn) rulefmt.Rule {
	var either []string
	for _, pair := range pairs {
		limit := fmt.Sprintf("%.6g", pair.rate*(100-o.percent)/100)
		expr := fmt.Sprintf("(%s > %s and on () %s > %s and on () %s * %v > %d",
			o.recorded(errorRatio+pair.long), limit, o.recorded(errorRatio+pair.short), limit, o.bad(pair.long), pair.hours*3600, least)
		if pair.history != "" {
			expr += fmt.Sprintf(" and on () %s offset %s", o.recorded(target), pair.history)
		}
		either = append(either, expr+")")
	}
	labels := o.labels()
	labels["severity"] = string(severity)
	return rulefmt.Rule{Alert: name, Expr: strings.Join(either, " or "), Labels: labels, Annotations: map[string]string{
		"summary":     fmt.Sprintf("%s of %s: {{ $value | humanizePercentage }} of the requests miss the objective of %v %%", o.kind, o.class, o.percent),
		"description": "At this rate the budget of 30 days will be spent too early.",
		"runbook":     Group().Runbook(name),
	}}
}

// Group names the alerts for their runbook; their rules are in Rules.
func Group() alerts.Group {
	return alerts.Group{Name: "objectives", About: "Objectives", Alerts: []alerts.Alert{
		{Name: "BudgetBurningFast", Severity: alerts.Critical, Summary: "the budget of errors is spent 6 or 14.4 times too fast",
			Description: "2 % of the budget of 30 days went within an hour, or 5 % within six."},
		{Name: "BudgetBurningSlowly", Severity: alerts.Warning, Summary: "the budget of errors is spent too fast",
			Description: "10 % of the budget of 30 days went within a day, or within three."},
	}}
}
