// Package dashboards writes the dashboards once, and emits them for Grafana and for vmui.
package dashboards

import "bookshelf/infra/observability/generate/contract"

// Query is one query of a panel; Legend names its series by labels in double braces.
type Query struct {
	Expr, Legend string
}

// Panel is one graph.
type Panel struct {
	Title, About string
	Unit         Unit
	Queries      []Query
	// Optional says that there is nothing to show where an environment has no backups, no drills, or no autoscaler.
	Optional bool
}

// Unit is what a panel's values are in.
type Unit string

// The units, as Grafana names them.
const (
	Number    Unit = "short"
	PerSecond Unit = "reqps"
	Share     Unit = "percentunit" // 0 to 1
	Percent   Unit = "percent"     // 0 to 100
	Seconds   Unit = "s"
	Bytes     Unit = "bytes"
)

// Row is a line of panels under a heading.
type Row struct {
	Title  string
	Panels []Panel
}

// Dashboard is one page.
type Dashboard struct {
	Name, Title string // Name is that of its file
	Rows        []Row
	// Markers say when something happened that explains what is seen.
	Markers []Marker
}

// Marker is a line across all graphs at each moment for which Expr has a value.
type Marker struct {
	Title, Expr, Legend string
}

// window is that of every rate: long enough for four scrapes, short enough to see a release.
const window = "[2m]"

// released marks the moment from which a version serves that did not before.
var released = Marker{
	Title: "Releases", Legend: "{{service_version}} serves",
	Expr: "count by (service_version) (http_server_active_requests) unless count by (service_version) (http_server_active_requests offset 1m)",
}

// All returns every dashboard.
func All(set *contract.Set) []Dashboard {
	return []Dashboard{service(set), objectives(), releases(), edge(), database(), backup(), host()}
}

// one is a panel with a single query.
func one(title, about string, unit Unit, expr, legend string) Panel {
	return Panel{Title: title, About: about, Unit: unit, Queries: []Query{{expr, legend}}}
}

// maybe is a panel that an environment can be without.
func maybe(p Panel) Panel {
	p.Optional = true
	return p
}
