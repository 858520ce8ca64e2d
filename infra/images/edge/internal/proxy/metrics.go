package proxy

import (
	"context"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddytls"
	"github.com/prometheus/client_golang/prometheus"

	"bookshelf/edge/internal/slots"
)

// collector reads its values when it is asked, so no number is kept twice. It describes nothing beforehand: the labels
// depend on the slots.
type collector func(chan<- prometheus.Metric)

// Describe implements prometheus.Collector.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) { c(out) }

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	requestsDesc  = describe("edge_slot_requests_total", "Requests that a slot has ended, by class of status; none is no whole answer.", "slot", "code")
	weightDesc    = describe("edge_slot_weight", "Share of traffic of a slot, in per cent.", "slot")
	inFlightDesc  = describe("edge_slot_in_flight", "Requests in flight on a slot's replicas.", "slot")
	drainingDesc  = describe("edge_slot_draining", "Requests in flight on replicas that were removed from a slot.", "slot")
	healthyDesc   = describe("edge_replica_healthy", "Whether a replica is ready.", "slot", "replica")
	genDesc       = describe("edge_generation", "Number of the slots' last change.")
	stateErrDesc  = describe("edge_state_errors", "How often the state could not be read or kept since the start.")
	leaseDesc     = describe("edge_lease", "Whether the weights are leased.")
	expiryDesc    = describe("edge_certificate_expiry_timestamp_seconds", "When the served certificate of a host expires.", "host")
	lifetimeDesc  = describe("edge_certificate_lifetime_seconds", "How long the served certificate of a host is valid in all; 0 for none.", "host")
	failingDesc   = describe("edge_certificate_failing", "Whether the last attempt to get a host's certificate failed.", "host")
	lastFailDesc  = describe("edge_certificate_last_failure_timestamp_seconds", "When an attempt to get a host's certificate failed last; 0 for never.", "host")
	obtainedTotal = describe("edge_certificate_obtained_total", "Certificates of a host that were obtained since the start.", "host")
)

// tableMetrics tells about the slots.
func tableMetrics(table *slots.Table) collector {
	return func(out chan<- prometheus.Metric) {
		gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
			out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
		}
		for slot, byClass := range table.Requests() {
			for class, n := range byClass {
				out <- prometheus.MustNewConstMetric(requestsDesc, prometheus.CounterValue, float64(n), slot, class)
			}
		}
		state := table.State()
		for name, slot := range state.Slots {
			gauge(weightDesc, float64(slot.Weight), name)
			gauge(inFlightDesc, float64(slot.InFlight), name)
			for _, r := range slot.Replicas {
				gauge(healthyDesc, truth(r.Healthy), name, r.Address)
			}
		}
		for name, n := range state.Draining {
			gauge(drainingDesc, float64(n), name)
		}
		gauge(genDesc, float64(state.Generation))
		gauge(stateErrDesc, float64(state.StateErrors))
		gauge(leaseDesc, truth(state.Lease != nil))
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// certificates follows what becomes of the certificates of some hosts.
type certificates struct {
	mu    sync.Mutex
	hosts map[string]*history
}

type history struct {
	failing  bool
	failedAt time.Time
	obtained int
}

// watchCertificates listens to Caddy's events about the hosts' certificates.
func watchCertificates(ctx caddy.Context, hosts []string) (*certificates, error) {
	c := &certificates{hosts: map[string]*history{}}
	for _, host := range hosts {
		c.hosts[host] = &history{}
	}
	app, err := ctx.App("events")
	if err != nil {
		return nil, err
	}
	for _, event := range []string{"cert_obtained", "cert_failed"} {
		if err := app.(*caddyevents.App).On(event, c); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Handle implements caddyevents.Handler.
func (c *certificates) Handle(_ context.Context, event caddy.Event) error {
	name, _ := event.Data["identifier"].(string)
	c.mu.Lock()
	defer c.mu.Unlock()
	host, known := c.hosts[name]
	if !known {
		return nil
	}
	host.failing = event.Name() == "cert_failed"
	if host.failing {
		host.failedAt = event.Timestamp()
	} else {
		host.obtained++
	}
	return nil
}

// metrics is a collector.
func (c *certificates) metrics(out chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, host := range c.hosts {
		gauge := func(desc *prometheus.Desc, value float64) {
			out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, name)
		}
		gauge(failingDesc, truth(host.failing))
		gauge(lastFailDesc, seconds(host.failedAt))
		out <- prometheus.MustNewConstMetric(obtainedTotal, prometheus.CounterValue, float64(host.obtained), name)
		var expires time.Time
		var lifetime time.Duration
		for _, cert := range caddytls.AllMatchingCertificates(name) {
			if cert.Leaf != nil && cert.Leaf.NotAfter.After(expires) {
				expires, lifetime = cert.Leaf.NotAfter, cert.Leaf.NotAfter.Sub(cert.Leaf.NotBefore)
			}
		}
		gauge(expiryDesc, seconds(expires))
		gauge(lifetimeDesc, lifetime.Seconds())
	}
}

// seconds is a moment as Prometheus has them; 0 for none.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.Unix())
}
