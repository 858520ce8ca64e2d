package faults

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bookshelf/conformance/internal/engine"
)

// full reports whether everything is to be tried, or the short form.
func full() bool { return os.Getenv("E2E") == "full" }

// long skips a test that is not of the short form.
func long(t *testing.T) {
	t.Helper()
	if !full() {
		t.Skip("make e2e-faults runs it: the short form is two faults")
	}
}

// poolSize is DB_MAX_CONNS: less than there are clients.
const poolSize = 10

// shape is how the database and the service of a test differ from the usual.
type shape struct {
	image    string   // of the database; "" for the product's
	data     []string // options of the driver of the data's volume
	flags    []string // of `docker run`, for the database
	settings []string // of PostgreSQL, as NAME=VALUE
	service  []string // variables of the service, as NAME=VALUE
	scopes   string   // of a token for the clients; "" for a service that wants none
}

// stack is the service on a database of its own, on networks of its own: as delivered, the database's has no way out. The data is on a volume, and nothing is traded for speed:
// what was acknowledged has to be there after a kill.
type stack struct {
	t        *testing.T
	name     string // of the database's network, and the beginning of all other names
	db, app  string // containers
	data     string // volume
	password string // file with the password of every role
	image    string // of the service
	api      string // URL
	admin    string // URL
	token    string // for the header of its clients; may be ""
}

func newStack(t *testing.T, s shape) *stack {
	t.Helper()
	image := engine.ImageUnderTest(t)
	name := engine.UniqueName()
	st := &stack{
		t: t, name: name, db: name + "-postgres", app: name + "-app", data: name + "-data", image: image,
		password: filepath.Join(t.TempDir(), "password"),
	}
	password := rand.Text()
	// Readable for any user in a container; on this host the folder is ours alone.
	if err := os.WriteFile(st.password, []byte(password), 0o444); err != nil {
		t.Fatal(err)
	}
	for network, flags := range map[string][]string{name: {"--internal"}, name + "-front": nil} {
		st.docker(append(append([]string{"network", "create", "--label", "bookshelf.test=" + name}, flags...), network)...)
		engine.CleanUp(t, "network", "rm", network)
	}
	st.volume(st.data, s.data...)
	if s.image == "" {
		s.image = engine.PostgresImage
	}
	args := []string{
		"run", "--detach", "--name", st.db, "--network", name, "--label", "bookshelf.test=" + name, "--restart", "unless-stopped",
		"--memory", "512m", "--shm-size", "128m", "--volume", st.data + ":/var/lib/postgresql/data", "--volume", st.password + ":/run/secrets/password:ro",
		"--env", "POSTGRES_PASSWORD_FILE=/run/secrets/password",
	}
	args = append(append(args, s.flags...), s.image)
	for _, setting := range s.settings {
		args = append(args, "-c", setting)
	}
	st.docker(args...)
	engine.CleanUp(t, "rm", "--force", "--volumes", st.db)
	st.untilDatabase()
	st.psql("postgres", engine.Roles(password)...)
	st.docker(append(st.run("bookshelf_owner", "--rm"), image, "migrate")...)
	if s.scopes != "" {
		out := st.docker(append(st.run("bookshelf_app_a", "--rm"), image, "token", "create", "--json", "--scopes", s.scopes, "--expires", "1h", "clients")...)
		var made struct{ Token string }
		if err := json.Unmarshal([]byte(out), &made); err != nil || made.Token == "" {
			t.Fatalf("a token: %v: %s", err, out)
		}
		st.token = made.Token
		s.service = append(s.service, "AUTH=required")
	}
	st.serve(s.service...)
	return st
}

// volume makes one that goes with the test. options are those of its driver.
func (s *stack) volume(name string, options ...string) {
	s.t.Helper()
	args := []string{"volume", "create", "--label", "bookshelf.test=" + s.name}
	for _, option := range options {
		args = append(args, "--opt", option)
	}
	s.docker(append(args, name)...)
	engine.CleanUp(s.t, "volume", "rm", "--force", name)
}

// run are the arguments of `docker run` for the service as a role, up to its image.
func (s *stack) run(role string, more ...string) []string {
	args := append([]string{"run", "--network", s.name, "--label", "bookshelf.test=" + s.name}, engine.Hardening()...)
	return append(append(args, "--volume", s.password+":/run/secrets/db_password:ro",
		"--env", "DB_HOST="+s.db, "--env", "DB_NAME=bookshelf", "--env", "DB_USER="+role, "--env", "DB_PASSWORD_FILE=/run/secrets/db_password",
		"--env", "DB_SSLMODE=disable", "--env", fmt.Sprint("DB_MAX_CONNS=", poolSize), "--env", "SHUTDOWN_GRACE=0s", "--env", "AUTH=off"), more...)
}

// serve starts the service. Its time-outs are the defaults.
func (s *stack) serve(variables ...string) {
	s.t.Helper()
	args := s.run("bookshelf_app_a", "--name", s.app, "--publish", "127.0.0.1::8080", "--publish", "127.0.0.1::9090")
	args[0], args[2] = "create", s.name+"-front"
	for _, variable := range variables {
		args = append(args, "--env", variable)
	}
	s.docker(append(args, s.image)...)
	engine.CleanUp(s.t, "rm", "--force", "--volumes", s.app)
	s.docker("network", "connect", s.name, s.app)
	s.docker("start", s.app)
	s.api, s.admin = "http://"+engine.Address(s.t, s.app, "8080/tcp"), "http://"+engine.Address(s.t, s.app, "9090/tcp")
	engine.WaitHealthy(s.t, s.app)
}

func (s *stack) docker(args ...string) string {
	s.t.Helper()
	return engine.Run(s.t, args...)
}

// psql runs statements as the superuser, for whom a few connections are kept. Sessions that are about to be refused take even those for a
// moment, so it may have to ask again.
func (s *stack) psql(database string, statements ...string) (out string) {
	s.t.Helper()
	engine.Eventually(s.t, "a superuser gets in", func() string {
		var err error
		out, err = s.tryPsql(s.t.Context(), database, statements...)
		if strings.Contains(out, "FATAL:  sorry, too many clients already") {
			return out
		}
		if err != nil {
			s.t.Fatalf("psql: %v: %s", err, out)
		}
		return ""
	})
	return out
}

func (s *stack) tryPsql(ctx context.Context, database string, statements ...string) (string, error) {
	args := []string{
		"exec", "--user", "postgres", s.db, "psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", "--dbname", database,
	}
	for _, statement := range statements {
		args = append(args, "--command", statement)
	}
	return engine.Try(ctx, args...)
}

// untilDatabase waits until the database takes connections over the network and writes.
func (s *stack) untilDatabase() {
	s.t.Helper()
	engine.Eventually(s.t, "PostgreSQL answers", func() string {
		// By TCP: while a new cluster is set up, its server listens on its socket alone.
		if out, err := engine.Try(s.t.Context(), "exec", s.db, "pg_isready", "--host=127.0.0.1"); err != nil {
			return out
		}
		if out, err := s.tryPsql(s.t.Context(), "postgres", "SELECT pg_is_in_recovery()"); err != nil || out != "f" {
			return fmt.Sprint(out, err)
		}
		return ""
	})
}

// opened is when PostgreSQL began to take connections the last time, by its own log: asking it takes longer than the service does.
func (s *stack) opened() time.Time {
	s.t.Helper()
	var last time.Time
	out, err := exec.CommandContext(s.t.Context(), "docker", "logs", s.db).CombinedOutput()
	if err != nil {
		s.t.Fatalf("docker logs: %v: %s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, "database system is ready to accept connections") || len(line) < len(logTime) {
			continue
		}
		if at, err := time.Parse(logTime, line[:len(logTime)]); err == nil {
			last = at
		}
	}
	if last.IsZero() {
		s.t.Fatalf("the database's log does not say when it was ready: %s", out)
	}
	return last
}

// logTime is how PostgreSQL begins a line of its log.
const logTime = "2006-01-02 15:04:05.000 MST"

// get returns the status and the body of an answer, 0 for none.
func (s *stack) get(url string) (int, string, http.Header) {
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, err.Error(), nil
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error(), nil
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error(), nil
	}
	return response.StatusCode, string(body), response.Header
}

// wantAliveNotReady asserts what a service without its database says: the process is well, send the requests elsewhere.
func (s *stack) wantAliveNotReady() {
	s.t.Helper()
	if status, body, _ := s.get(s.api + "/livez"); status != http.StatusOK {
		s.t.Errorf("/livez without the database: %d %s", status, body)
	}
	if status, body, header := s.get(s.api + "/readyz"); status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
		s.t.Errorf("/readyz without the database: %d %s", status, body)
	}
}

// metric is a series without labels of what the service tells about itself.
func (s *stack) metric(name string) float64 {
	s.t.Helper()
	_, body, _ := s.get(s.admin + "/metrics")
	for line := range strings.Lines(body) {
		var value float64
		if rest, ok := strings.CutPrefix(line, name); ok && (rest[0] == ' ' || rest[0] == '{') {
			if _, err := fmt.Sscan(rest[strings.LastIndex(rest, " "):], &value); err == nil {
				return value
			}
		}
	}
	s.t.Fatalf("there is no %s in what the service tells about itself", name)
	return 0
}
