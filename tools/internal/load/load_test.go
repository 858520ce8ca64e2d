package load

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestQuantilesAreOfTheSorted(t *testing.T) {
	t.Parallel()
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
	spec := Spec{Token: "secret", Books: 10}
	for _, op := range append(Operations(), filling(10)) {
		random := rand.New(rand.NewPCG(1, 1))
		for range 20 {
			request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(op.request(nil, &spec, random))))
			if err != nil {
				t.Fatalf("%s: %v", op.Name, err)
			}
			body, err := io.ReadAll(request.Body)
			if err != nil || request.Method != op.Method || request.Header.Get("Authorization") != "Bearer secret" {
				t.Errorf("%s: %s %v, %v", op.Name, request.Method, request.Header, err)
			}
			if (op.Body != nil) != json.Valid(body) {
				t.Errorf("%s: the body is %q", op.Name, body)
			}
		}
	}
}

// server serves on an address of its own until the test ends.
func server(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// measure runs the generator against a server of net/http.
func measure(t *testing.T, spec Spec, handler http.HandlerFunc) (Result, error) {
	t.Helper()
	spec.Addr, spec.Operation, spec.Books, spec.Connections = server(t, handler), "get", 10, 4
	return Run(t.Context(), spec)
}

// A server that stops for a while must not hide it: requests that should have been sent meanwhile count as late.
func TestLatenciesOfAnOpenLoopCountTheWaitingToo(t *testing.T) {
	t.Parallel()
	const stall = 300 * time.Millisecond
	var first = make(chan struct{}, 1)
	first <- struct{}{}
	began := make(chan time.Time, 1)
	result, err := measure(t, Spec{Seconds: 0.6, Rate: 200}, func(w http.ResponseWriter, _ *http.Request) {
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
	_, err := measure(t, Spec{Seconds: 30}, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no", http.StatusServiceUnavailable)
	})
	if err == nil || !strings.Contains(err.Error(), "answered 503 instead of 200") {
		t.Errorf("%v, want an error that names the status", err)
	}
}
