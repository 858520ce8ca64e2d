package probe

import (
	"bufio"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bookshelf/infra/release"
)

const versionHeader = "Service-Version"

// reading is a configuration with reads alone on kept connections.
func reading(rate float64) Config {
	return Config{
		Rate: rate, Shares: Shares{Read: 1}, Timeout: 10 * time.Second, SlowFor: time.Second, EAN13Prefix: "9790", VersionHeader: versionHeader,
		Read: []Request{{Method: http.MethodGet, Path: "/things?run={{run}}&n={{n}}", Status: []int{http.StatusOK}}},
	}
}

// mixed is a configuration with requests of every kind, both on kept and on fresh connections.
func mixed(rate float64) Config {
	c := reading(rate)
	c.Shares, c.Fresh, c.SlowFor = Shares{Read: 0.5, Write: 0.3, Slow: 0.2}, 0.4, 100*time.Millisecond
	c.Write = &Request{
		Method: http.MethodPost, Path: "/things", ContentType: "application/json", Status: []int{http.StatusCreated},
		Body: `{"title":"probe {{run}}","number":"{{ean13}}"}`, Key: "{{ean13}}",
	}
	return c
}

// start begins a stream that ends with the test.
func start(t *testing.T, c Config, url string) *Probe {
	t.Helper()
	p, err := Start(t.Context(), c, url, "run-1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(t.Context()) }) // the context has ended by then: nothing is waited for
	return p
}

// counter closes reached when it has counted so far.
type counter struct {
	n       atomic.Int64
	want    int64
	reached chan struct{}
}

func newCounter(want int64) *counter { return &counter{want: want, reached: make(chan struct{})} }

func (c *counter) add() {
	if c.n.Add(1) == c.want {
		close(c.reached)
	}
}

func (c *counter) wait(t *testing.T) {
	t.Helper()
	select {
	case <-c.reached:
	case <-time.After(time.Minute):
		t.Fatalf("after a minute there are only %d requests of %d", c.n.Load(), c.want)
	}
}

// raw is a server whose answers are written by hand. answer returns false when the connection is to be closed.
func raw(t *testing.T, answer func(conn *net.TCPConn, request *http.Request) bool) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	t.Cleanup(serving.Wait)
	t.Cleanup(func() {
		listener.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, conn := range conns {
			conn.Close()
		}
	})
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			serving.Go(func() {
				defer conn.Close()
				reader := bufio.NewReader(conn)
				for {
					request, err := http.ReadRequest(reader)
					if err != nil || !answer(conn.(*net.TCPConn), request) {
						return
					}
				}
			})
		}
	})
	return "http://" + listener.Addr().String()
}

// service is a well-behaved service that remembers what was written.
type service struct {
	mu      sync.Mutex
	version string
	keys    []string // the idempotency key of every write that came
	numbers []string // what was written
	closing int      // how many requests said that they are the last of their connection
	old     int      // how many answers had the version "old"
	all     *counter
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	version := s.version
	if version == "old" {
		s.old++
	}
	if r.Close {
		s.closing++
	}
	s.mu.Unlock()
	w.Header().Set(slotHeader, "blue")
	w.Header().Set(versionHeader, version)
	if r.Method == http.MethodPost {
		var run, number string
		if _, err := fmt.Fscanf(r.Body, `{"title":"probe %s`, &run); err == nil {
			_, err = fmt.Sscanf(run, `run-1","number":"%13s`, &number)
			if err != nil {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
		}
		s.mu.Lock()
		s.keys = append(s.keys, r.Header.Get(idempotencyKey))
		s.numbers = append(s.numbers, number)
		s.mu.Unlock()
		w.WriteHeader(http.StatusCreated)
	}
	fmt.Fprintln(w, "{}")
	s.all.add()
}

// behind serves a service with net/http.
func behind(t *testing.T, s http.Handler, configure func(*httptest.Server)) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(s)
	if configure != nil {
		configure(server)
	}
	if server.URL == "" {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server
}

// trusted is the path of a file with a server's certificate, "" where it has none.
func trusted(t *testing.T, server *httptest.Server) string {
	t.Helper()
	certificate := server.Certificate()
	if certificate == nil {
		return ""
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// until waits for a condition.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after a minute still not: %s", what)
		}
	}
}

// balanced complains about an account that does not add up.
func balanced(t *testing.T, a release.Account) {
	t.Helper()
	if a.Sent != a.Answered+a.Failed+a.Lost {
		t.Errorf("sent %d ≠ answered %d + failed %d + lost %d", a.Sent, a.Answered, a.Failed, a.Lost)
	}
	var sum release.Count
	for kind, count := range a.Kinds {
		if count.Sent != count.Answered+count.Failed+count.Lost {
			t.Errorf("%s: %+v does not add up", kind, count)
		}
		sum = release.Count{Sent: sum.Sent + count.Sent, Answered: sum.Answered + count.Answered, Failed: sum.Failed + count.Failed, Lost: sum.Lost + count.Lost}
	}
	if want := (release.Count{Sent: a.Sent, Answered: a.Answered, Failed: a.Failed, Lost: a.Lost}); sum != want {
		t.Errorf("the kinds add up to %+v, the account is %+v", sum, want)
	}
	if want := min(a.Failed+a.Lost, maxLosses); len(a.Losses) != want {
		t.Errorf("%d losses are described, want %d", len(a.Losses), want)
	}
}
