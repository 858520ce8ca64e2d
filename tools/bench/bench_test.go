package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
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

func TestMediansAndQuantiles(t *testing.T) {
	t.Parallel()
	if got := median([]float64{9, 1, 4, 2}); got != 3 {
		t.Errorf("median of four = %v, want 3", got)
	}
	if got := median([]float64{9, 1, 4}); got != 4 {
		t.Errorf("median of three = %v, want 4", got)
	}
	sorted := make([]time.Duration, 200)
	for i := range sorted {
		sorted[i] = time.Duration(i)
	}
	if p50, p99, last := quantile(sorted, 0.5), quantile(sorted, 0.99), quantile(sorted, 1); p50 != 100 || p99 != 198 || last != 199 {
		t.Errorf("p50, p99, all = %d, %d, %d; want 100, 198, 199", p50, p99, last)
	}
}

func TestAnswersAreReadToTheirEnd(t *testing.T) {
	t.Parallel()
	const two = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nX: y\r\n\r\nhelloHTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"
	in := bufio.NewReader(strings.NewReader(two))
	if err := readAnswer(in, 200); err != nil {
		t.Error(err)
	}
	if err := readAnswer(in, 200); err == nil || !strings.Contains(err.Error(), "503") || !strings.Contains(err.Error(), "busy") {
		t.Errorf("another status: %v, want an error with it and the body", err)
	}
	for _, broken := range []string{"", "nonsense\r\n", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"} {
		if err := readAnswer(bufio.NewReader(strings.NewReader(broken)), 200); err == nil {
			t.Errorf("%q is read without an error", broken)
		}
	}
}

func TestRequestsAreThoseOfHTTP(t *testing.T) {
	t.Parallel()
	spec := loadSpec{Token: "secret", Books: 10}
	for _, op := range operations() {
		random := rand.New(rand.NewPCG(1, 1))
		for range 20 {
			request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(op.request(nil, &spec, random))))
			if err != nil {
				t.Fatalf("%s: %v", op.name, err)
			}
			body, err := io.ReadAll(request.Body)
			if err != nil || request.Method != op.method || request.Header.Get("Authorization") != "Bearer secret" {
				t.Errorf("%s: %s %v, %v", op.name, request.Method, request.Header, err)
			}
			if (op.body != nil) != json.Valid(body) {
				t.Errorf("%s: the body is %q", op.name, body)
			}
		}
	}
}

// load runs the generator against a server of net/http.
func load(t *testing.T, spec loadSpec, handler http.HandlerFunc) (loadResult, error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	spec.Addr, spec.Operation, spec.Books, spec.Connections = listener.Addr().String(), "get", 10, 4
	input, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := runLoad(t.Context(), bytes.NewReader(input), &out); err != nil {
		return loadResult{}, err
	}
	var result loadResult
	if err := json.Unmarshal(out.Bytes(), &result); err != nil {
		t.Fatal(err)
	}
	return result, nil
}

// A server that stops for a while must not hide it: requests that should have been sent meanwhile count as late.
func TestLatenciesOfAnOpenLoopCountTheWaitingToo(t *testing.T) {
	t.Parallel()
	const stall = 300 * time.Millisecond
	var first = make(chan struct{}, 1)
	first <- struct{}{}
	began := make(chan time.Time, 1)
	result, err := load(t, loadSpec{Seconds: 0.6, Rate: 200}, func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-first:
			began <- time.Now()
		default:
		}
		start := <-began
		began <- start
		if rest := stall - time.Since(start); rest > 0 {
			timer := time.NewTimer(rest)
			defer timer.Stop()
			<-timer.C
		}
		w.Header().Set("Content-Length", "0")
	})
	if err != nil {
		t.Fatal(err)
	}
	// Nobody is served for half of the time, so half of the requests are late, the first of them by all of it.
	if result.P99 < stall.Seconds()*0.9 {
		t.Errorf("p99 = %v s after a stall of %v", result.P99, stall)
	}
	if result.P99 < 3*result.P50 && result.P50 < stall.Seconds()/10 {
		t.Errorf("p50 = %v s, p99 = %v s", result.P50, result.P99)
	}
}

func TestAnErrorEndsTheMeasurement(t *testing.T) {
	t.Parallel()
	_, err := load(t, loadSpec{Seconds: 30}, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no", http.StatusServiceUnavailable)
	})
	if err == nil || !strings.Contains(err.Error(), "answered 503 instead of 200") {
		t.Errorf("%v, want an error that names the status", err)
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
