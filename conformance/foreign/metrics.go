package main

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// labels tell one series from another.
type labels struct {
	route, method string
	status        int
}

// bounds are the upper ones of the histogram's buckets, in seconds.
var bounds = [...]float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// histogram counts answers by how long they took.
type histogram struct {
	buckets [len(bounds)]int // each with the quicker ones
	count   int
	sum     float64 // seconds
}

// recorder remembers the status that was sent.
type recorder struct {
	http.ResponseWriter

	status int
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// measured puts the version on every answer and counts it.
func (s *service) measured(next *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		s.active.Add(1)
		defer s.active.Add(-1)
		w.Header().Set("X-Bookshelf-Version", version)
		if s.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		rec := &recorder{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(rec, r)
		_, route, _ := strings.Cut(r.Pattern, " ")
		s.count(labels{cmp.Or(route, "unmatched"), r.Method, rec.status}, time.Since(began).Seconds())
	})
}

func (s *service) count(l labels, seconds float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.answered[l]
	if h == nil {
		h = &histogram{}
		s.answered[l] = h
	}
	h.count++
	h.sum += seconds
	for i, bound := range bounds {
		if seconds <= bound {
			h.buckets[i]++
		}
	}
}

// metrics writes Prometheus' text format.
func (s *service) metrics(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	const total, duration = "http_server_requests_total", "http_server_request_duration_seconds"
	var totals, durations strings.Builder
	for l, h := range s.answered {
		series := fmt.Sprintf("http_route=%q,http_request_method=%q,http_response_status_code=\"%d\",service_version=%q", l.route, l.method, l.status, version)
		fmt.Fprintf(&totals, "%s{%s} %d\n", total, series, h.count)
		for i, bound := range bounds {
			fmt.Fprintf(&durations, "%s_bucket{%s,le=\"%g\"} %d\n", duration, series, bound, h.buckets[i])
		}
		fmt.Fprintf(&durations, "%s_bucket{%s,le=\"+Inf\"} %d\n%s_sum{%s} %g\n%s_count{%s} %d\n",
			duration, series, h.count, duration, series, h.sum, duration, series, h.count)
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	fmt.Fprintf(w, "# TYPE %s counter\n%s# TYPE %s histogram\n%s# TYPE http_server_active_requests gauge\nhttp_server_active_requests{service_version=%q} %d\n",
		total, totals.String(), duration, durations.String(), version, s.active.Load())
}
