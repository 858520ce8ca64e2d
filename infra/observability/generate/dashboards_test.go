package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bookshelf/infra/observability/generate/contract"
	"bookshelf/infra/observability/generate/dashboards"
)

// promised is a world in which everything is told that a contract promises, optional or not, and grows where it can.
func promised(set *contract.Set) world {
	w := world{}
	all := append([]contract.Contract{set.App, set.Edge, set.Delivery}, set.External...)
	for _, c := range all {
		for _, m := range slices.Concat(c.Metrics, c.Runtime) {
			if m.Name == "ALERTS" {
				continue // the rules make it
			}
			for n := range 3 {
				labels := []string{`instance="a"`, `environment="prod"`, fmt.Sprintf("job=%q", c.Job)}
				for label, bound := range m.Labels {
					labels = append(labels, fmt.Sprintf("%s=%q", label, value(label, c.Bounds[bound], n)))
				}
				for series, values := range told(m) {
					name, bucket, _ := strings.Cut(series, " ")
					own := labels
					if bucket != "" {
						own = append(slices.Clone(labels), bucket)
					}
					w[name+"{"+strings.Join(own, ",")+"}"] = values
				}
			}
		}
	}
	return w
}

// value is one that the label can have: the n-th of those that are listed.
func value(label string, b contract.Bound, n int) string {
	switch {
	case label == "http_response_status_code":
		return []string{"200", "404", "500"}[n]
	case len(b.Values) > 0:
		return b.Values[n%len(b.Values)]
	default:
		return "x"
	}
}

// told are the series of a metric, a bucket's bound behind its name, with their values.
func told(m contract.Metric) map[string]string {
	switch m.Type {
	case "counter":
		return map[string]string{m.Name: "0+6x60"}
	case "histogram":
		return map[string]string{
			m.Name + `_bucket le="1"`: "0+5x60", m.Name + `_bucket le="0.25"`: "0+4x60", m.Name + `_bucket le="0.5"`: "0+4x60",
			m.Name + `_bucket le="+Inf"`: "0+6x60", m.Name + "_count": "0+6x60", m.Name + "_sum": "0+6x60",
		}
	default:
		return map[string]string{m.Name: "5x60"}
	}
}

// A panel whose query has a label too many is empty for ever, and nobody notices. The same queries are tried on a running environment,
// where it is known what the exporters tell in truth.
func TestEveryPanelHasAnAnswerWhereEverythingIsTold(t *testing.T) {
	t.Parallel()
	set, err := contract.Load(filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	p := newPrometheus(t, promised(set), time.Minute, "alerts.yml", "objectives.yml")
	p.run(t, time.Minute, 20*time.Minute, func(time.Duration, firing) {})
	panels := 0
	for _, d := range dashboards.All(set) {
		for _, row := range d.Rows {
			for _, panel := range row.Panels {
				panels++
				for _, q := range panel.Queries {
					query, err := p.engine.NewInstantQuery(t.Context(), p.storage, nil, q.Expr, time.Unix(0, 0).Add(20*time.Minute))
					if err != nil {
						t.Fatal(err)
					}
					result := query.Exec(t.Context())
					vector, err := result.Vector()
					if err != nil || len(vector) == 0 {
						t.Errorf("%s, %s: %s has %d answers, %v", d.Name, panel.Title, q.Expr, len(vector), err)
					}
					for _, sample := range vector {
						if legend := rendered(q.Legend, sample.Metric.Map()); strings.TrimSpace(legend) == "" || strings.Contains(legend, "{{") {
							t.Errorf("%s, %s: the legend %q says nothing of %v", d.Name, panel.Title, q.Legend, sample.Metric)
						}
					}
					query.Close()
				}
			}
		}
	}
	t.Logf("%d panels", panels)
}

// rendered is a legend with its labels filled in, where the series has them.
func rendered(legend string, labels map[string]string) string {
	for name, value := range labels {
		legend = strings.ReplaceAll(legend, "{{"+name+"}}", value)
	}
	return legend
}

// read decodes a generated file, and takes no field that the reader does not know.
func read(t *testing.T, into any, strict bool, path ...string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{"..", "dashboards"}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	if strict {
		decoder.DisallowUnknownFields()
	}
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%v: %v", path, err)
	}
}

func TestPanelsStandBesideEachOtherInGrafana(t *testing.T) {
	t.Parallel()
	set, err := contract.Load(filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dashboards.All(set) {
		var page struct {
			UID    string `json:"uid"`
			Panels []struct {
				Title      string                                       `json:"title"`
				Type       string                                       `json:"type"`
				GridPos    struct{ H, W, X, Y int }                     `json:"gridPos"`
				Datasource struct{ UID string }                         `json:"datasource"`
				Targets    []struct{ Expr, RefID, LegendFormat string } `json:"targets"`
			} `json:"panels"`
			Annotations struct {
				List []struct{ Expr string } `json:"list"`
			} `json:"annotations"`
		}
		read(t, &page, false, "grafana", d.Name+".json")
		taken := map[[2]int]string{}
		shown := 0
		for _, p := range page.Panels {
			if p.GridPos.X+p.GridPos.W > 24 || p.GridPos.W == 0 {
				t.Errorf("%s: %s is %d wide at %d", d.Name, p.Title, p.GridPos.W, p.GridPos.X)
			}
			for x := range p.GridPos.W {
				for y := range p.GridPos.H {
					at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
					if other := taken[at]; other != "" {
						t.Fatalf("%s: %s and %s stand at the same place, %v", d.Name, other, p.Title, at)
					}
					taken[at] = p.Title
				}
			}
			if p.Type == "row" {
				continue
			}
			shown++
			if p.Datasource.UID != "prometheus" || len(p.Targets) == 0 {
				t.Errorf("%s: %s asks %q %d things", d.Name, p.Title, p.Datasource.UID, len(p.Targets))
			}
		}
		want := 0
		for _, row := range d.Rows {
			want += len(row.Panels)
		}
		if shown != want || page.UID != "bookshelf-"+d.Name || len(page.Annotations.List) < len(d.Markers) {
			t.Errorf("%s: %d panels of %d, UID %q, %d markers", d.Name, shown, want, page.UID, len(page.Annotations.List))
		}
	}
}

func TestVmuiFindsTheFieldsThatItKnows(t *testing.T) {
	t.Parallel()
	set, err := contract.Load(filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dashboards.All(set) {
		// The fields are those of VictoriaMetrics 1.121.0, app/vmselect/vmui.go.
		var page struct {
			Title, Filename string
			Rows            []struct {
				Title  string
				Panels []struct {
					Title, Description, Unit string
					Expr, Alias              []string
					ShowLegend               *bool
					Width                    int
				}
			}
		}
		read(t, &page, true, "vmui", d.Name+".json")
		if len(page.Rows) < len(d.Rows) || page.Title != d.Title {
			t.Errorf("%s: %q with %d rows; want %d", d.Name, page.Title, len(page.Rows), len(d.Rows))
		}
		for _, row := range page.Rows {
			for _, p := range row.Panels {
				if len(p.Expr) == 0 || len(p.Expr) != len(p.Alias) || p.Width < 4 || p.Width > 12 {
					t.Errorf("%s: %s has %d queries, %d names, width %d", d.Name, p.Title, len(p.Expr), len(p.Alias), p.Width)
				}
			}
		}
	}
}
