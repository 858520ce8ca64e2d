package stack

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// serve answers every question with this.
func serve(t *testing.T, status int, body string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		if _, err := w.Write([]byte(body)); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestLinesAreShownWithTheirFields(t *testing.T) {
	t.Parallel()
	store := LogStore{serve(t, http.StatusOK, `{"_time":"2026-01-02T03:04:05Z","_msg":"request","service.instance.id":"bookshelf-dev-app-blue-1","status":"200","level":"INFO","_stream":"{}"}`+"\n")}
	var out strings.Builder
	if err := store.Write(t.Context(), LogSearch{}, &out); err != nil {
		t.Fatal(err)
	}
	if want := "2026-01-02T03:04:05Z bookshelf-dev-app-blue-1 | request level=INFO status=200\n"; out.String() != want {
		t.Errorf("shows %q, want %q", out.String(), want)
	}
}

func TestAStoreThatIsAwayIsToldFromOneThatRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		address string
		away    bool
	}{
		"nobody listens":        {"http://127.0.0.1:1", true},
		"it is still starting":  {serve(t, http.StatusServiceUnavailable, "starting"), true},
		"it refuses":            {serve(t, http.StatusBadRequest, "cannot parse query"), false},
		"it answers with noise": {serve(t, http.StatusOK, "<html>"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := LogStore{test.address}.Write(t.Context(), LogSearch{}, &strings.Builder{})
			if _, away := errors.AsType[*UnreachableError](err); err == nil || away != test.away {
				t.Errorf("the error is %v, want one that says away: %t", err, test.away)
			}
		})
	}
}

const sampleTrace = `{"data":[{"traceID":"4bf92f3577b34da6a3ce929d0e0e4736","processes":{"p1":{"serviceName":"bookd"}},"spans":[
 {"spanID":"b","operationName":"SELECT books","processID":"p1","startTime":1000500,"duration":400,"references":[{"refType":"CHILD_OF","spanID":"a"}],"tags":[{"key":"error","value":true}]},
 {"spanID":"a","operationName":"GET /api/v1/books","processID":"p1","startTime":1000000,"duration":1000,"references":[{"refType":"CHILD_OF","spanID":"theirs"}]}]}]}`

func TestATraceIsDrawnFromTheCallerDown(t *testing.T) {
	t.Parallel()
	trace, err := TraceStore{serve(t, http.StatusOK, sampleTrace)}.Get(t.Context(), "4bf92f3577b34da6a3ce929d0e0e4736")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	trace.Waterfall(&out)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 || !strings.HasSuffix(lines[1], "1ms  bookd: GET /api/v1/books") || !strings.HasSuffix(lines[2], "400µs    bookd: SELECT books  failed") {
		t.Fatalf("drawn as\n%s", out.String())
	}
	if bar := lines[2][1 : width+1]; strings.TrimRight(bar, " ") != strings.Repeat(" ", 20)+strings.Repeat("=", 16) {
		t.Errorf("the query began half-way and took two fifths; its bar is %q", bar)
	}
}

func TestATraceThatIsNotThere(t *testing.T) {
	t.Parallel()
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	for name, address := range map[string]string{
		"by its status": serve(t, http.StatusNotFound, `{"errors":[{"code":404}]}`),
		"by its answer": serve(t, http.StatusOK, `{"data":[]}`),
	} {
		if _, err := (TraceStore{address}).Get(t.Context(), id); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", name, err)
		}
	}
	_, err := TraceStore{"http://127.0.0.1:1"}.Get(t.Context(), "no id")
	if _, ok := errors.AsType[*MalformedError](err); !ok {
		t.Errorf("%v, want a complaint about the ID before anybody is asked", err)
	}
}
