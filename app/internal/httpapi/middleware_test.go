package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"bookshelf/app/internal/httpapi/exchange"
	"bookshelf/app/internal/httpapi/problem"
)

func TestRequestID(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		given []string
		kept  bool
	}{
		"none":                     {nil, false},
		"a plain one":              {[]string{"0af7651916cd43dd8448eb211c80319c"}, true},
		"every allowed character":  {[]string{"Az09-._~:=+@/x"}, true},
		"the longest":              {[]string{strings.Repeat("x", 128)}, true},
		"too long":                 {[]string{strings.Repeat("x", 129)}, false},
		"empty":                    {[]string{""}, false},
		"a slash in front":         {[]string{"/x"}, false},
		"white space":              {[]string{"a b"}, false},
		"a quote":                  {[]string{`a"b`}, false},
		"a per cent sign":          {[]string{"a%20b"}, false},
		"letters beyond ASCII":     {[]string{"ä"}, false},
		"a line break":             {[]string{"a\nb"}, false},
		"two":                      {[]string{"a", "b"}, false},
		"an attempt to end a line": {[]string{`x","level":"ERROR`}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			w := b.do(t, request{method: "GET", target: "/nowhere", header: http.Header{"X-Request-Id": test.given}})
			got := w.Header().Get("X-Request-ID")
			if test.kept != (len(test.given) == 1 && got == test.given[0]) {
				t.Errorf("ID = %q for %q, want it kept: %t", got, test.given, test.kept)
			}
			if exchange.RequestID(http.Header{"X-Request-Id": {got}}) != got {
				t.Errorf("ID = %q is not well-formed", got)
			}
			if !strings.Contains(w.Body.String(), `"instance":"urn:request:`+got+`"`) {
				t.Errorf("the problem does not name the request %q: %s", got, w.Body)
			}
			if logged := b.logs.lines(t)[0]["request_id"]; logged != got {
				t.Errorf("logged ID = %v, want %q", logged, got)
			}
		})
	}
}

func TestAccessLogLine(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add(t, "Emma")
	b.do(t, request{method: "GET", target: "/api/v1/books/1"})
	b.do(t, request{method: "GET", target: "/api/v1/books?title=private"})
	b.do(t, request{method: "GET", target: "/livez"})
	b.store.hook = func(context.Context) error { return errors.New("disk on fire") }
	b.do(t, request{method: "DELETE", target: "/api/v1/books/1"})

	var got []string
	for _, line := range b.logs.lines(t) {
		if d, ok := line["duration"].(float64); !ok || d < 0 {
			t.Errorf("duration = %v, want seconds", line["duration"])
		}
		got = append(got, fmt.Sprintf("%v %v %v %v %v %v %v", line["level"], line["msg"], line["request_id"], line["method"],
			line["http_route"], line["status"], line["error"]))
		if strings.Contains(fmt.Sprint(line), "private") {
			t.Errorf("the query is in the log: %v", line)
		}
	}
	want := []string{
		"INFO request test GET /api/v1/books/{id} 200 <nil>",
		"INFO request test GET /api/v1/books 200 <nil>",
		"DEBUG request test GET /livez 200 <nil>",
		"ERROR request test DELETE /api/v1/books/{id} 500 disk on fire",
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPanicBecomesAnInternalError(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.store.hook = func(context.Context) error { panic("nil map") }
	w := b.do(t, request{method: "GET", target: "/api/v1/books/1"})
	wantGolden(t, "internal.golden", dump(t, w))
	lines := b.logs.lines(t)
	if len(lines) != 2 || lines[0]["panic"] != "nil map" || !strings.Contains(fmt.Sprint(lines[0]["stack"]), "middleware_test.go") {
		t.Errorf("log = %v, want the panic with its stack, once, and the request", lines)
	}
	if want := (counted{bookPath, "GET", 500}); len(b.metrics.done) != 1 || b.metrics.done[0] != want {
		t.Errorf("counted %v, want %v", b.metrics.done, want)
	}
}

// abort runs a handler behind the API's middleware on a real server, and returns what a client gets.
func abort(t *testing.T, handler http.HandlerFunc) (*bundle, error) {
	t.Helper()
	b := setup(t)
	b.api.handler = b.api.withRequest(b.api.withAccessLog(b.api.withMetrics(b.api.withRecovery(handler))))
	server := httptest.NewUnstartedServer(b.api)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.Start()
	defer server.Close() // waits for the handler
	res, err := server.Client().Get(server.URL)
	if err == nil {
		_, err = io.ReadAll(res.Body)
		res.Body.Close()
	}
	return b, err
}

func TestPanicAfterTheHeaderCutsTheResponse(t *testing.T) {
	t.Parallel()
	b, err := abort(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("half of"))
		_ = http.NewResponseController(w).Flush()
		panic("no more")
	})
	if err == nil {
		t.Error("the client took a truncated response for a whole one")
	}
	if want := (counted{unmatched, "GET", 500}); len(b.metrics.done) != 1 || b.metrics.done[0] != want {
		t.Errorf("counted %v, want %v", b.metrics.done, want)
	}
	if lines := b.logs.lines(t); len(lines) != 2 {
		t.Errorf("log = %v, want the panic and the request", lines)
	}
}

func TestAbortIsNotTakenForAPanic(t *testing.T) {
	t.Parallel()
	b, err := abort(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if err == nil {
		t.Error("the client got a response")
	}
	if lines := b.logs.lines(t); len(lines) != 1 || lines[0]["msg"] != "request" {
		t.Errorf("log = %v, want the request only", lines)
	}
}

// listen serves b on a real port, for what only connections show.
func (b *bundle) listen(t *testing.T, change func(*http.Server)) string {
	t.Helper()
	server := httptest.NewUnstartedServer(b.api)
	if change != nil {
		change(server.Config)
	}
	server.Start()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func TestClientThatLeavesIsLoggedAs499(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	b := setup(t)
	b.store.hook = func(ctx context.Context) error {
		close(entered)
		<-ctx.Done()
		return fmt.Errorf("select book: %w", ctx.Err())
	}
	left := make(chan struct{})
	inner := b.api.handler
	b.api.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(left)
		inner.ServeHTTP(w, r)
	})
	address := b.listen(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-entered
		cancel()
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/api/v1/books/1", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := http.DefaultClient.Do(req); err == nil {
		res.Body.Close()
		t.Error("the client that had left got a response")
	}
	<-left
	if want := (counted{bookPath, "GET", 499}); len(b.metrics.done) != 1 || b.metrics.done[0] != want {
		t.Errorf("counted %v, want %v", b.metrics.done, want)
	}
	if line := b.logs.lines(t)[0]; line["status"] != float64(499) || line["level"] != "INFO" {
		t.Errorf("log line = %v, want status 499 at INFO", line)
	}
}

func TestBodyThatDoesNotArriveIsATimeout(t *testing.T) {
	t.Parallel()
	b := setup(t)
	address := b.listen(t, func(s *http.Server) { s.ReadTimeout = 50 * time.Millisecond })
	res := roundTrip(t, address, "POST /api/v1/books HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{")
	wantProblem(t, res, problem.RequestTimeout)
	if !res.closes {
		t.Error("the connection stays open with half a request on it")
	}
}

func TestBodyThatEndsAfterTheRequestsDeadlineIsATimeout(t *testing.T) {
	t.Parallel()
	b := setup(t, func(o *Options) { o.RequestTimeout = time.Nanosecond })
	w := b.do(t, request{method: "POST", target: "/api/v1/books", body: minimalBook})
	if w.Code != 408 || len(b.store.books) != 0 {
		t.Errorf("status = %d with %d books stored, want 408 and nothing stored", w.Code, len(b.store.books))
	}
}

func TestBodyThatEndsEarlyIsMalformed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	address := b.listen(t, nil)
	res := roundTrip(t, address, "POST /api/v1/books HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+
		"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n")
	wantProblem(t, res, problem.MalformedBody)
}

func TestLargeBodyWithoutALengthIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	address := b.listen(t, nil)
	chunk := strings.Repeat("x", 0x2000)
	res := roundTrip(t, address, "POST /api/v1/books HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+
		"Transfer-Encoding: chunked\r\n\r\n2000\r\n"+chunk+"\r\n0\r\n\r\n")
	wantProblem(t, res, problem.BodyTooLarge)
}

func TestSlowHeadersAreCutOff(t *testing.T) {
	t.Parallel()
	b := setup(t)
	address := b.listen(t, func(s *http.Server) { s.ReadHeaderTimeout = 50 * time.Millisecond })
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow")); err != nil {
		t.Fatal(err)
	}
	// Ends only when the server gives up; a server without a time-out would keep the test waiting.
	if got, err := io.ReadAll(conn); err != nil || bytes.Contains(got, []byte("200")) {
		t.Errorf("read %q, %v, want the connection closed without an answer", got, err)
	}
	if len(b.logs.lines(t)) != 0 {
		t.Error("a handler ran for half a request")
	}
}

// rawAnswer is what came back on a connection of a test's own.
type rawAnswer struct {
	status int
	closes bool // the server announced that it closes the connection
	body   string

	version string // from its header
}

// exchange sends raw bytes and reads one response.
func roundTrip(t *testing.T, address, raw string) rawAnswer {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(raw)); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return rawAnswer{res.StatusCode, res.Close, string(body), res.Header.Get("X-Bookshelf-Version")}
}

func wantProblem(t *testing.T, got rawAnswer, want problem.Kind) {
	t.Helper()
	if got.status != want.Status || !strings.Contains(got.body, `"urn:bookshelf:problem:`+want.Name+`"`) {
		t.Errorf("got %+v, want %d and %s", got, want.Status, want.Name)
	}
	if got.version != "v1.2.3" {
		t.Errorf("%d carries the version %q", got.status, got.version)
	}
}

// docs/contract.md names these: net/http answers them by itself, and nothing of ours runs.
func TestOnlyWhatTheLibraryRefusesCarriesNoVersion(t *testing.T) {
	t.Parallel()
	b := setup(t)
	address := b.listen(t, func(s *http.Server) { s.MaxHeaderBytes = 1 })
	for raw, want := range map[string]int{
		"nonsense\r\n\r\n":            400,
		"GET /livez HTTP/1.1\r\n\r\n": 400, // no Host
		"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 8192) + "\r\n\r\n": 431,
		"GET /livez HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\n\r\n":                     417,
		"POST /api/v1/books HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: pigeon\r\n\r\n":    501,
		"GET /livez HTTP/3.7\r\nHost: x\r\n\r\n":                                         505,
	} {
		if got := roundTrip(t, address, raw); got.status != want || got.version != "" {
			t.Errorf("%.40q: %+v, want %d without a version", raw, got, want)
		}
	}
	if counted := len(b.metrics.done); counted != 0 {
		t.Errorf("%d requests were counted", counted)
	}
}
