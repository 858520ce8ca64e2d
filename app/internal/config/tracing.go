package config

import (
	"net/url"
	"strconv"
)

// Tracing says where the spans of requests go.
type Tracing struct {
	Endpoint *url.URL // of an OTLP collector, over HTTP; nil for no tracing
	Sampler  string   // one of OpenTelemetry's names
	Ratio    float64  // from 0 to 1, for samplers that take one
}

// tracing reads variables that bear OpenTelemetry's names, so that they are set once for all services. Of its values only
// those are taken that mean something here.
func (b *binder) tracing(c *Tracing) {
	const endpoint, ratio = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER_ARG"
	shown := ""
	if text, ok := b.get(endpoint, ""); ok && text != "" {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" {
			// Not the text itself: someone may have put a password into it.
			b.problem("%s: must be the URL of a collector such as http://collector:4318, without user or query", endpoint)
		} else {
			c.Endpoint, shown = u, u.String()
		}
	}
	b.remember(Variable{Name: endpoint, Value: shown})
	b.oneOf(&c.Sampler, "OTEL_TRACES_SAMPLER", "parentbased_always_on", "always_on", "always_off", "traceidratio",
		"parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio")
	if text, ok := b.get(ratio, "1"); ok {
		share, err := strconv.ParseFloat(text, 64)
		if err != nil || !(share >= 0 && share <= 1) {
			b.problem("%s: must be a number from 0 to 1, is %q", ratio, text)
		} else {
			c.Ratio = share
		}
	}
	b.remember(Variable{Name: ratio, Default: "1", Value: strconv.FormatFloat(c.Ratio, 'g', -1, 64)})
}
