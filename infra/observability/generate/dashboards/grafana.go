package dashboards

import (
	"encoding/json"
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// source is the data source as it has to be provisioned: type and UID.
var source = common.DataSourceRef{Type: new("prometheus"), Uid: new("prometheus")}

// columns is the width of Grafana's grid.
const columns = 24

// Grafana writes the dashboard as Grafana's provisioning reads it.
func (d Dashboard) Grafana() ([]byte, error) {
	//nolint:staticcheck // the form that every Grafana's provisioning reads; the one that is to replace it, only the newest
	builder := dashboard.NewDashboardBuilder(d.Title).Uid("bookshelf-"+d.Name).Tags([]string{"bookshelf"}).
		Timezone("utc").Time("now-1h", "now").Refresh("30s").Tooltip(dashboard.DashboardCursorSyncCrosshair).Readonly()
	for _, m := range d.Markers {
		builder.Annotation(dashboard.NewAnnotationQueryBuilder().Name(m.Title).Datasource(source).Enable(true).IconColor("blue").Expr(m.Expr).
			Target(prometheus.NewDataqueryBuilder().Expr(m.Expr).LegendFormat(m.Legend).RefId("A")))
	}
	for _, row := range d.Rows {
		builder.WithRow(dashboard.NewRowBuilder(row.Title))
		for _, p := range row.Panels {
			panel := timeseries.NewPanelBuilder().Title(p.Title).Description(p.About).Datasource(source).Unit(string(p.Unit)).
				Height(8).Span(uint32(columns / width(row))).Min(0).FillOpacity(8).ShowPoints(common.VisibilityModeNever)
			for i, q := range p.Queries {
				panel.WithTarget(prometheus.NewDataqueryBuilder().Expr(q.Expr).LegendFormat(q.Legend).Range().RefId(string(rune('A' + i))))
			}
			builder.WithPanel(panel)
		}
	}
	built, err := builder.Build()
	if err != nil {
		return nil, fmt.Errorf("dashboard %s: %w", d.Name, err)
	}
	text, err := json.MarshalIndent(built, "", "  ")
	return append(text, '\n'), err
}

// width is how many panels of the row stand beside each other.
func width(row Row) int { return max(1, min(3, len(row.Panels))) }
