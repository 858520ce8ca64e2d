package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
)

func TestTheTimeIsDividedAmongTheMeasurements(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		wanted  string
		rounds  int
		seconds int
	}{{"", 5, 3}, {"300", 5, 3}, {"60", 3, 1}, {"150", 5, 1}, {"30", 3, 1}, {"600", 5, 7}} {
		got, err := plan(c.wanted, 5)
		if err != nil || got.rounds != c.rounds || got.seconds != c.seconds {
			t.Errorf("plan(%q) = %+v, %v; want %d rounds of %d s", c.wanted, got, err, c.rounds, c.seconds)
		}
	}
	for _, wanted := range []string{"29", "3601", "a minute", "60s"} {
		if _, err := plan(wanted, 5); err == nil || !strings.Contains(err.Error(), "BENCH_SECONDS") {
			t.Errorf("plan(%q): %v, want an error that names BENCH_SECONDS", wanted, err)
		}
	}
}

func TestRatiosAreOfTheSameRound(t *testing.T) {
	t.Parallel()
	// The second round ran on a machine of half the speed, which changes no ratio.
	m := measurement{Service: []float64{400, 200, 600}, PostgreSQL: []float64{1000, 500, 1000}, HTTP: []float64{1000, 500, 1000}}
	if got, want := m.ofLimit(), (spread{Median: 0.8, Min: 0.8, Max: 1.2}); !near(got, want) {
		t.Errorf("of the limit: %+v, want %+v", got, want)
	}
	if got, want := m.ofPostgreSQL(), (spread{Median: 0.4, Min: 0.4, Max: 0.6}); !near(got, want) {
		t.Errorf("of PostgreSQL: %+v, want %+v", got, want)
	}
}

func TestWithoutAStatementTheLimitIsThatOfHTTP(t *testing.T) {
	t.Parallel()
	m := measurement{Service: []float64{400, 200}, HTTP: []float64{1000, 250}}
	if got, want := m.ofLimit(), (spread{Median: 0.6, Min: 0.4, Max: 0.8}); !near(got, want) {
		t.Errorf("of the limit: %+v, want %+v", got, want)
	}
	if got := m.ofPostgreSQL(); !near(got, spread{}) {
		t.Errorf("of PostgreSQL: %+v, want nothing", got)
	}
}

func near(a, b spread) bool {
	return math.Abs(a.Median-b.Median)+math.Abs(a.Min-b.Min)+math.Abs(a.Max-b.Max) < 1e-9
}

func TestMediansAreOfTheMiddle(t *testing.T) {
	t.Parallel()
	if got := median([]float64{9, 1, 4, 2}); got != 3 {
		t.Errorf("median of four = %v, want 3", got)
	}
	if got := median([]float64{9, 1, 4}); got != 4 {
		t.Errorf("median of three = %v, want 4", got)
	}
}

// A limit that is not measured would be a target that nothing can reach.
func TestEachOperationOfTheLoadHasItsSQL(t *testing.T) {
	t.Parallel()
	for _, op := range operations() {
		if op.sql == "" && !op.cached {
			t.Errorf("%s has no SQL for pgbench", op.Name)
		}
	}
}

func TestBareServersSendWhatTheServiceDid(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	in, err := json.Marshal(map[string]sample{"get": {Status: 201, Header: http.Header{"X-A": {"b"}}, Body: []byte("bytes")}})
	if err != nil {
		t.Fatal(err)
	}
	reader, writer := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- runBare(ctx, bytes.NewReader(in), writer) }()
	var addrs map[string]string
	if err := json.NewDecoder(reader).Decode(&addrs); err != nil {
		t.Fatal(err)
	}
	response, err := http.Get("http://" + addrs["get"] + "/anything")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != 201 || response.Header.Get("X-A") != "b" || string(body) != "bytes" {
		t.Errorf("%d %v %q, %v", response.StatusCode, response.Header, body, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestTheReportHasATableRatiosAndAPictureThatIsXML(t *testing.T) {
	t.Parallel()
	m := measurement{
		Name: "get", Target: 1, Service: []float64{500}, PostgreSQL: []float64{1000}, HTTP: []float64{1000},
		CPU: []float64{1e-5}, Allocs: []float64{50}, Bytes: []float64{4096}, HalfRate: latency{PerSec: 250, P50: 0.001, P99: 0.004},
	}
	r := &report{Go: "go1.26", PostgreSQL: "17 <beta>", Operations: []measurement{m}}
	dir := t.TempDir()
	var out strings.Builder
	if err := r.write(dir, &out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(strings.Fields(out.String()), " "), "get 1.00 (1.00–1.00) 1.00 0.50 4.0 50 4.0 10") {
		t.Errorf("table:\n%s", out.String())
	}
	content, err := json.Marshal(m)
	if err != nil || !strings.Contains(string(content), `"of_limit":{"median":1,`) || !strings.Contains(string(content), `"name":"get"`) {
		t.Errorf("%s, %v", content, err)
	}
	for decoder := xml.NewDecoder(strings.NewReader(r.picture())); ; {
		_, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
