package telemetry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bookshelf/app/internal/buildinfo"
)

func TestMetricsAreThoseOfTheContract(t *testing.T) {
	t.Parallel()
	m := NewMetrics(buildinfo.Info{Version: `v1"2\3`, Revision: "abc"})
	m.RequestStarted()
	m.RequestStarted()
	m.RequestDone("/api/v1/books/{id}", "GET", 200, 3*time.Millisecond)
	var b bytes.Buffer
	m.WritePrometheus(&b)
	got := b.String()
	labels := `{http_route="/api/v1/books/{id}",http_request_method="GET",http_response_status_code="200",service_version="v1\"2\\3"`
	for _, want := range []string{
		"# TYPE http_server_requests_total counter\nhttp_server_requests_total" + labels + "} 1\n",
		"# TYPE http_server_request_duration_seconds histogram\n",
		"http_server_request_duration_seconds_bucket" + labels + `,le="0.0025"} 0` + "\n",
		"http_server_request_duration_seconds_bucket" + labels + `,le="0.005"} 1` + "\n",
		"http_server_request_duration_seconds_bucket" + labels + `,le="+Inf"} 1` + "\n",
		"http_server_request_duration_seconds_sum" + labels + "} 0.003\n",
		"http_server_request_duration_seconds_count" + labels + "} 1\n",
		"# TYPE http_server_active_requests gauge\nhttp_server_active_requests{service_version=\"v1\\\"2\\\\3\"} 1\n",
		`bookd_build_info{service_version="v1\"2\\3",revision="abc"} 1` + "\n",
		"\ngo_goroutines ",
		"\nprocess_start_time_seconds ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in:\n%s", want, got)
		}
	}
}

func TestOutcomesAndBatchesAreCounted(t *testing.T) {
	t.Parallel()
	m := NewMetrics(buildinfo.Info{Version: "v1"})
	m.TokenChecked("accepted")
	m.TokenChecked("accepted")
	m.TokenChecked("missing")
	m.LimitChecked("address", "refused")
	m.KeyUsed("replayed")
	m.LookedUp(1)
	m.LookedUp(20)
	var b bytes.Buffer
	m.WritePrometheus(&b)
	for _, want := range []string{
		"# TYPE bookd_token_checks_total counter\n",
		`bookd_token_checks_total{outcome="accepted"} 2` + "\n",
		`bookd_token_checks_total{outcome="missing"} 1` + "\n",
		`bookd_rate_limit_checks_total{policy="address",outcome="refused"} 1` + "\n",
		`bookd_idempotency_keys_total{outcome="replayed"} 1` + "\n",
		`bookd_db_read_batch_size_bucket{le="1"} 1` + "\n",
		`bookd_db_read_batch_size_bucket{le="32"} 2` + "\n",
		"bookd_db_read_batch_size_sum 21\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, b.String())
		}
	}
}

// The format forbids a family in two places and a series twice; Prometheus drops such a scrape as a whole.
func TestExpositionHoldsEachFamilyAndSeriesOnce(t *testing.T) {
	t.Parallel()
	m := NewMetrics(buildinfo.Info{Version: "v1"})
	m.Func("x_total", "X.", Counter, func() float64 { return 7 })
	for _, status := range []int{200, 404, 200} {
		m.RequestStarted()
		m.RequestDone("/a", "GET", status, time.Second)
	}
	var b bytes.Buffer
	m.WritePrometheus(&b)
	line := regexp.MustCompile(`^([a-z_]+)(\{.*\})? [-+.eE0-9]+(Inf|NaN)?$`)
	var families, series []string
	for text := range strings.Lines(b.String()) {
		text = strings.TrimSuffix(text, "\n")
		if strings.HasPrefix(text, "# ") {
			if fields := strings.Fields(text); len(fields) < 4 || fields[1] == "TYPE" && slices.Contains(families, fields[2]) {
				t.Errorf("comment %q", text)
			}
			continue
		}
		match := line.FindStringSubmatch(text)
		if match == nil {
			t.Errorf("line %q is not in the text format", text)
			continue
		}
		family := match[1]
		if strings.HasPrefix(family, "http_") || strings.HasPrefix(family, "x_") {
			if n := len(families); n == 0 || families[n-1] != family {
				families = append(families, family)
			}
		}
		if key := match[1] + match[2]; slices.Contains(series, key) {
			t.Errorf("series %s is there twice", key)
		} else {
			series = append(series, key)
		}
	}
	if !slices.Contains(series, "x_total") {
		t.Error("the family that was added is missing")
	}
}

func TestAdminServesMetricsAndProfiles(t *testing.T) {
	t.Parallel()
	handler := AdminHandler(NewMetrics(buildinfo.Info{Version: "v1"}), http.NotFoundHandler())
	tests := []struct {
		method, target string
		status         int
		contentType    string
	}{
		{"GET", "/metrics", 200, "text/plain; version=0.0.4; charset=utf-8"},
		{"POST", "/metrics", 405, ""},
		{"GET", "/", 404, ""},
		{"GET", "/debug/pprof/heap", 200, "application/octet-stream"},
		{"GET", "/debug/pprof/goroutine?debug=1", 200, "text/plain; charset=utf-8"},
		{"GET", "/debug/pprof/goroutine?debug=9", 400, ""},
		{"GET", "/debug/pprof/nonsense", 404, ""},
		{"GET", "/debug/pprof/trace?seconds=0.01", 200, "application/octet-stream"},
		{"GET", "/debug/pprof/profile?seconds=0.01", 200, "application/octet-stream"},
		{"GET", "/debug/pprof/profile?seconds=0", 400, ""},
		{"GET", "/debug/pprof/profile?seconds=NaN", 400, ""},
		{"GET", "/debug/pprof/profile?seconds=61", 400, ""},
	}
	for _, test := range tests { // one after the other: the runtime takes one CPU profile at a time
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), test.method, test.target, http.NoBody))
		if w.Code != test.status || test.contentType != "" && w.Header().Get("Content-Type") != test.contentType {
			t.Errorf("%s %s: %d %s, want %d %s", test.method, test.target, w.Code, w.Header().Get("Content-Type"), test.status, test.contentType)
		}
		if test.status == 200 && w.Body.Len() == 0 {
			t.Errorf("%s: empty", test.target)
		}
	}
}

func TestLogLinesAreJSONInUTC(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	logger := NewLogger(&b, slog.LevelInfo)
	logger.Debug("not this")
	logger.Info("hello", "text", "two\nlines")
	var line struct {
		Time           string
		Level, Msg     string
		Text           string
		ServiceVersion string `json:"service_version"`
	}
	if err := json.Unmarshal(b.Bytes(), &line); err != nil {
		t.Fatalf("%q: %v", b.String(), err)
	}
	if !strings.HasSuffix(line.Time, "Z") || strings.Count(b.String(), "\n") != 1 {
		t.Errorf("line = %q, want one line with a time in UTC", b.String())
	}
	got := fmt.Sprint(line.Level, line.Msg, line.Text, line.ServiceVersion)
	if diff := cmp.Diff("INFOhellotwo\nlinesdev", got); diff != "" {
		t.Error(diff)
	}
}

func TestTheGlobalLoggerIsSilent(t *testing.T) {
	t.Parallel()
	if log.Writer() != io.Discard {
		t.Error("libraries can write plain text into the log")
	}
}
