package bookd

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"bookshelf/app/client"
	"bookshelf/app/internal/config"
	"bookshelf/app/internal/postgres/database"
	"bookshelf/app/internal/postgres/pgtest"
)

// patience bounds the wait for something that should happen at once; only a failing test ever waits so long.
const patience = 30 * time.Second

// environ is an environment.
type environ map[string]string

func (e environ) lookup(name string) (string, bool) {
	value, ok := e[name]
	return value, ok
}

// databaseEnviron writes opts as the variables that name it, with the password in a file.
func databaseEnviron(t *testing.T, opts database.Options) environ {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(opts.Password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return environ{
		"DB_HOST": opts.Host, "DB_PORT": strconv.Itoa(int(opts.Port)), "DB_NAME": opts.Name, "DB_USER": opts.User,
		"DB_PASSWORD_FILE": file, "DB_SSLMODE": "disable",
	}
}

// output collects what a command writes, and can be waited on.
type output struct {
	mu      sync.Mutex
	b       bytes.Buffer
	changed chan struct{} // closed and replaced by each write
}

func newOutput() *output { return &output{changed: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.changed)
	o.changed = make(chan struct{})
	return o.b.Write(p)
}

func (o *output) read() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String(), o.changed
}

func (o *output) String() string {
	text, _ := o.read()
	return text
}

type logLine struct {
	Msg       string            `json:"msg"`
	Level     string            `json:"level"`
	RequestID string            `json:"request_id"`
	Token     string            `json:"token"`
	Route     string            `json:"http_route"`
	Status    int               `json:"status"`
	Error     string            `json:"error"`
	APIAddr   string            `json:"api_addr"`
	AdminAddr string            `json:"admin_addr"`
	Config    map[string]string `json:"config"`
	Clean     bool              `json:"clean"`
}

// lines parses the whole log; each line has to be one JSON object.
func (o *output) lines(t *testing.T) []logLine {
	t.Helper()
	var out []logLine
	for text := range strings.Lines(o.String()) {
		var line logLine
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("log line %q: %v", text, err)
		}
		out = append(out, line)
	}
	return out
}

// wait returns the first line with the message, once it is there.
func (o *output) wait(t *testing.T, msg string) logLine {
	t.Helper()
	deadline := time.After(patience)
	for {
		_, changed := o.read()
		for _, line := range o.lines(t) {
			if line.Msg == msg {
				return line
			}
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%q is not in the log:\n%s", msg, o)
		}
	}
}

// process is bookd serve, running.
type process struct {
	api, admin string // base URLs
	env        environ
	log        *output
	stop       context.CancelFunc // what SIGTERM does
	done       chan struct{}      // closed when Run has returned
	err        error              // valid after done
}

// start runs bookd serve on free ports and waits until it announces them. It is stopped when the test ends.
func start(t *testing.T, env environ, changes ...environ) *process {
	t.Helper()
	env = maps.Clone(env)
	env["HTTP_ADDR"], env["ADMIN_ADDR"] = "127.0.0.1:0", "127.0.0.1:0"
	env["SHUTDOWN_GRACE"] = "0s"
	env["AUTH"] = "off" // the tests of tokens say otherwise
	for _, change := range changes {
		maps.Copy(env, change)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	p := &process{env: env, log: newOutput(), stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.err = Run(ctx, []string{"serve"}, config.Lookup(env.lookup), strings.NewReader(""), p.log, io.Discard)
	}()
	t.Cleanup(func() {
		cancel()
		p.wait(t)
	})
	line := p.log.wait(t, "serving")
	p.api, p.admin = "http://"+line.APIAddr, "http://"+line.AdminAddr
	return p
}

// client returns a client of the process that sends the token, if there is one.
func (p *process) client(t *testing.T, token string) *client.ClientWithResponses {
	t.Helper()
	var options []client.ClientOption
	if token != "" {
		options = append(options, client.WithToken(token))
	}
	c, err := client.NewClientWithResponses(p.api, options...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wait returns what Run returned.
func (p *process) wait(t *testing.T) error {
	t.Helper()
	select {
	case <-p.done:
		return p.err
	case <-time.After(patience):
		t.Fatalf("serve does not end:\n%s", p.log)
		return nil
	}
}

// startOnDatabase serves a database of the test's own.
func startOnDatabase(t *testing.T, changes ...environ) *process {
	t.Helper()
	return start(t, databaseEnviron(t, pgtest.New(t).App), changes...)
}

// call sends a request and returns the status, the headers and the body.
func call(t *testing.T, method, url, body string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	return exchange(t, req)
}

// exchange sends a request and returns what call does.
func exchange(t *testing.T, req *http.Request) (int, http.Header, string) {
	t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(text)
}
