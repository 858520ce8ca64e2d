package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
	"time"

	"bookshelf/app/internal/httpapi/exchange"
)

// withRequest gives the request its ID and its info, and every response the headers that all have.
func (a *API) withRequest(next http.Handler) http.Handler {
	// All responses share the values, whose slices are full: whoever adds to one makes a copy.
	fixed := http.Header{
		"X-Bookshelf-Version":    {a.Build.Version},
		"X-Content-Type-Options": {"nosniff"},
		"Cache-Control":          {"no-store"},
		// Nothing here is a page: whatever a browser is made to see in an answer, it must not run it, frame it, or tell
		// where it came from.
		"Content-Security-Policy": {"default-src 'none'; frame-ancestors 'none'"},
		"Referrer-Policy":         {"no-referrer"},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in := &exchange.Info{
			Start: time.Now(), ID: exchange.RequestID(r.Header), Route: unmatched, Client: a.guard.ClientAddress(r),
		}
		h := w.Header()
		h.Set(exchange.RequestIDHeader, in.ID)
		maps.Copy(h, fixed)
		if a.draining.Load() {
			// Connections end with a response, in order. Closing idle ones later would race with a request on its way.
			h.Set("Connection", "close")
		}
		rec, r := exchange.Begin(w, r, in)
		next.ServeHTTP(rec, r)
	})
}

// withAccessLog writes one line per request. It runs deferred, because an aborted request panics through it.
func (a *API) withAccessLog(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			in, rec := exchange.From(r.Context()), w.(*exchange.Recorder)
			status := rec.Outcome()
			attrs := []slog.Attr{
				slog.String("request_id", in.ID),
				slog.String("http_route", in.Route),
				slog.String("method", r.Method),
				slog.String("path", r.URL.EscapedPath()), // without the query: searches are the reader's own business
				slog.Int("status", status),
				slog.Float64("duration", time.Since(in.Start).Seconds()),
				slog.Int64("response_bytes", rec.Bytes),
				slog.String("client", r.RemoteAddr),
			}
			if len(a.Guard.TrustedProxies) > 0 {
				attrs = append(attrs, slog.String("client_address", in.Client.String()))
			}
			if in.Trace != "" {
				attrs = append(attrs, slog.String("trace_id", in.Trace))
			}
			if in.Token != "" {
				attrs = append(attrs, slog.String("token", in.Token))
			}
			if in.Err != nil {
				attrs = append(attrs, slog.String("error", in.Err.Error()))
			}
			a.Logger.LogAttrs(r.Context(), a.logLevel(in.Route, status), "request", attrs...)
		}()
		next.ServeHTTP(w, r)
	})
}

// withTracing makes a span of each request. It stands inside of what logs, which names the trace, and runs deferred as
// that does.
func (a *API) withTracing(next http.Handler) http.Handler {
	if a.Tracer == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in := exchange.From(r.Context())
		ctx, id, end := a.Tracer.Request(r)
		in.Trace = id
		defer func() { end(in.Route, w.(*exchange.Recorder).Outcome(), in.Err) }()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// logLevel keeps successful probes, several a second, out of the log, and makes what needs a look stand out.
func (a *API) logLevel(route string, status int) slog.Level {
	switch {
	case status == http.StatusServiceUnavailable && a.draining.Load():
		return slog.LevelInfo // as intended
	case status == http.StatusServiceUnavailable:
		return slog.LevelWarn
	case status >= http.StatusInternalServerError:
		return slog.LevelError
	case status < http.StatusBadRequest && (route == livePath || route == readyPath):
		return slog.LevelDebug
	default:
		return slog.LevelInfo
	}
}

// withMetrics counts the request in and out. It runs deferred for the same reason, or an aborted request would be counted
// as active for ever.
func (a *API) withMetrics(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.Metrics.RequestStarted()
		defer func() {
			in := exchange.From(r.Context())
			a.Metrics.RequestDone(in.Route, methodLabel(r.Method), w.(*exchange.Recorder).Outcome(), time.Since(in.Start))
		}()
		next.ServeHTTP(w, r)
	})
}

// methodLabel keeps clients from making up label values; the name for others is OpenTelemetry's.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return method
	default:
		return "_OTHER"
	}
}

// withRecovery turns a panic into a 500, or cuts the connection when part of another answer is already sent: a truncated
// response must not look complete.
func (a *API) withRecovery(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			value := recover()
			if value == nil {
				return
			}
			in := exchange.From(r.Context())
			if err, ok := value.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				if in.Status == 0 {
					in.Status = http.StatusInternalServerError
				}
				panic(value)
			}
			in.Err = fmt.Errorf("panic: %v", value)
			a.Logger.LogAttrs(r.Context(), slog.LevelError, "panic in a handler",
				slog.String("request_id", in.ID),
				slog.String("trace_id", in.Trace),
				slog.String("http_route", in.Route),
				slog.Any("panic", fmt.Sprint(value)),
				slog.String("stack", string(debug.Stack())))
			// The status that was sent said that all is well; the log and the metrics must not.
			if w.(*exchange.Recorder).Status != 0 {
				in.Status = http.StatusInternalServerError
				panic(http.ErrAbortHandler)
			}
			exchange.Fail(w, r, in.Err)
		}()
		next.ServeHTTP(w, r)
	})
}

// withDeadline bounds the time from the headers of a request to its answer, so that neither a slow database nor a slow
// client can keep requests piling up.
func (a *API) withDeadline(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		exchange.From(r.Context()).Connection = r.Context()
		ctx, cancel := context.WithTimeout(r.Context(), a.RequestTimeout)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}
