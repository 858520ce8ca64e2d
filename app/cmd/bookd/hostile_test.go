package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bookshelf/app/internal/postgres/pgtest"
)

// patience bounds the wait for something that should happen soon; only a failing test ever waits so long.
const patience = 60 * time.Second

// maxSlowdown is how many times longer than before a well-behaved client may wait in the median while an attack goes
// on. It is generous, because the attacker and the other tests use the same processors.
const maxSlowdown = 40

// containerMemory is what an environment gives the service, in MiB. A process must stay within it whatever is sent.
const containerMemory = 128

// victim is bookd serve in a process of its own, on a real database.
type victim struct {
	addr, admin string

	cmd  *exec.Cmd
	log  *bytes.Buffer
	done chan struct{}
}

// attacked starts bookd on a database with many large books.
func attacked(t *testing.T, env ...string) *victim {
	t.Helper()
	d := pgtest.New(t)
	_, err := d.Conn(t, d.Owner).Exec(t.Context(), `
		INSERT INTO books (title, authors, description)
		SELECT 'Book ' || i, '{Somebody}', repeat('long ', 1000) FROM generate_series(1, 400) AS i`)
	if err != nil {
		t.Fatal(err)
	}
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte(d.App.Password), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	v := &victim{
		cmd:  exec.CommandContext(context.WithoutCancel(t.Context()), self, "serve"),
		log:  &bytes.Buffer{},
		done: make(chan struct{}),
	}
	v.cmd.Env = append([]string{
		"BOOKD_TEST_PROGRAM=1", "HTTP_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "SHUTDOWN_GRACE=0s", "AUTH=off",
		"DB_HOST=" + d.App.Host, "DB_PORT=" + strconv.Itoa(int(d.App.Port)),
		"DB_NAME=" + d.App.Name, "DB_USER=" + d.App.User,
		"DB_PASSWORD_FILE=" + password, "DB_SSLMODE=disable", "GOCOVERDIR=" + t.TempDir(),
	}, env...)
	stdout, err := v.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	for v.addr == "" && lines.Scan() {
		var line struct {
			APIAddr   string `json:"api_addr"`
			AdminAddr string `json:"admin_addr"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("log line %q: %v", lines.Text(), err)
		}
		v.addr, v.admin = line.APIAddr, line.AdminAddr
	}
	go func() {
		defer close(v.done)
		_, _ = io.Copy(v.log, stdout)
	}()
	t.Cleanup(func() {
		if err := v.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		<-v.done
		if err := v.cmd.Wait(); err != nil {
			t.Errorf("after all of it, bookd ends with %v", err)
		}
		for line := range strings.Lines(v.log.String()) {
			if strings.Contains(line, `"panic`) || !json.Valid([]byte(line)) {
				t.Errorf("log line %q", line)
			}
		}
	})
	return v
}

// median sends requests one after the other, as a well-behaved client, and returns the time that the middle one took.
// All must succeed.
func (v *victim) median(t *testing.T) time.Duration {
	t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, Timeout: patience}
	var times []time.Duration
	for range 100 {
		began := time.Now()
		res, err := client.Get("http://" + v.addr + "/api/v1/books?limit=5")
		if err != nil {
			t.Fatalf("a well-behaved client: %v", err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("a well-behaved client: %s %s (%v)", res.Status, body, err)
		}
		times = append(times, time.Since(began))
	}
	slices.Sort(times)
	return times[len(times)/2]
}

// peakMemory is the most memory that the process has had, in MiB.
func (v *victim) peakMemory(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", v.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kib / 1024
}

// settle waits until no more requests are answered: those that are left wait for their clients.
func (v *victim) settle(t *testing.T) {
	t.Helper()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(patience)
	for last := -1; ; <-tick.C {
		res, err := http.Get("http://" + v.admin + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		metrics, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		var total int
		for line := range strings.Lines(string(metrics)) {
			if strings.HasPrefix(line, `http_server_requests_total{http_route="/api/v1/books"`) {
				count, err := strconv.Atoi(strings.TrimSpace(line[strings.LastIndex(line, " "):]))
				if err != nil {
					t.Fatal(err)
				}
				total += count
			}
		}
		if total == last {
			return
		}
		if last = total; time.Now().After(deadline) {
			t.Fatal("requests are answered all the while")
		}
	}
}

// connect opens n connections from an address of the attacker's own.
func (v *victim) connect(t *testing.T, n int) []*net.TCPConn {
	t.Helper()
	// The receive buffer is set before the connection is made, or the server's side takes megabytes off its hands
	// unread.
	dialer := net.Dialer{
		LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, Timeout: patience,
		Control: func(_, _ string, raw syscall.RawConn) (err error) {
			controlErr := raw.Control(func(fd uintptr) {
				err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096)
			})
			return errors.Join(controlErr, err)
		},
	}
	conns := make([]*net.TCPConn, n)
	var wg sync.WaitGroup
	parallel := make(chan struct{}, 64)
	for i := range conns {
		wg.Go(func() {
			parallel <- struct{}{}
			defer func() { <-parallel }()
			conn, err := dialer.DialContext(t.Context(), "tcp", v.addr)
			if err != nil {
				t.Errorf("connection %d: %v", i, err)
				return
			}
			conns[i] = conn.(*net.TCPConn)
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	t.Cleanup(func() {
		for _, conn := range conns {
			_ = conn.SetLinger(0) // leaves no port behind in TIME_WAIT
			conn.Close()
		}
	})
	return conns
}

// say writes text to every connection; those that the server has closed do not matter.
func say(conns []*net.TCPConn, text string) {
	for _, conn := range conns {
		_, _ = io.WriteString(conn, text)
	}
}

// dribble writes text to every connection now and then, until the function that it returns is called.
func dribble(conns []*net.TCPConn, text string) (stop func()) {
	ended, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				say(conns, text)
			case <-ended:
				return
			}
		}
	}()
	return func() {
		close(ended)
		<-stopped
	}
}

// answered reads the beginning of an answer from every connection, and no more, and counts the statuses. Connections
// that are closed without an answer are not counted.
func answered(conns []*net.TCPConn) map[int]int {
	statuses := map[int]int{}
	line := make([]byte, len("HTTP/1.1 200"))
	for _, conn := range conns {
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.ReadFull(conn, line); err == nil {
			status, _ := strconv.Atoi(string(line[len(line)-3:]))
			statuses[status]++
		}
	}
	return statuses
}

// wantClosed makes sure that the server has ended every connection, or does so.
func wantClosed(t *testing.T, conns []*net.TCPConn) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for i, conn := range conns {
		_ = conn.SetReadDeadline(deadline)
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("connection %d is still open", i)
		}
	}
}

// files is how many connections a process may have, n at most.
func files(t *testing.T, n int) int {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	return min(n, int(min(limit.Cur, 1<<30))-500)
}

// postHead begins a request that creates a book.
const postHead = "POST /api/v1/books HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"

// Each attack is made while a well-behaved client goes on as before.
func TestAttacksDoNotStopOthers(t *testing.T) {
	t.Parallel()
	large := `{"title": "x", "authors": ["y"], "description": "` + strings.Repeat("z", 1<<20-100)
	for _, attack := range []struct { //nolint:paralleltest // times are compared
		name   string
		memory int // MiB
		run    func(t *testing.T, v *victim) (after func())
	}{
		{"headers that arrive byte by byte", containerMemory, func(t *testing.T, v *victim) func() {
			t.Helper()
			conns := v.connect(t, files(t, 2000))
			say(conns, "GET /api/v1/books HTTP/1.1\r\nHost: x\r\nX-Slow: ")
			stop := dribble(conns, "x")
			return func() {
				wantClosed(t, conns) // although bytes keep coming
				stop()
			}
		}},
		{"bodies that arrive byte by byte", containerMemory, func(t *testing.T, v *victim) func() {
			t.Helper()
			conns := v.connect(t, files(t, 2000))
			say(conns, postHead+"Content-Length: 9999\r\n\r\n{")
			stop := dribble(conns, " ")
			return func() {
				wantClosed(t, conns)
				stop()
			}
		}},
		{"large bodies that stop before their end", containerMemory, func(t *testing.T, v *victim) func() {
			t.Helper()
			conns := v.connect(t, 200)
			var wg sync.WaitGroup
			for _, conn := range conns {
				wg.Go(func() {
					_, _ = fmt.Fprintf(conn, "%sContent-Length: %d\r\n\r\n%s", postHead, len(large)+2, large)
				})
			}
			wg.Wait()
			return func() { wantClosed(t, conns) }
		}},
		{"answers that nobody reads", containerMemory, func(t *testing.T, v *victim) func() {
			t.Helper()
			// Each asks for a megabyte again and again, which is read from the database and written as JSON: real work.
			// The first few fit into the system's buffers, all ten do not.
			conns := v.connect(t, 200/raceFactor)
			say(conns, strings.Repeat("GET /api/v1/books?limit=200 HTTP/1.1\r\nHost: x\r\n\r\n", 10))
			begun := answered(conns)
			if begun[200] == 0 {
				t.Errorf("the answers begin with the statuses %v, want some 200", begun)
			}
			v.settle(t)
			return func() {}
		}},
		{"ten thousand idle connections", containerMemory, func(t *testing.T, v *victim) func() {
			t.Helper()
			conns := v.connect(t, files(t, 10_000))
			say(conns, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
			kept := answered(conns)[200]
			if kept == 0 || kept > len(conns)/2 {
				t.Errorf("%d of %d connections are kept, want some, and less than half", kept, len(conns))
			}
			t.Logf("%d of %d connections are kept", kept, len(conns))
			return func() {}
		}},
	} {
		t.Run(attack.name, func(t *testing.T) {
			v := attacked(
				t,
				"HTTP_READ_HEADER_TIMEOUT=4s",
				"HTTP_REQUEST_TIMEOUT=4s",
				"HTTP_READ_TIMEOUT=5s",
				"HTTP_WRITE_TIMEOUT=8s",
			)
			before := v.median(t)
			after := attack.run(t, v)
			during := v.median(t)
			after()
			if during > maxSlowdown*before {
				t.Errorf("the median took %v during the attack and %v before", during, before)
			}
			peak := v.peakMemory(t)
			if peak > attack.memory*raceFactor {
				t.Errorf("it took %d MiB, want no more than %d", peak, attack.memory*raceFactor)
			}
			t.Logf("median %v before, %v during; at most %d MiB", before, during, peak)
		})
	}
}

// exchange sends raw bytes on a connection of their own and returns the status of the answer.
func (v *victim) exchange(t *testing.T, raw string) (int, string) {
	t.Helper()
	conn := v.connect(t, 1)[0]
	_ = conn.SetDeadline(time.Now().Add(patience))
	go func() { _, _ = io.WriteString(conn, raw) }() // the answer may come before all of it is sent
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%.80q: %v", raw, err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(body)
}

// What is wrong in itself gets an answer that says so, and leaves nothing behind.
func TestHostileRequestsAreRefused(t *testing.T) {
	t.Parallel()
	v := attacked(t)
	post := func(body string, headers ...string) string {
		if len(headers) == 0 {
			headers = []string{"Content-Type: application/json"}
		}
		return fmt.Sprintf("POST /api/v1/books HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Length: %d\r\n\r\n%s",
			strings.Join(headers, "\r\n"), len(body), body)
	}
	const livezHead = "GET /livez HTTP/1.1\r\nHost: x\r\n"
	get := func(target string) string { return "GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n" }
	var bomb bytes.Buffer
	zip := gzip.NewWriter(&bomb)
	if _, err := io.CopyN(zip, zeros{}, 200<<20); err != nil {
		t.Fatal(err)
	}
	zip.Close()
	for name, test := range map[string]struct {
		raw  string
		want int
	}{
		"1 MB of one header":    {"GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n", 431},
		"1 MB of headers":       {"GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X: y\r\n", 1<<20/6) + "\r\n", 431},
		"1 MB of a path":        {get("/" + strings.Repeat("x", 1<<20)), 431},
		"deep arrays":           {post(strings.Repeat("[", 500_000)), 400},
		"deep objects":          {post(strings.Repeat(`{"a":`, 100_000)), 400},
		"depth in a member":     {post(`{"title": ` + strings.Repeat("[", 500_000)), 400},
		"a gzip bomb":           {post(bomb.String(), "Content-Type: application/json", "Content-Encoding: gzip"), 415},
		"a gzip bomb, unnamed":  {post(bomb.String()), 400},
		"an endless number":     {post(`{"published_year": ` + strings.Repeat("9", 500_000) + `}`), 400},
		"a huge exponent":       {post(`{"title": "x", "authors": ["y"], "published_year": 1e999999999}`), 400},
		"a year beyond 64 bits": {post(`{"title": "x", "authors": ["y"], "published_year": 9223372036854775808}`), 400},
		"an ID beyond 64 bits":  {get("/api/v1/books/" + strings.Repeat("9", 1000)), 404},
		"a limit beyond it":     {get("/api/v1/books?limit=99999999999999999999"), 400},
		"invalid UTF-8":         {post("{\"title\": \"\xff\xfe\", \"authors\": [\"y\"]}"), 400},
		"invalid UTF-8, query":  {get("/api/v1/books?title=%ff%fe"), 400},
		"a NUL":                 {post(`{"title": "a\u0000b", "authors": ["y"]}`), 422},
		"a NUL in the query":    {get("/api/v1/books?title=%00"), 400},
		"two slashes":           {get("//api/v1/books"), 404},
		"an encoded slash":      {get("/api%2Fv1/books"), 404},
		"dots":                  {get("/api/v1/../v1/books"), 404},
		"encoded dots":          {get("/api/v1/books/%2e%2e/%2e%2e/etc/passwd"), 404},
		"an encoded NUL":        {get("/api/v1/books/1%00"), 404},
		"a foreign URL":         {get("http://evil.example/api/v1/authors"), 404},
		"SQL as a filter":       {get("/api/v1/books?title=%27%3B+DROP+TABLE+books%3B+--"), 200},
		"SQL as an ID":          {get("/api/v1/books/1%20OR%201=1"), 404},
		"SQL as a sort":         {get("/api/v1/books?sort=id%3BDELETE+FROM+books"), 400},
		"SQL as a cursor":       {get("/api/v1/books?cursor=%27+OR+1=1"), 400},
		"wildcards as a filter": {get("/api/v1/books?author=" + strings.Repeat("%25_", 60)), 200},

		"two lengths": {postHead + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}", 400},
		"a length and chunks": {postHead + "Content-Length: 2\r\n" +
			"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 422},
		"an endless chunk": {postHead + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{", 400},

		"a line end in the request's ID": {livezHead + "X-Request-ID: a\n{\"level\":\"ERROR\"}\r\n\r\n", 400},
		"quotes in the request's ID":     {livezHead + "X-Request-ID: a\"},{\"level\":\"ERROR\r\n\r\n", 200},
		"a line end in the path":         {get("/api/v1/books/1%0a%7B%22level%22:%22ERROR%22%7D"), 404},
		"a terminal's escape":            {get("/%1b%5b2J"), 404},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, body := v.exchange(t, test.raw); got != test.want {
				t.Errorf("status %d, want %d: %.300s", got, test.want, body)
			}
		})
	}
	t.Run("and the books are as they were", func(t *testing.T) { // while the others wait
		v.median(t)
		if peak := v.peakMemory(t); peak > containerMemory*raceFactor {
			t.Errorf("it took %d MiB", peak)
		}
	})
}

// zeros is a source without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
