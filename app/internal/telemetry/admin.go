package telemetry

import (
	"bytes"
	"fmt"
	"net/http"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"time"
)

// maxProfile bounds how long one CPU profile or execution trace may run: both slow the process down.
const maxProfile = time.Minute

// AdminHandler serves what operators need and clients must not reach: /metrics, ready at /readyz, and runtime profiles under
// /debug/pprof/ in the forms that `go tool pprof` and `go tool trace` fetch.
//
// net/http/pprof would add 0.3 MB to a binary of 11 MB, most of it for its HTML index and for profiles of differences.
func AdminHandler(m *Metrics, ready http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /readyz", ready)
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		// Into a buffer first: a slow scraper must not hold the locks of the series.
		var b bytes.Buffer
		m.WritePrometheus(&b)
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = w.Write(b.Bytes())
	})
	mux.HandleFunc("GET /debug/pprof/{name}", serveProfile)
	mux.HandleFunc("GET /debug/pprof/profile", serveSampled(30*time.Second, func(w http.ResponseWriter) (func(), error) {
		return pprof.StopCPUProfile, pprof.StartCPUProfile(w)
	}))
	mux.HandleFunc("GET /debug/pprof/trace", serveSampled(time.Second, func(w http.ResponseWriter) (func(), error) {
		return trace.Stop, trace.Start(w)
	}))
	return mux
}

// serveProfile writes one of the runtime's named profiles (heap, goroutine, allocs, …), as text with ?debug=1.
func serveProfile(w http.ResponseWriter, r *http.Request) {
	profile := pprof.Lookup(r.PathValue("name"))
	if profile == nil {
		http.Error(w, "unknown profile", http.StatusNotFound)
		return
	}
	debug := 0
	if text := r.URL.Query().Get("debug"); text != "" {
		var err error
		if debug, err = strconv.Atoi(text); err != nil || debug < 0 || debug > 2 {
			http.Error(w, "debug must be 0, 1 or 2", http.StatusBadRequest)
			return
		}
	}
	if debug == 0 {
		w.Header().Set("Content-Type", "application/octet-stream")
	} else {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	_ = profile.WriteTo(w, debug) // the status is sent; a client that left is not our error
}

// serveSampled runs a profile for ?seconds= seconds. start begins it and returns how to end it.
func serveSampled(fallback time.Duration, start func(http.ResponseWriter) (func(), error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		length := fallback
		if text := r.URL.Query().Get("seconds"); text != "" {
			seconds, err := strconv.ParseFloat(text, 64)
			length = time.Duration(seconds * float64(time.Second))
			if err != nil || !(length > 0 && length <= maxProfile) {
				http.Error(w, fmt.Sprintf("seconds must be a number above 0 and up to %v", maxProfile.Seconds()), http.StatusBadRequest)
				return
			}
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		stop, err := start(w)
		if err != nil {
			// Only one can run at a time, and another is.
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		defer stop()
		timer := time.NewTimer(length)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
		}
	}
}
