// Package observability holds what watches an environment: the rules that Prometheus evaluates, the dashboards, and how Alertmanager
// passes alerts on. Rules and dashboards are written by the module in generate/, from the telemetry contracts.
package observability

import (
	"embed"
	"io/fs"
)

//go:embed rules/*.yml dashboards/grafana/*.json dashboards/vmui/*.json
var files embed.FS

// Rules are Prometheus' rule files, each by its name.
func Rules() fs.FS { return sub("rules") }

// Grafana are the dashboards for Grafana, each by its name.
func Grafana() fs.FS { return sub("dashboards/grafana") }

// Vmui are those for the page of VictoriaMetrics.
func Vmui() fs.FS { return sub("dashboards/vmui") }

// sub is a folder of the embedded ones.
func sub(folder string) fs.FS {
	part, err := fs.Sub(files, folder)
	if err != nil {
		panic(err) // the name is one of ours, and valid
	}
	return part
}
