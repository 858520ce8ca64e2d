package dashboards

import (
	"encoding/json"
	"slices"
)

// vmui's own form: https://github.com/VictoriaMetrics/VictoriaMetrics, "predefined dashboards" of app/vmui.
type (
	vmuiDashboard struct {
		Title string    `json:"title"`
		Rows  []vmuiRow `json:"rows"`
	}
	vmuiRow struct {
		Title  string      `json:"title"`
		Panels []vmuiPanel `json:"panels"`
	}
	vmuiPanel struct {
		Title       string   `json:"title"`
		Description string   `json:"description,omitempty"`
		Unit        string   `json:"unit,omitempty"`
		Expr        []string `json:"expr"`
		Alias       []string `json:"alias,omitempty"`
		ShowLegend  bool     `json:"showLegend"`
		Width       int      `json:"width"` // of 12
	}
)

// units are vmui's names, which are what stands behind a number.
var units = map[Unit]string{PerSecond: "/s", Percent: "%", Seconds: "s", Bytes: "B"}

// Vmui writes the dashboard for VictoriaMetrics' own page. It has no markers: they are a panel.
func (d Dashboard) Vmui() ([]byte, error) {
	out := vmuiDashboard{Title: d.Title}
	rows := d.Rows
	if len(d.Markers) > 0 {
		marks := Row{Title: "When"}
		for _, m := range d.Markers {
			marks.Panels = append(marks.Panels, Panel{Title: m.Title, Unit: Number, Queries: []Query{{m.Expr, m.Legend}}})
		}
		rows = append(slices.Clip(rows), marks)
	}
	for _, row := range rows {
		r := vmuiRow{Title: row.Title}
		for _, p := range row.Panels {
			panel := vmuiPanel{Title: p.Title, Description: p.About, Unit: units[p.Unit], ShowLegend: true, Width: 12 / width(row)}
			for _, q := range p.Queries {
				panel.Expr, panel.Alias = append(panel.Expr, q.Expr), append(panel.Alias, q.Legend)
			}
			r.Panels = append(r.Panels, panel)
		}
		out.Rows = append(out.Rows, r)
	}
	text, err := json.MarshalIndent(out, "", "  ")
	return append(text, '\n'), err
}
