// Package telemetry makes the service observable: JSON log lines, Prometheus metrics, OpenTelemetry traces and runtime
// profiles.
package telemetry

import (
	"context"
	"io"
	"log/slog"

	"bookshelf/app/internal/buildinfo"
)

// NewLogger returns a logger that writes one JSON object per line, in UTC, each with the service's version: while a
// release runs, two versions write into the same stream.
func NewLogger(w io.Writer, level slog.Level) *slog.Logger {
	handler := slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})
	return slog.New(utcHandler{handler}).With(slog.String("service_version", buildinfo.Get().Version))
}

// utcHandler turns the time of each record to UTC. The handler's own way, ReplaceAttr, would be called for every attribute
// of every line.
type utcHandler struct {
	slog.Handler
}

// Handle implements slog.Handler.
func (h utcHandler) Handle(ctx context.Context, r slog.Record) error {
	r.Time = r.Time.UTC()
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h utcHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return utcHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h utcHandler) WithGroup(name string) slog.Handler { return utcHandler{h.Handler.WithGroup(name)} }
