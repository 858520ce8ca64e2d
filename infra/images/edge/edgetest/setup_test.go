package edgetest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bookshelf/edge/internal/slots"
)

// binary builds the edge once per test run.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "edge-binary-*")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "edge")
	for program, folder := range map[string]string{path: "..", path + "-server": "../server"} {
		if out, err := exec.Command("go", "build", "-o", program, folder).CombinedOutput(); err != nil {
			return "", fmt.Errorf("build the edge: %w: %s", err, out)
		}
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// edge is one edge under test.
type edge struct {
	t           *testing.T
	dir         string
	environment map[string]string
	http, https string // addresses
	metrics     string
	cmd         *exec.Cmd
	log, output *journal // of the process
}

// journal is a buffer that a process writes while the test reads.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// newEdge prepares an edge with ports and folders of its own; more are variables in pairs.
func newEdge(t *testing.T, more ...string) *edge {
	t.Helper()
	e := &edge{t: t, dir: t.TempDir(), http: freeAddress(t), https: freeAddress(t), metrics: freeAddress(t)}
	_, httpsPort, err := net.SplitHostPort(e.https)
	if err != nil {
		t.Fatal(err)
	}
	// A unix socket's path must be short; the names of tests make those of t.TempDir long.
	sockets, err := os.MkdirTemp("", "edge-*") //nolint:usetesting // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(sockets) })
	e.environment = map[string]string{
		"EDGE_HTTP_ADDR": e.http, "EDGE_HTTPS_ADDR": e.https, "EDGE_HTTPS_PORT": httpsPort, "EDGE_METRICS_ADDR": e.metrics,
		"EDGE_ADMIN_SOCKET": filepath.Join(sockets, "admin.sock"), "EDGE_DATA": e.dir,
	}
	for i := 0; i+1 < len(more); i += 2 {
		e.environment[more[i]] = more[i+1]
	}
	return e
}

// start starts the edge and waits until it serves; it is stopped with the test.
func (e *edge) start() {
	e.t.Helper()
	e.launch()
	e.eventually("the edge is up", func() error {
		_, err := e.command("", "healthcheck")
		return err
	})
}

// launch starts the edge's process.
func (e *edge) launch() {
	e.t.Helper()
	e.cmd = e.process(context.Background(), "run")
	e.log, e.output = &journal{}, &journal{}
	e.cmd.Stderr, e.cmd.Stdout = e.log, e.output
	if err := e.cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	cmd, log := e.cmd, e.log
	e.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if e.t.Failed() {
			e.t.Logf("the edge's log:\n%s", log)
		}
	})
}

func (e *edge) process(ctx context.Context, args ...string) *exec.Cmd {
	e.t.Helper()
	path, err := binary()
	if err != nil {
		e.t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"HOME=" + e.dir}
	for name, value := range e.environment {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

// end sends a signal and waits for the end; it returns the exit code, -1 for a killed process.
func (e *edge) end(signal syscall.Signal) int {
	e.t.Helper()
	if err := e.cmd.Process.Signal(signal); err != nil {
		e.t.Fatal(err)
	}
	_ = e.cmd.Wait()
	return e.cmd.ProcessState.ExitCode()
}

// command runs another command of the edge. The error holds its exit code and error output.
func (e *edge) command(stdin string, args ...string) (string, error) {
	cmd := e.process(e.t.Context(), args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%w: %s", err, stderr.String())
	}
	return stdout.String(), nil
}

// set sets the slots as an operator would.
func (e *edge) set(request string) slots.State {
	e.t.Helper()
	out, err := e.command(request, "slots", "set")
	if err != nil {
		e.t.Fatalf("edge slots set: %v", err)
	}
	return e.decode(out)
}

// state is what `edge slots` prints, asked for over the socket because a process for each question would be slow.
func (e *edge) state() slots.State {
	e.t.Helper()
	res, err := e.admin().Get("http://edge/slots")
	if err != nil {
		e.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	return e.decode(string(text))
}

// shift sets the slots over the socket, fast.
func (e *edge) shift(request string) error {
	req, err := http.NewRequestWithContext(e.t.Context(), http.MethodPut, "http://edge/slots", strings.NewReader(request))
	if err != nil {
		return err
	}
	res, err := e.admin().Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(res.Body)
		return fmt.Errorf("%s: %s", res.Status, text)
	}
	return nil
}

func (e *edge) admin() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", e.environment["EDGE_ADMIN_SOCKET"])
		},
	}}
}

func (e *edge) decode(text string) slots.State {
	e.t.Helper()
	var state slots.State
	if err := json.Unmarshal([]byte(text), &state); err != nil {
		e.t.Fatalf("%v in %s", err, text)
	}
	return state
}

// healthy waits until every replica is.
func (e *edge) healthy() {
	e.t.Helper()
	e.eventually("every replica is healthy", func() error {
		for name, slot := range e.state().Slots {
			for _, r := range slot.Replicas {
				if !r.Healthy {
					return fmt.Errorf("%s of %s: %s", r.Address, name, r.Detail)
				}
			}
		}
		return nil
	})
}

// metric returns the value of one line of the metrics, name and labels as they are printed.
func (e *edge) metric(line string) string {
	e.t.Helper()
	for got := range strings.Lines(get(e.t, "http://"+e.metrics+"/metrics").body) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(got), line+" "); ok {
			return value
		}
	}
	return ""
}

// eventually polls until check is content.
func (e *edge) eventually(what string, check func() error) {
	e.t.Helper()
	eventually(e.t, what, 60*time.Second, check)
}

// eventually polls until check is content. The limit is for a machine that is busy with other things.
func eventually(t *testing.T, what string, limit time.Duration, check func() error) {
	t.Helper()
	deadline := time.After(limit)
	ticks := time.NewTicker(20 * time.Millisecond)
	defer ticks.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("not within %v: %s: %v", limit, what, err)
		case <-ticks.C:
		}
	}
}

// answer is a whole answer, read to its end.
type answer struct {
	status, proto int // proto is the major version of HTTP
	header        http.Header
	body          string
	serial        string // of the server's certificate
}

// fetch sends a GET and reads the whole answer.
func fetch(client *http.Client, url string) (answer, error) {
	res, err := client.Get(url)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	a := answer{status: res.StatusCode, proto: res.ProtoMajor, header: res.Header, body: string(body)}
	if res.TLS != nil {
		a.serial = res.TLS.PeerCertificates[0].SerialNumber.String()
	}
	return a, err
}

// post sends text.
func post(url, text string) (answer, error) {
	res, err := http.Post(url, "text/plain", strings.NewReader(text))
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return answer{status: res.StatusCode, proto: res.ProtoMajor, header: res.Header, body: string(body)}, err
}

// get sends a GET that must be answered.
func get(t *testing.T, url string) answer {
	t.Helper()
	a, err := fetch(http.DefaultClient, url)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// freeAddress returns a loopback address that nobody listens on, for TCP and UDP.
func freeAddress(t *testing.T) string {
	t.Helper()
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
