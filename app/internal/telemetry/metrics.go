package telemetry

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	vm "github.com/VictoriaMetrics/metrics"

	"bookshelf/app/internal/buildinfo"
	_ "bookshelf/app/internal/telemetry/stdlog" // before the metrics library has something to say
)

// durationBuckets are upper bounds in seconds. The larger ones are those OpenTelemetry's semantic conventions advise for
// HTTP; two smaller ones are added because most answers here take less than 5 ms.
var durationBuckets = []float64{.001, .0025, .005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}

// batchBuckets are upper bounds of the number of look-ups that share a statement.
var batchBuckets = []float64{1, 2, 4, 8, 16, 32, 64}

// Kind is the type of a metric family in Prometheus' text format.
type Kind string

// The kinds in use here.
const (
	Counter   Kind = "counter"
	Gauge     Kind = "gauge"
	Histogram Kind = "histogram"
)

// family is a metric's name with its description. Each has a set of its own because the library writes no HELP lines, and
// a set keeps the series of one family together under ours.
type family struct {
	name, help string
	kind       Kind
	series     *vm.Set
	labels     []string // names, up to two, for count

	// known finds a counter without building its name again. It is bounded by what the callers' code can say.
	mu    sync.RWMutex
	known map[[2]string]*vm.Counter
}

// Metrics holds the service's metrics. It is safe for concurrent use.
type Metrics struct {
	version  string
	families []*family // fixed once serving starts

	requests  *family
	durations *family
	active    *vm.Gauge

	tokens, limits, keys *family
	lookUps              *vm.PrometheusHistogram

	// known finds the series of a request without building its name again. It is bounded by routes × methods × statuses,
	// none of which a client can invent.
	known sync.Map // requestLabels → requestSeries
}

// requestLabels are the labels of one series that differ from request to request.
type requestLabels struct {
	route, method string
	status        int
}

// requestSeries are the two series that every answered request adds to.
type requestSeries struct {
	count    *vm.Counter
	duration *vm.PrometheusHistogram
}

// NewMetrics returns the metrics of one process of the given build.
func NewMetrics(build buildinfo.Info) *Metrics {
	m := &Metrics{version: build.Version}
	m.requests = m.family("http_server_requests_total", "Requests answered.", Counter)
	m.durations = m.family("http_server_request_duration_seconds",
		"Time from the end of a request's headers to the end of its response.", Histogram)
	active := m.family("http_server_active_requests", "Requests being answered.", Gauge)
	m.active = active.series.NewGauge(seriesName(active.name, "service_version", m.version), nil)
	m.tokens = m.family("bookd_token_checks_total", "Requests that needed a token, by what became of it.", Counter, "outcome")
	m.limits = m.family("bookd_rate_limit_checks_total", "Requests under a limit, by policy and outcome.", Counter, "policy", "outcome")
	m.keys = m.family("bookd_idempotency_keys_total", "Requests with an Idempotency-Key, by what became of them.", Counter, "outcome")
	sizes := m.family("bookd_db_read_batch_size", "Look-ups of a book that one statement answered.", Histogram)
	m.lookUps = sizes.series.NewPrometheusHistogramExt(sizes.name, batchBuckets)
	m.Func("bookd_build_info", "The build that is running; always 1.", Gauge, func() float64 { return 1 },
		"service_version", build.Version, "revision", build.Revision)
	return m
}

// family appends to the exposition, which keeps the order of registration: what a release is judged by comes first.
// labels are the names of those that count gives values to.
func (m *Metrics) family(name, help string, kind Kind, labels ...string) *family {
	f := &family{
		name: name, help: help, kind: kind, series: vm.NewSet(), labels: labels, known: map[[2]string]*vm.Counter{},
	}
	m.families = append(m.families, f)
	return f
}

// Func adds a family with one series whose value is read at each scrape. labels are names and values in turn. It must not
// be called once the metrics are being scraped.
func (m *Metrics) Func(name, help string, kind Kind, read func() float64, labels ...string) {
	m.family(name, help, kind).series.NewGauge(seriesName(name, labels...), read)
}

// RequestStarted counts a request in; RequestDone counts it out.
func (m *Metrics) RequestStarted() { m.active.Inc() }

// RequestDone records an answered request under its route's template (not its path, which clients choose), its method and
// its status.
func (m *Metrics) RequestDone(route, method string, status int, elapsed time.Duration) {
	m.active.Dec()
	labels := requestLabels{route: route, method: method, status: status}
	found, ok := m.known.Load(labels)
	if !ok {
		found, _ = m.known.LoadOrStore(labels, m.newRequestSeries(labels))
	}
	series := found.(requestSeries)
	series.count.Inc()
	series.duration.Update(elapsed.Seconds())
}

// TokenChecked counts a request that needed a token: accepted, missing, refused, forbidden (by its scopes), or unverified
// (the store could not tell).
func (m *Metrics) TokenChecked(outcome string) { m.tokens.count([2]string{outcome}) }

// LimitChecked counts a request under a policy of limits: allowed or refused.
func (m *Metrics) LimitChecked(policy, outcome string) {
	m.limits.count([2]string{policy, outcome})
}

// KeyUsed counts a request with an Idempotency-Key: created, replayed, or failed.
func (m *Metrics) KeyUsed(outcome string) { m.keys.count([2]string{outcome}) }

// LookedUp counts a statement that answered so many look-ups.
func (m *Metrics) LookedUp(size int) { m.lookUps.Update(float64(size)) }

// count adds to the series whose labels have these values.
func (f *family) count(values [2]string) {
	f.mu.RLock()
	counter := f.known[values]
	f.mu.RUnlock()
	if counter == nil {
		var labels []string
		for i, name := range f.labels {
			labels = append(labels, name, values[i])
		}
		counter = f.series.GetOrCreateCounter(seriesName(f.name, labels...))
		f.mu.Lock()
		f.known[values] = counter
		f.mu.Unlock()
	}
	counter.Inc()
}

// newRequestSeries may run for the same labels in several requests at once; the sets return the same series to all.
func (m *Metrics) newRequestSeries(l requestLabels) requestSeries {
	labels := []string{
		"http_route", l.route,
		"http_request_method", l.method,
		"http_response_status_code", strconv.Itoa(l.status),
		"service_version", m.version,
	}
	return requestSeries{
		count:    m.requests.series.GetOrCreateCounter(seriesName(m.requests.name, labels...)),
		duration: m.durations.series.GetOrCreatePrometheusHistogramExt(seriesName(m.durations.name, labels...), durationBuckets),
	}
}

// WritePrometheus writes everything in Prometheus' text format, with the Go runtime's and the process' own metrics last.
func (m *Metrics) WritePrometheus(w io.Writer) {
	for _, f := range m.families {
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", f.name, f.help, f.name, f.kind)
		f.series.WritePrometheus(w)
	}
	// Without HELP and TYPE, which the format makes optional: the library knows them only through a global switch.
	vm.WriteProcessMetrics(w)
}

// seriesName writes name{label="value",…}; values are quoted as the text format wants it.
func seriesName(name string, labels ...string) string {
	var b strings.Builder
	b.WriteString(name)
	for i := 0; i+1 < len(labels); i += 2 {
		separator := ","
		if i == 0 {
			separator = "{"
		}
		b.WriteString(separator + labels[i] + `="` + escape.Replace(labels[i+1]) + `"`)
	}
	if len(labels) > 0 {
		b.WriteByte('}')
	}
	return b.String()
}

var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
