package bookd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"bookshelf/app/internal/buildinfo"
	"bookshelf/app/internal/postgres/pgtest"
)

func TestServeKeepsBooks(t *testing.T) {
	t.Parallel()
	p := startOnDatabase(t)
	const dune = `{"title": "Dune", "authors": ["Frank Herbert"], "isbn13": "0441172717", "published_year": 1965}`

	status, header, body := call(t, "POST", p.api+"/api/v1/books", dune)
	location := header.Get("Location")
	if status != 201 || location == "" || !strings.Contains(body, `"isbn13":"9780441172719"`) {
		t.Fatalf("create: %d, Location %q, %s", status, location, body)
	}
	if status, _, body := call(t, "POST", p.api+"/api/v1/books", dune); status != 409 || !strings.Contains(body, "9780441172719") {
		t.Errorf("create again: %d %s, want 409 that names the ISBN", status, body)
	}
	if status, _, got := call(t, "GET", p.api+location, ""); status != 200 || got != body {
		t.Errorf("get: %d %s, want 200 %s", status, got, body)
	}
	if status, _, body := call(t, "PUT", p.api+location, `{"title": "Dune", "authors": ["F. Herbert"]}`); status != 200 ||
		!strings.Contains(body, `"isbn13":null`) || !strings.Contains(body, `"version":2`) {
		t.Errorf("replace: %d %s, want 200 with version 2 and no ISBN", status, body)
	}
	if status, _, body := call(t, "GET", p.api+"/api/v1/books?author=herbert&sort=-title", ""); status != 200 || !strings.Contains(body, "F. Herbert") {
		t.Errorf("list: %d %s", status, body)
	}
	for _, want := range []int{204, 404} {
		if status, _, _ := call(t, "DELETE", p.api+location, ""); status != want {
			t.Errorf("delete: %d, want %d", status, want)
		}
	}
	if status, _, body := call(t, "PUT", p.api+location, dune); status != 404 {
		t.Errorf("replace after delete: %d %s, want 404", status, body)
	}
}

func TestServeAnswersProbesAndScrapes(t *testing.T) {
	t.Parallel()
	p := startOnDatabase(t)
	for path, want := range map[string]string{
		"/livez":   `{"status":"ok"}`,
		"/readyz":  `{"status":"ready"}`,
		"/version": `{"version":"dev","revision":"` + buildinfo.Get().Revision + `"}`,
	} {
		status, header, body := call(t, "GET", p.api+path, "")
		if status != 200 || strings.TrimSpace(body) != want || header.Get("X-Bookshelf-Version") != "dev" {
			t.Errorf("%s: %d %s %s, want 200 %s", path, status, header, body, want)
		}
	}
	if status, _, _ := call(t, "GET", p.api+"/metrics", ""); status != 404 {
		t.Errorf("/metrics on the API's port: %d, want 404", status)
	}
	status, _, body := call(t, "GET", p.admin+"/metrics", "")
	if status != 200 {
		t.Fatalf("/metrics: %d", status)
	}
	for _, want := range []string{
		`http_server_requests_total{http_route="/readyz",http_request_method="GET",http_response_status_code="200",service_version="dev"} 1`,
		`http_server_requests_total{http_route="unmatched",http_request_method="GET",http_response_status_code="404",service_version="dev"} 1`,
		"\nbookd_db_pool_max_connections 10\n",
		"\nbookd_db_pool_acquires_total 1\n",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("%q is missing in:\n%s", want, body)
		}
	}
}

func TestServeLogsItsConfigurationWithoutThePassword(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	env := databaseEnviron(t, db.App)
	delete(env, "DB_PASSWORD_FILE")
	env["DB_PASSWORD"] = db.App.Password
	p := start(t, env, environ{"LOG_LEVEL": "debug"})
	call(t, "GET", p.api+"/readyz", "")
	p.stop()
	if err := p.wait(t); err != nil {
		t.Error(err)
	}
	if line := p.log.wait(t, "serving"); line.Config["DB_PASSWORD"] != "[redacted]" || line.Config["DB_NAME"] != db.App.Name {
		t.Errorf("config = %v", line.Config)
	}
	if strings.Contains(p.log.String(), db.App.Password) {
		t.Error("the password is in the log")
	}
}

// refusedPort returns a port of the loopback interface on which nothing listens.
func refusedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestServeStartsAndAnswersWithoutItsDatabase(t *testing.T) {
	t.Parallel()
	p := start(t, environ{"DB_HOST": "127.0.0.1", "DB_PORT": refusedPort(t), "DB_NAME": "n", "DB_USER": "u"})
	if status, _, _ := call(t, "GET", p.api+"/livez", ""); status != 200 {
		t.Errorf("/livez: %d, want 200", status)
	}
	for _, path := range []string{"/readyz", "/api/v1/books", "/api/v1/books/1"} {
		status, header, body := call(t, "GET", p.api+path, "")
		if status != 503 || header.Get("Retry-After") == "" || header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %v %s, want a 503 problem with Retry-After", path, status, header, body)
		}
		if strings.Contains(body, "127.0.0.1") {
			t.Errorf("%s tells clients about the inside: %s", path, body)
		}
	}
}

func TestServeIsNotReadyBeforeTheMigration(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t)
	p := start(t, databaseEnviron(t, db.App))
	if status, _, _ := call(t, "GET", p.api+"/readyz", ""); status != 503 {
		t.Errorf("before: %d, want 503", status)
	}
	owner := databaseEnviron(t, db.Owner)
	for range 2 { // the second finds nothing to do
		log := newOutput()
		if err := Run(t.Context(), []string{"migrate"}, owner.lookup, nil, log, io.Discard); err != nil {
			t.Fatalf("migrate: %v\n%s", err, log)
		}
		log.lines(t)
	}
	if status, _, body := call(t, "GET", p.api+"/readyz", ""); status != 200 {
		t.Errorf("after: %d %s, want 200", status, body)
	}
}

func TestServeGivesUpAPortThatIsTaken(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, name := range []string{"HTTP_ADDR", "ADMIN_ADDR"} {
		env := environ{
			"DB_HOST": "127.0.0.1", "DB_NAME": "n", "DB_USER": "u", "HTTP_ADDR": "127.0.0.1:0", "ADMIN_ADDR": "127.0.0.1:0",
			name: taken.Addr().String(),
		}
		log := newOutput()
		err := Run(t.Context(), []string{"serve"}, env.lookup, nil, log, io.Discard)
		if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), name) || ExitCode(err) != 1 {
			t.Errorf("error = %v, want it to name %s", err, name)
		}
		if log.String() != "" {
			t.Errorf("announced: %s", log)
		}
	}
}

// A lock on the table makes a request wait inside PostgreSQL, for as long as a test needs it in flight.
func lockBooks(t *testing.T, db *pgtest.Database) (release func()) {
	t.Helper()
	conn := db.Conn(t, db.Owner)
	for _, sql := range []string{"BEGIN", "LOCK TABLE books"} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		if _, err := conn.Exec(t.Context(), "ROLLBACK"); err != nil {
			t.Error(err)
		}
	}
}

// activeRequests waits until n requests are being answered, as the admin port tells.
func (p *process) activeRequests(t *testing.T, n int) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for want := fmt.Sprintf("http_server_active_requests{service_version=\"dev\"} %d\n", n); ; {
		if _, _, body := call(t, "GET", p.admin+"/metrics", ""); strings.Contains(body, want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("there are never %d requests in flight", n)
		}
	}
}

type answer struct {
	status int
	close  bool
	err    error
}

// inBackground sends a GET and delivers its answer.
func inBackground(t *testing.T, url string) <-chan answer {
	t.Helper()
	answers := make(chan answer, 1)
	req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		client := http.Client{Transport: &http.Transport{}} // with no connections yet
		defer client.CloseIdleConnections()
		res, err := client.Do(req)
		if err != nil {
			answers <- answer{err: err}
			return
		}
		defer res.Body.Close()
		_, err = io.ReadAll(res.Body)
		answers <- answer{res.StatusCode, res.Close, err}
	}()
	return answers
}

func TestShutdownFinishesWhatIsInFlightAndKeepsMetricsUntilThen(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	p := start(t, databaseEnviron(t, db.App), environ{"HTTP_REQUEST_TIMEOUT": "20s", "SHUTDOWN_TIMEOUT": "30s"})
	release := lockBooks(t, db)
	inFlight := inBackground(t, p.api+"/api/v1/books")
	p.activeRequests(t, 1)
	p.stop()
	p.log.wait(t, "draining")
	p.activeRequests(t, 1) // through the admin port
	release()
	if got := <-inFlight; got.err != nil || got.status != 200 {
		t.Errorf("request in flight: %+v, want 200", got)
	}
	if err := p.wait(t); err != nil {
		t.Errorf("serve: %v", err)
	}
	if line := p.log.wait(t, "stopped"); !line.Clean {
		t.Error("the shutdown is not called clean")
	}
	for _, url := range []string{p.api, p.admin} {
		if got := <-inBackground(t, url+"/livez"); !errors.Is(got.err, syscall.ECONNREFUSED) {
			t.Errorf("%s after the end: %+v, want the connection refused", url, got)
		}
	}
}

func TestShutdownCutsOffWhatOutlastsTheDeadline(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	p := start(t, databaseEnviron(t, db.App), environ{"HTTP_REQUEST_TIMEOUT": "20s", "SHUTDOWN_TIMEOUT": "100ms"})
	release := lockBooks(t, db)
	defer release()
	inFlight := inBackground(t, p.api+"/api/v1/books")
	p.activeRequests(t, 1)
	p.stop()
	err := p.wait(t)
	if err == nil || !strings.Contains(err.Error(), "requests were cut off") || ExitCode(err) != 1 {
		t.Errorf("serve: %v, want it to say what was cut off", err)
	}
	if got := <-inFlight; got.err == nil {
		t.Errorf("request in flight: %+v, want an error", got)
	}
}

func TestGraceServesOnWithReadinessOff(t *testing.T) {
	t.Parallel()
	p := startOnDatabase(t, environ{"SHUTDOWN_GRACE": "3s", "SHUTDOWN_TIMEOUT": "30s"})
	p.stop()
	p.log.wait(t, "shutdown begins")
	if status, header, _ := call(t, "GET", p.api+"/readyz", ""); status != 503 || header.Get("Retry-After") == "" {
		t.Errorf("/readyz: %d, want 503", status)
	}
	if got := <-inBackground(t, p.api+"/api/v1/books"); got.status != 200 || !got.close {
		t.Errorf("a request during the grace: %+v, want 200 and the connection closed after it", got)
	}
	if strings.Contains(p.log.String(), "draining") {
		t.Error("the grace was over before it began")
	}
}

// Constant load on kept and on fresh connections, and a SIGTERM in the middle of it: what the server took, it answered.
func TestDrainUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	p := startOnDatabase(t, environ{"SHUTDOWN_GRACE": "300ms", "SHUTDOWN_TIMEOUT": "30s"})
	if status, _, body := call(t, "POST", p.api+"/api/v1/books", `{"title": "Dune", "authors": ["Frank Herbert"]}`); status != 201 {
		t.Fatalf("create: %d %s", status, body)
	}
	var load load
	for worker := range 8 {
		load.run(t, p.api, fmt.Sprintf("w%d", worker), worker%2 == 0)
	}
	load.reached(t, 200)
	p.stop()
	p.log.wait(t, "shutdown begins")
	before := load.answered.Load()
	load.wg.Wait()
	if err := p.wait(t); err != nil {
		t.Fatalf("serve: %v", err)
	}

	logged := map[string]int{}
	for _, line := range p.log.lines(t) {
		if line.Msg == "request" && strings.HasPrefix(line.RequestID, "w") {
			logged[line.RequestID] = line.Status
		}
	}
	load.mu.Lock()
	defer load.mu.Unlock()
	for id, status := range logged {
		if status != 200 || load.statuses[id] != 200 {
			t.Errorf("request %s: the server answered %d, the client got %d (%v)", id, status, load.statuses[id], load.failures[id])
		}
	}
	for id, err := range load.failures {
		if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
			t.Errorf("request %s: %v, want none but the refusal of a closed listener", id, err)
		}
	}
	if int64(len(logged)) != load.answered.Load() {
		t.Errorf("the server took %d requests, clients got %d answers", len(logged), load.answered.Load())
	}
	if load.answered.Load() == before {
		t.Error("no request arrived after the signal, so nothing was tried")
	}
	t.Logf("%d requests answered, %d of them after the signal, %d refused by the closed listener",
		load.answered.Load(), load.answered.Load()-before, len(load.failures))
}

// load counts what clients get. Each worker sends one request after the other until the listener is gone.
type load struct {
	wg       sync.WaitGroup
	answered atomic.Int64

	mu       sync.Mutex
	statuses map[string]int
	failures map[string]error
}

func (l *load) run(t *testing.T, base, name string, keepAlive bool) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: !keepAlive}, Timeout: patience}
	l.wg.Go(func() {
		defer client.CloseIdleConnections()
		for i := 0; ; i++ {
			id := fmt.Sprintf("%s-%d", name, i)
			status, err := get(ctx, client, base+"/api/v1/books?limit=1", id)
			l.mu.Lock()
			if l.statuses == nil {
				l.statuses, l.failures = map[string]int{}, map[string]error{}
			}
			if err != nil {
				l.failures[id] = err
			} else {
				l.statuses[id] = status
			}
			l.mu.Unlock()
			if err != nil {
				return
			}
			l.answered.Add(1)
		}
	})
}

// get sends one request under an ID. net/http repeats a GET by itself when a kept connection dies under it; that would hide
// a loss, so it counts as a failure.
func get(ctx context.Context, client *http.Client, url, id string) (int, error) {
	attempts := 0
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GetConn: func(string) { attempts++ }})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, err
	}
	req.Header.Set("X-Request-ID", id)
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if _, err := io.ReadAll(res.Body); err != nil {
		return 0, err
	}
	if attempts > 1 {
		return 0, fmt.Errorf("was sent %d times", attempts)
	}
	return res.StatusCode, nil
}

// reached waits until n requests are answered.
func (l *load) reached(t *testing.T, n int64) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for l.answered.Load() < n {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("only %d requests were answered", l.answered.Load())
		}
	}
}

func TestServeForgetsIdempotencyKeysInTime(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	p := start(t, databaseEnviron(t, db.App), environ{"IDEMPOTENCY_RETENTION": "1s"})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.api+"/api/v1/books",
		strings.NewReader(`{"title": "Dune", "authors": ["Frank Herbert"]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", `"k"`)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("create: %s", res.Status)
	}
	conn := db.Conn(t, db.Owner)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); ; {
		var keys int
		if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM idempotency_keys").Scan(&keys); err != nil {
			t.Fatal(err)
		}
		if keys == 0 {
			break
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the key is still there")
		}
	}
	if status, _, _ := call(t, "GET", p.api+res.Header.Get("Location"), ""); status != 200 {
		t.Errorf("the book is gone with the key: %d", status)
	}
}
