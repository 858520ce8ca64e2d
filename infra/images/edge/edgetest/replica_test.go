package edgetest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// replica is a small service that can misbehave.
type replica struct {
	address  string
	name     string
	requests atomic.Int64
	unready  atomic.Bool
	server   *http.Server
	// admin answers for /metrics.
	admin string
}

// newReplica starts one on a port of its own. /slow?ms=N takes its time over the body, /status?code=N answers so.
func newReplica(t *testing.T, name string) *replica {
	t.Helper()
	r := &replica{name: name}
	mux := http.NewServeMux()
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if r.unready.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) {
		r.requests.Add(1)
		n, err := io.Copy(io.Discard, req.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Delivery-Slot", "forged")
		w.Header().Set("X-Replica", name)
		w.Header().Set("Server", "replica")
		fmt.Fprintf(w, "%s %d", name, n)
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, req *http.Request) {
		if err := req.Header.Write(w); err != nil {
			panic(http.ErrAbortHandler)
		}
	})
	mux.HandleFunc("/status", func(w http.ResponseWriter, req *http.Request) {
		code, err := strconv.Atoi(req.FormValue("code"))
		if err != nil {
			code = http.StatusBadRequest
		}
		w.WriteHeader(code)
	})
	mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, "the beginning")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, req *http.Request) {
		r.requests.Add(1)
		fmt.Fprint(w, "begun")
		_ = http.NewResponseController(w).Flush()
		ms, err := strconv.Atoi(req.FormValue("ms"))
		if err != nil {
			ms = 0
		}
		select {
		case <-req.Context().Done():
		case <-time.After(time.Duration(ms) * time.Millisecond):
			fmt.Fprint(w, " ended")
		}
	})
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.address = listener.Addr().String()
	r.server = &http.Server{Handler: mux, IdleTimeout: 75 * time.Second}
	go func() { _ = r.server.Serve(listener) }()
	t.Cleanup(func() { _ = r.server.Close() })
	metrics := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, "up{name=%q} 1\n", name) }))
	t.Cleanup(metrics.Close)
	r.admin = strings.TrimPrefix(metrics.URL, "http://")
	return r
}

// slot is one slot of a request to the edge.
func slot(name string, weight int, replicas ...*replica) string {
	var list []string
	for _, r := range replicas {
		list = append(list, fmt.Sprintf(`{"address":%q,"admin":%q}`, r.address, r.admin))
	}
	return fmt.Sprintf(`%q:{"weight":%d,"replicas":[%s]}`, name, weight, strings.Join(list, ","))
}

// ask is a request to the edge: slots, and other fields as text.
func ask(more string, all ...string) string {
	return `{"slots":{` + strings.Join(all, ",") + `}` + more + `}`
}
