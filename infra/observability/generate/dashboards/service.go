package dashboards

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"bookshelf/infra/observability/generate/contract"
)

// service shows what every service of docs/contract.md tells (rate, errors, duration), and what this one's contract has beyond.
func service(set *contract.Set) Dashboard {
	d := Dashboard{Name: "service", Title: "Service", Markers: []Marker{released}}
	for _, by := range []struct{ label, what string }{{"http_route", "route"}, {"service_version", "version"}} {
		legend := "{{" + by.label + "}}"
		all := "sum by (" + by.label + ") (rate(http_server_requests_total" + window + "))"
		failed := "sum by (" + by.label + `) (rate(http_server_requests_total{http_response_status_code=~"5.."}` + window + "))"
		d.Rows = append(d.Rows, Row{Title: "By " + by.what, Panels: []Panel{
			one("Rate", "Requests answered per second.", PerSecond, all, legend),
			one("Errors", "Share of the requests that were answered with 500 or more.", Share, "("+failed+" or 0 * "+all+") / "+all, legend),
			one("Duration, 95 %", "What nineteen requests of twenty do not exceed.", Seconds, quantile("0.95", by.label), legend),
		}})
	}
	d.Rows = append(d.Rows, Row{Title: "Together", Panels: []Panel{
		{Title: "Duration", About: "Of all requests.", Unit: Seconds, Queries: []Query{
			{quantile("0.5", ""), "half"}, {quantile("0.95", ""), "95 %"}, {quantile("0.99", ""), "99 %"},
		}},
		one("Statuses", "Requests per second by status.", PerSecond,
			"sum by (http_response_status_code) (rate(http_server_requests_total"+window+"))", "{{http_response_status_code}}"),
		one("In flight", "Requests being answered.", Number, "sum by (service_version) (http_server_active_requests)", "{{service_version}}"),
	}})
	if row := limits(set.App); len(row.Panels) > 0 {
		d.Rows = append(d.Rows, row)
	}
	d.Rows = append(d.Rows, own(set)...)
	return d
}

// quantile of the durations, by a label or of all.
func quantile(q, label string) string {
	by := "le"
	if label != "" {
		by += ", " + label
	}
	return fmt.Sprintf("histogram_quantile(%s, sum by (%s) (rate(http_server_request_duration_seconds_bucket%s)))", q, by, window)
}

// limits shows what the service's contract names as filling up, and what is refused.
func limits(app contract.Contract) Row {
	row := Row{Title: "Limits"}
	fills := Panel{Title: "Saturation", About: "Share of each limit that is in use.", Unit: Share}
	for _, s := range app.Saturation {
		fills.Queries = append(fills.Queries, Query{
			fmt.Sprintf("sum by (instance) (%s) / sum by (instance) (%s)", s.Used, s.Limit), s.Name + " {{instance}}",
		})
	}
	if len(fills.Queries) > 0 {
		row.Panels = append(row.Panels, fills)
	}
	for _, r := range app.Refusals {
		var labels []string
		for _, label := range slices.Sorted(maps.Keys(r.Refused)) {
			labels = append(labels, fmt.Sprintf("%s=%q", label, r.Refused[label]))
		}
		row.Panels = append(row.Panels, maybe(one("Refused: "+r.Name, "Requests per second that were turned away.", PerSecond,
			fmt.Sprintf("sum(rate(%s{%s}%s))", r.Of, strings.Join(labels, ","), window), r.Name)))
	}
	return row
}

// own shows each metric of the service that no other panel has: nothing is told that cannot be looked at.
func own(set *contract.Set) []Row {
	shown := map[string]bool{}
	for _, m := range set.Service.Metrics {
		shown[m.Name] = true
	}
	for _, s := range set.App.Saturation {
		shown[s.Used], shown[s.Limit] = true, true
	}
	row := Row{Title: "What else it tells"}
	for _, m := range set.App.Metrics {
		if !shown[m.Name] {
			row.Panels = append(row.Panels, generic(m))
		}
	}
	process := Row{Title: "Process"}
	for _, m := range set.App.Runtime {
		if slices.Contains([]string{"process_resident_memory_bytes", "process_cpu_seconds_total", "go_goroutines"}, m.Name) {
			process.Panels = append(process.Panels, generic(m))
		}
	}
	return []Row{row, process}
}

// generic shows a metric by what its contract says of it.
func generic(m contract.Metric) Panel {
	labels := slices.Sorted(maps.Keys(m.Labels))
	by, legend := "instance", "{{instance}}"
	if len(labels) > 0 {
		by = strings.Join(labels, ", ")
		legend = "{{" + strings.Join(labels, "}} {{") + "}}"
	}
	unit := map[string]Unit{"s": Seconds, "By": Bytes}[m.Unit]
	if unit == "" {
		unit = Number
	}
	// Labelled counters begin with the first event; there may have been none.
	optional := len(labels) > 0 && m.Type == "counter"
	expr := fmt.Sprintf("sum by (%s) (%s)", by, m.Name)
	switch m.Type {
	case "counter":
		expr = fmt.Sprintf("sum by (%s) (rate(%s%s))", by, m.Name, window)
		if m.Unit == "s" {
			unit = Share // seconds per second
		}
	case "histogram":
		expr = fmt.Sprintf("histogram_quantile(0.95, sum by (le) (rate(%s_bucket%s)))", m.Name, window)
		legend, optional = "95 %", true
	}
	return Panel{Title: m.Name, About: m.Help, Unit: unit, Queries: []Query{{expr, legend}}, Optional: optional}
}

// objectives shows what is promised and what is kept.
func objectives() Dashboard {
	const legend = "{{class}} {{objective}}"
	return Dashboard{Name: "objectives", Title: "Objectives", Markers: []Marker{released}, Rows: []Row{
		{Title: "Promises", Panels: []Panel{
			one("Budget left", "Of the errors that 30 days allow. Below 0 the promise is broken.", Share, "objective:budget_remaining:ratio", legend),
			one("Attained in an hour", "Share of the requests that were good.", Share, "1 - objective:error_ratio:rate1h", legend),
			one("Promised", "Share of the requests that have to be.", Share, "objective:target:ratio", legend),
		}},
		{Title: "Spending", Panels: []Panel{
			one("Burn rate", "1 spends the budget in exactly 30 days; 14.4 wakes somebody.", Number, "objective:burn_rate:rate1h", legend),
			one("Alerts", "Those that fire.", Number, `count by (alertname, severity) (ALERTS{alertstate="firing"})`, "{{alertname}} ({{severity}})"),
			one("Requests by answer", "Per second.", PerSecond,
				"sum by (http_response_status_code) (rate(http_server_requests_total"+window+"))", "{{http_response_status_code}}"),
		}},
	}}
}
