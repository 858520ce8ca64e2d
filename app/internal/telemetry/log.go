// Package telemetry makes the service observable: JSON log lines, Prometheus metrics and runtime profiles.
package telemetry

import (
	"io"
	"log/slog"

	"bookshelf/app/internal/buildinfo"
)

// NewLogger returns a logger that writes one JSON object per line, in UTC, each with the service's version: while a
// release runs, two versions write into the same stream.
func NewLogger(w io.Writer, level slog.Level) *slog.Logger {
	handler := slog.NewJSONHandler(w, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				a.Value = slog.TimeValue(a.Value.Time().UTC())
			}
			return a
		},
	})
	return slog.New(handler).With(slog.String("service_version", buildinfo.Get().Version))
}
