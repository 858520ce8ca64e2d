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
)

// statusClientGone is what the log and the metrics say when the client left before its answer; nothing is sent. The number
// is nginx', which operators know.
const statusClientGone = 499

// recorder remembers what was sent.
type recorder struct {
	http.ResponseWriter

	api    *API
	in     *info
	status int // 0 until the header is sent
	bytes  int64
}

// WriteHeader implements http.ResponseWriter.
func (rec *recorder) WriteHeader(status int) {
	if rec.status == 0 && status >= http.StatusOK { // 1xx is not the answer yet
		rec.status = status
	}
	rec.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter; as there, the first call sends a 200 when no header was sent.
func (rec *recorder) Write(p []byte) (int, error) {
	if rec.status == 0 {
		rec.status = http.StatusOK
	}
	n, err := rec.ResponseWriter.Write(p)
	rec.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (rec *recorder) Unwrap() http.ResponseWriter { return rec.ResponseWriter }

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
		in := &info{start: time.Now(), id: requestID(r.Header), route: unmatched, client: a.clientAddress(r)}
		h := w.Header()
		h.Set(requestIDHeader, in.id)
		maps.Copy(h, fixed)
		if a.draining.Load() {
			// Connections end with a response, in order. Closing idle ones later would race with a request on its way.
			h.Set("Connection", "close")
		}
		rec := &recorder{ResponseWriter: w, api: a, in: in}
		next.ServeHTTP(rec, r.WithContext(context.WithValue(r.Context(), infoKey{}, in)))
	})
}

// outcome is the status to log and to count, once the inner handlers are done.
func outcome(w http.ResponseWriter, in *info) int {
	if in.status != 0 {
		return in.status
	}
	if status := w.(*recorder).status; status != 0 {
		return status
	}
	return http.StatusOK // net/http sends it for a handler that wrote nothing
}

// withAccessLog writes one line per request. It runs deferred, because an aborted request panics through it.
func (a *API) withAccessLog(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			in := infoFrom(r.Context())
			status := outcome(w, in)
			attrs := []slog.Attr{
				slog.String("request_id", in.id),
				slog.String("http_route", in.route),
				slog.String("method", r.Method),
				slog.String("path", r.URL.EscapedPath()), // without the query: searches are the reader's own business
				slog.Int("status", status),
				slog.Float64("duration", time.Since(in.start).Seconds()),
				slog.Int64("response_bytes", w.(*recorder).bytes),
				slog.String("client", r.RemoteAddr),
			}
			if len(a.TrustedProxies) > 0 {
				attrs = append(attrs, slog.String("client_address", in.client.String()))
			}
			if in.trace != "" {
				attrs = append(attrs, slog.String("trace_id", in.trace))
			}
			if in.token != "" {
				attrs = append(attrs, slog.String("token", in.token))
			}
			if in.err != nil {
				attrs = append(attrs, slog.String("error", in.err.Error()))
			}
			a.Logger.LogAttrs(r.Context(), a.logLevel(in.route, status), "request", attrs...)
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
		in := infoFrom(r.Context())
		ctx, id, end := a.Tracer.Request(r)
		in.trace = id
		defer func() { end(in.route, outcome(w, in), in.err) }()
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
			in := infoFrom(r.Context())
			a.Metrics.RequestDone(in.route, methodLabel(r.Method), outcome(w, in), time.Since(in.start))
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
			in := infoFrom(r.Context())
			if err, ok := value.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				if in.status == 0 {
					in.status = http.StatusInternalServerError
				}
				panic(value)
			}
			in.err = fmt.Errorf("panic: %v", value)
			a.Logger.LogAttrs(r.Context(), slog.LevelError, "panic in a handler",
				slog.String("request_id", in.id),
				slog.String("trace_id", in.trace),
				slog.String("http_route", in.route),
				slog.Any("panic", fmt.Sprint(value)),
				slog.String("stack", string(debug.Stack())))
			// The status that was sent said that all is well; the log and the metrics must not.
			if w.(*recorder).status != 0 {
				in.status = http.StatusInternalServerError
				panic(http.ErrAbortHandler)
			}
			a.fail(w, r, in.err)
		}()
		next.ServeHTTP(w, r)
	})
}

// withDeadline bounds the time from the headers of a request to its answer, so that neither a slow database nor a slow
// client can keep requests piling up.
func (a *API) withDeadline(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		infoFrom(r.Context()).connection = r.Context()
		ctx, cancel := context.WithTimeout(r.Context(), a.RequestTimeout)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}
