package main

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"bookshelf/infra/observability/generate/alerts"
	"bookshelf/infra/observability/generate/contract"
	"bookshelf/infra/observability/generate/objectives"
)

// telemetryPage is docs/telemetry.md.
func telemetryPage(set *contract.Set) []byte {
	var b bytes.Buffer
	b.WriteString("<!-- Generated from the telemetry contracts by `make observability`; changes belong there. -->\n# Telemetry\n\n" +
		"What leaves a running environment. The service's part is a contract, `app/internal/telemetry/contract.yaml`: a test holds a running server to exactly it, and\n" +
		"ten thousand hostile requests to the bounds of its labels. The edge has one of its own, `infra/images/edge/contract.yaml`. Rules and dashboards may use nothing\n" +
		"that is not on this page; a name that is changed in one place alone fails the build.\n\n## The service's metrics\n\n")
	metricsTable(&b, set.App, true)
	b.WriteString("\n### Bounds of its labels\n\nA client can add to none of these.\n\n| bound | values |\n|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(set.App.Bounds)) {
		fmt.Fprintf(&b, "| %s | %s |\n", name, boundText(set.App.Bounds[name]))
	}
	b.WriteString("\n### Of every Go program\n\nWhat the metrics library tells of the runtime and the process; the optional ones depend on the host's kernel.\n\n| metric | type | unit | meaning |\n|---|---|---|---|\n")
	for _, m := range set.App.Runtime {
		fmt.Fprintf(&b, "| `%s`%s | %s | %s | %s |\n", m.Name, optional(m.Optional), m.Type, cell(m.Unit), m.Help)
	}
	b.WriteString("\n## The service's spans\n")
	for _, s := range set.App.Spans {
		fmt.Fprintf(&b, "\n**%s** (%s, %s). %s\n\n| attribute | type | meaning |\n|---|---|---|\n", s.Name, s.Kind, s.Stability, s.Help)
		for _, f := range s.Attributes {
			fmt.Fprintf(&b, "| `%s`%s | %s | %s |\n", f.Name, optional(f.Optional), f.Type, f.Help)
		}
	}
	b.WriteString("\nEvery span is of the resource")
	for i, f := range set.App.Resource {
		fmt.Fprintf(&b, "%s `%s` (%s)", map[bool]string{true: ",", false: ""}[i > 0], f.Name, strings.ToLower(strings.TrimSuffix(f.Help, ".")))
	}
	b.WriteString(".\n\n## The service's log\n\nOne JSON object per line on standard output.\n\n| field | type | in | OpenTelemetry | meaning |\n|---|---|---|---|---|\n")
	for _, f := range set.App.Logs {
		in := "every line"
		if len(f.In) > 0 {
			in = strings.Join(f.In, ", ")
		}
		fmt.Fprintf(&b, "| `%s`%s | %s | %s | %s | %s |\n", f.Name, optional(f.Optional), f.Type, in, code(f.OTel), f.Help)
	}
	b.WriteString("\n## The edge's metrics\n\n")
	metricsTable(&b, set.Edge, false)
	b.WriteString("\n## What `deliver` tells\n\nWritten as files that node_exporter reads.\n\n")
	metricsTable(&b, set.Delivery, false)
	b.WriteString("\n## What rules take from others\n")
	for _, source := range set.External {
		fmt.Fprintf(&b, "\n**%s**%s, job `%s`\n\n| metric | labels | meaning |\n|---|---|---|\n", source.Name, cmp.Or(prefixed(" ", source.Version), ""), source.Job)
		for _, m := range source.Metrics {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", m.Name, labelText(m.Labels), m.Help)
		}
	}
	b.WriteString("\n## What rules record\n\nOf each class of requests and objective: " + codes([]string{"class", "objective"}) + ".\n\n| series | meaning |\n|---|---|\n")
	for _, r := range objectives.Recorded() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", r[0], r[1])
	}
	b.WriteString("\n## Scrape jobs\n\nEvery target adds " + codes(set.Targets.Labels) + ".\n\n| job | what | adds |\n|---|---|---|\n")
	for _, j := range set.Targets.Jobs {
		fmt.Fprintf(&b, "| `%s`%s | %s | %s |\n", j.Name, optional(j.Optional), j.What, codes(j.Labels))
	}
	return b.Bytes()
}

func metricsTable(b *bytes.Buffer, c contract.Contract, otel bool) {
	head, rule := "", ""
	if otel {
		head, rule = " OpenTelemetry |", "---|"
	}
	b.WriteString("| metric | type | unit | labels | stability |" + head + " meaning |\n|---|---|---|---|---|" + rule + "---|\n")
	for _, m := range c.Metrics {
		convention := ""
		if otel {
			convention = " " + code(m.OTel) + " |"
		}
		fmt.Fprintf(b, "| `%s`%s | %s | %s | %s | %s |%s %s |\n", m.Name, optional(m.Optional), m.Type, cell(m.Unit), labelText(m.Labels), m.Stability, convention, m.Help)
	}
}

func optional(is bool) string {
	if is {
		return " (optional)"
	}
	return ""
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + cell(text) + "`"
}

func codes(list []string) string {
	var quoted []string
	for _, text := range list {
		quoted = append(quoted, code(text))
	}
	return strings.Join(quoted, ", ")
}

func labelText(labels map[string]string) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		text := code(name)
		if bound := labels[name]; bound != "any" && bound != name {
			text += " (" + bound + ")"
		}
		list = append(list, text)
	}
	return strings.Join(list, ", ")
}

func boundText(b contract.Bound) string {
	if len(b.Values) > 0 {
		return codes(b.Values)
	}
	return fmt.Sprintf("at most %d that match %s", b.Max, code(b.Pattern))
}

// alertsPage is docs/alerts.md.
func alertsPage(groups []alerts.Group, classes []objectives.Class) []byte {
	var b bytes.Buffer
	b.WriteString("<!-- Generated from infra/observability/generate by `make observability`; changes belong there. -->\n# Alerts and objectives\n\n" +
		"**critical** wakes somebody: clients notice, or data is at risk. **warning** is looked at in working hours. **none** is the dead man's switch. Each links to what to do.\n" +
		"The rules are in `infra/observability/rules`, with tests of what fires them and of what must not: a release, a rotation and a drill fire nothing.\n\n" +
		"## Objectives\n\nOver 30 days (`app/internal/telemetry/objectives.yaml`):\n\n| class | requests | answered without an error of the server | within |\n|---|---|---|---|\n")
	for _, c := range classes {
		within := ""
		if c.Latency != nil {
			within = fmt.Sprintf("%v %% in %v s", c.Latency.Percent, c.Latency.Within)
		}
		fmt.Fprintf(&b, "| %s | %s %s | %v %% | %s |\n", c.Name, strings.Join(c.Methods, ", "), codes(c.Routes), c.Availability, within)
	}
	for _, g := range groups {
		fmt.Fprintf(&b, "\n## %s\n\n| alert | severity | when | for | what to do |\n|---|---|---|---|---|\n", g.About)
		for _, a := range g.Alerts {
			when := code(a.Expr)
			if a.Expr == "" {
				when = a.Summary
			}
			resource := ""
			if name := a.Labels["resource"]; name != "" {
				resource = " of " + name
			}
			fmt.Fprintf(&b, "| %s%s | %s | %s | %s | [runbook](%s) |\n", a.Name, resource, a.Severity, when, held(a.For), strings.TrimPrefix(g.Runbook(a.Name), "docs/"))
		}
	}
	return b.Bytes()
}

// held is how long a condition has to hold, as people write it.
func held(d time.Duration) string {
	switch {
	case d == 0:
		return "at once"
	case d%time.Hour == 0:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%d min", d/time.Minute)
	default:
		return fmt.Sprintf("%d s", d/time.Second)
	}
}
