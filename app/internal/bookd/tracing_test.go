package bookd

import (
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// fakeCollector takes spans as a collector does.
type fakeCollector struct {
	*httptest.Server

	mu    sync.Mutex
	spans []*spans.Span
}

func newFakeCollector(t *testing.T) *fakeCollector {
	t.Helper()
	c := &fakeCollector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var request spans.TracesData // the same as an ExportTraceServiceRequest, on the wire
		if err = errors.Join(err, proto.Unmarshal(body, &request)); err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, resource := range request.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				c.spans = append(c.spans, scope.GetSpans()...)
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// named returns the spans whose names begin so.
func (c *fakeCollector) named(prefix string) (found []*spans.Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if strings.HasPrefix(s.GetName(), prefix) {
			found = append(found, s)
		}
	}
	return found
}

// callWithin sends a GET as part of a trace.
func callWithin(t *testing.T, url, traceparent string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Traceparent", traceparent)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode
}

func TestServeMakesSpansOfRequestsAndTheirStatements(t *testing.T) {
	t.Parallel()
	c := newFakeCollector(t)
	p := startOnDatabase(t, environ{"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL})
	_, header, _ := call(t, "POST", p.api+"/api/v1/books", `{"title": "Dune", "authors": ["Frank Herbert"]}`)
	const traceID, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	if status := callWithin(t, p.api+header.Get("Location"), "00-"+traceID+"-"+parent+"-01"); status != 200 {
		t.Fatalf("get: %d", status)
	}
	if status := callWithin(t, p.api+"/api/v1/books/9000?secret=1", "00-5bf92f3577b34da6a3ce929d0e0e4736-"+parent+"-00"); status != 400 {
		t.Fatalf("get of another: %d", status)
	}
	p.stop()
	if err := p.wait(t); err != nil {
		t.Fatal(err)
	}

	requests := c.named("GET ")
	if len(requests) != 1 {
		t.Fatalf("%d spans of GET requests; want that of the one that the client sampled, and not that of the other", len(requests))
	}
	request := requests[0]
	if request.GetName() != "GET /api/v1/books/{id}" || hex.EncodeToString(request.GetTraceId()) != traceID ||
		hex.EncodeToString(request.GetParentSpanId()) != parent || request.GetKind() != spans.Span_SPAN_KIND_SERVER {
		t.Errorf("the span of the request is %v", request)
	}
	statements := 0
	c.mu.Lock()
	for _, s := range c.spans {
		if string(s.GetParentSpanId()) == string(request.GetSpanId()) && s.GetKind() == spans.Span_SPAN_KIND_CLIENT {
			statements++
		}
	}
	c.mu.Unlock()
	if statements == 0 {
		t.Error("the request's statement has no span below the request's")
	}
	if len(c.named("POST /api/v1/books")) != 1 {
		t.Error("a request without a parent has no span")
	}
	if !strings.Contains(p.log.String(), `"trace_id":"`+traceID+`"`) {
		t.Errorf("the log does not name the trace:\n%s", p.log)
	}
}

func TestServeSamplesAsItIsTold(t *testing.T) {
	t.Parallel()
	c := newFakeCollector(t)
	p := startOnDatabase(t, environ{
		"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL, "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0",
	})
	for range 20 {
		call(t, "GET", p.api+"/api/v1/books", "")
	}
	p.stop()
	if err := p.wait(t); err != nil {
		t.Fatal(err)
	}
	if found := c.named(""); len(found) != 0 {
		t.Errorf("%d spans, with none sampled; the first is %v", len(found), found[0])
	}
	if strings.Contains(p.log.String(), "trace_id") {
		t.Error("the log names traces that nobody can find")
	}
}

func TestACollectorThatIsAwayOrHangsCostsNoRequest(t *testing.T) {
	t.Parallel()
	refused, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused.Close()
	hangs, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and never reads
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hangs.Close() })
	for name, addr := range map[string]string{"refuses": refused.Addr().String(), "hangs": hangs.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startOnDatabase(t, environ{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + addr, "OTEL_TRACES_SAMPLER": "always_on"})
			var clients sync.WaitGroup
			// More spans than the queue holds, so that they are dropped as well.
			for range 8 {
				clients.Go(func() {
					for range 400 {
						if status, _, body := call(t, "GET", p.api+"/api/v1/books?limit=1", ""); status != 200 {
							t.Errorf("%d %s", status, body)
							return
						}
					}
				})
			}
			clients.Wait()
			p.stop()
			began := time.Now()
			if err := p.wait(t); err != nil {
				t.Errorf("serve ends with %v", err)
			}
			// It gives up before its own deadline of 9 s, after which a shutdown is an error.
			t.Logf("the shutdown took %v", time.Since(began))
			if !strings.Contains(p.log.String(), "traces could not be exported") {
				t.Errorf("the log does not say that traces are lost:\n%s", p.log.String()[:min(2000, len(p.log.String()))])
			}
		})
	}
}

func TestTracesAreOffWithoutACollector(t *testing.T) {
	t.Parallel()
	p := startOnDatabase(t, environ{"OTEL_TRACES_SAMPLER": "always_on"})
	if status := callWithin(t, p.api+"/api/v1/books", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"); status != 200 {
		t.Fatalf("list: %d", status)
	}
	if strings.Contains(p.log.String(), "trace_id") {
		t.Errorf("the log names a trace:\n%s", p.log)
	}
}
