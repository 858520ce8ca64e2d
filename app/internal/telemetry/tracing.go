package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"bookshelf/app/internal/buildinfo"
)

// TracingOptions say where spans go and which requests have any.
type TracingOptions struct {
	Endpoint *url.URL // of an OTLP collector, without the path of a signal
	Sampler  string   // as OTEL_TRACES_SAMPLER has it
	Ratio    float64  // for the samplers that take one
}

const (
	// maxQueuedSpans bounds the memory of spans that wait for the collector, at about 1 KiB each. What does not fit is
	// dropped: a request never waits for the collector.
	maxQueuedSpans = 2048

	// exportTimeout ends an export to a collector that hangs.
	exportTimeout = 5 * time.Second

	// idleTimeout is a little less than what collectors commonly allow.
	idleTimeout = 30 * time.Second

	// complaintInterval is how often a collector that fails is complained of.
	complaintInterval = time.Minute
)

// Tracing makes the spans of requests and of their statements and sends them to a collector, in the background.
type Tracing struct {
	provider   *sdktrace.TracerProvider
	tracer     trace.Tracer
	propagator propagation.TraceContext
	exporter   *toleratedExporter
}

// NewTracing returns a tracing that is at work. It connects to nothing: the collector may come and go.
func NewTracing(ctx context.Context, o TracingOptions, build buildinfo.Info, logger *slog.Logger) (*Tracing, error) {
	client := &otlpClient{endpoint: o.Endpoint, http: &http.Client{
		Timeout: exportTimeout,
		// Of its own, without the environment's proxies: a collector is in the same network.
		Transport: &http.Transport{MaxIdleConns: 1, IdleConnTimeout: idleTimeout},
	}}
	exporter, err := otlptrace.New(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("prepare the export of traces: %w", err)
	}
	tolerated := &toleratedExporter{SpanExporter: exporter, logger: logger}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(tolerated,
			sdktrace.WithMaxQueueSize(maxQueuedSpans), sdktrace.WithExportTimeout(exportTimeout)),
		sdktrace.WithSampler(sampler(o)),
		sdktrace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "bookd"),
			attribute.String("service.version", build.Version),
		)),
	)
	return &Tracing{provider: provider, tracer: provider.Tracer("bookshelf/app"), exporter: tolerated}, nil
}

// sampler knows the names that the configuration lets through (OpenTelemetry specification, "General SDK Configuration").
func sampler(o TracingOptions) sdktrace.Sampler {
	switch o.Sampler {
	case "always_on":
		return sdktrace.AlwaysSample()
	case "always_off":
		return sdktrace.NeverSample()
	case "traceidratio":
		return sdktrace.TraceIDRatioBased(o.Ratio)
	case "parentbased_always_off":
		return sdktrace.ParentBased(sdktrace.NeverSample())
	case "parentbased_traceidratio":
		return sdktrace.ParentBased(sdktrace.TraceIDRatioBased(o.Ratio))
	default:
		return sdktrace.ParentBased(sdktrace.AlwaysSample())
	}
}

// toleratedExporter writes into the log what goes wrong with the export, but not each time: a collector that is away fails
// every few seconds, and nothing else is wrong. The library's own way is one handler for the whole process.
type toleratedExporter struct {
	sdktrace.SpanExporter

	logger *slog.Logger
	due    atomic.Int64          // when to complain next, in nanoseconds of Unix time
	failed atomic.Pointer[error] // what the last export came to; nil for none so far and for success
}

// ExportSpans implements sdktrace.SpanExporter.
func (e *toleratedExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	if err == nil {
		e.failed.Store(nil)
		return nil
	}
	e.failed.Store(&err)
	now, due := time.Now(), e.due.Load()
	if now.UnixNano() >= due && e.due.CompareAndSwap(due, now.Add(complaintInterval).UnixNano()) {
		e.logger.Warn("traces could not be exported; they are dropped", "error", err)
	}
	return nil
}

// Shutdown sends what is left, as long as ctx allows.
func (t *Tracing) Shutdown(ctx context.Context) error { return t.provider.Shutdown(ctx) }

// Failing returns what the last export failed with, nil when it did not fail or there was none.
func (t *Tracing) Failing() error {
	if err := t.exporter.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// Statements returns the driver's hook that makes a span of each statement, without its arguments.
func (t *Tracing) Statements() pgx.QueryTracer {
	return otelpgx.NewTracer(otelpgx.WithTracerProvider(t.provider), otelpgx.WithTrimSQLInSpanName(),
		otelpgx.WithDisableConnectionDetailsInAttributes())
}

// Request begins the span of a request. Its parent is what the client sent (W3C Trace Context); traceID is "" when the
// request is not sampled. end has to be called once.
func (t *Tracing) Request(r *http.Request) (ctx context.Context, traceID string, end func(route string, status int, err error)) {
	ctx = t.propagator.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx, span := t.tracer.Start(ctx, r.Method, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		attribute.String("http.request.method", r.Method),
		attribute.String("url.path", r.URL.EscapedPath()), // without the query, as in the log
	))
	if !span.IsRecording() {
		return ctx, "", func(string, int, error) {}
	}
	return ctx, span.SpanContext().TraceID().String(), func(route string, status int, err error) {
		// The name must not be a client's invention.
		span.SetName(r.Method + " " + route)
		span.SetAttributes(attribute.String("http.route", route), attribute.Int("http.response.status_code", status))
		if status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
		if err != nil {
			span.RecordError(err)
		}
		span.End()
	}
}
