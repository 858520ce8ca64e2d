package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bookshelf/tools/internal/docker"
)

// These tests hold for the official image as well: they are the contract that the stand-in keeps.

const postgresImage = "postgres:17-trixie"

func needPostgres(t *testing.T) {
	t.Helper()
	image, err := docker.InspectImage(t.Context(), postgresImage)
	if err == nil && image != nil {
		return
	}
	const missing = "the engine, or its image " + postgresImage + ", is missing; `make bases` provides it"
	if os.Getenv("REQUIRE_SERVICES") == "1" {
		t.Fatalf("%s (%v)", missing, err)
	}
	t.Skipf("%s (%v)", missing, err)
}

// server is a container of the image.
type server struct{ name string }

// start runs a container; arguments come before and after the image's name.
func start(t *testing.T, before, after []string) server {
	t.Helper()
	needPostgres(t)
	prefix := os.Getenv("BOOKSHELF_TEST_RUN")
	if prefix == "" {
		prefix = "bookshelf-test"
	}
	s := server{name: prefix + "-contract-" + strings.ToLower(rand.Text()[:8])}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := docker.Output(ctx, "rm", "--force", "--volumes", s.name); err != nil {
			t.Error(err)
		}
	})
	args := append([]string{"run", "--detach", "--name", s.name}, before...)
	s.docker(t, append(append(args, postgresImage), after...)...)
	return s
}

func (s server) docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := docker.Output(t.Context(), args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, s.logs(t))
	}
	return out
}

func (s server) logs(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "docker", "logs", s.name).CombinedOutput()
	if err != nil {
		return err.Error()
	}
	return string(out)
}

// waitReady waits until the server answers from outside its container's socket.
func (s server) waitReady(t *testing.T) {
	t.Helper()
	deadline := time.NewTimer(90 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := docker.Output(t.Context(), "exec", s.name, "pg_isready", "--host=127.0.0.1", "--username=postgres"); err == nil {
			return
		}
		if running := s.docker(t, "inspect", "--format", "{{.State.Running}}", s.name); running != "true" {
			t.Fatalf("the server ended:\n%s", s.logs(t))
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("the server does not answer:\n%s", s.logs(t))
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
}

// query asks over TCP, with a password, and so by the rules for everybody outside.
func (s server) query(t *testing.T, user, password, database, sql string) string {
	t.Helper()
	return s.docker(t, "exec", "--env", "PGPASSWORD="+password, s.name, "psql", "--no-psqlrc", "--tuples-only", "--no-align",
		"--host", s.docker(t, "exec", s.name, "hostname", "-i"), "--username", user, "--dbname", database, "--command", sql)
}

// exitCode waits for the container's end.
func (s server) exitCode(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	code, err := docker.Output(ctx, "wait", s.name)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// shared writes files into a folder that any user of a container can read.
func shared(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		mode := os.FileMode(0o644)
		if strings.HasSuffix(name, ".x.sh") {
			mode = 0o755
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil { // whatever the umask is
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPostgresIsSetUpAsItsEnvironmentSays(t *testing.T) {
	t.Parallel()
	secrets := shared(t, map[string]string{"password": "it's \"secret\" $HOME\n"})
	scripts := shared(t, map[string]string{
		"1-schema.sql": `CREATE TABLE steps (n serial, name text); INSERT INTO steps (name) VALUES ('sql');`,
		"2-sourced.sh": `psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" -c "INSERT INTO steps (name) VALUES ('sourced')"`,
		"3-run.x.sh":   "#!/bin/sh\npsql --username \"$POSTGRES_USER\" --dbname \"$POSTGRES_DB\" -c \"INSERT INTO steps (name) VALUES ('executed')\"\n",
		"4-more.sql.gz": gzipped(t, `INSERT INTO steps (name) VALUES ('gzip');
			INSERT INTO steps (name) SELECT 'listens on ' || setting FROM pg_settings WHERE name = 'listen_addresses' AND setting <> '';`),
		"5-notes.txt": "not a script",
	})
	s := start(t, []string{
		"--volume", secrets + ":/run/secrets:ro", "--env", "POSTGRES_PASSWORD_FILE=/run/secrets/password",
		"--env", "POSTGRES_USER=Owner", "--env", "POSTGRES_DB=book shelf", "--env", "POSTGRES_INITDB_ARGS=--data-checksums --wal-segsize='4'",
		"--volume", scripts + ":/docker-entrypoint-initdb.d:ro",
	}, []string{"-c", "max_connections=17", "-c", "cluster_name=with a space"})
	s.waitReady(t)
	ask := func(sql string) string {
		t.Helper()
		return s.query(t, "Owner", "it's \"secret\" $HOME", "book shelf", sql)
	}
	if got := ask("SELECT string_agg(name, ',' ORDER BY n) FROM steps"); got != "sql,sourced,executed,gzip" {
		t.Errorf("the scripts ran as %q; the temporary server must listen on its socket alone", got)
	}
	for setting, want := range map[string]string{
		"max_connections": "17", "cluster_name": "with a space", "data_checksums": "on", "wal_segment_size": "4MB",
		"password_encryption": "scram-sha-256", "listen_addresses": "*", "data_directory": "/var/lib/postgresql/data",
	} {
		if got := ask("SHOW " + setting); got != want {
			t.Errorf("%s is %q, want %q", setting, got, want)
		}
	}
	if got := ask("SELECT rolsuper::text || (SELECT count(*) FROM pg_roles WHERE rolname = 'postgres') FROM pg_roles WHERE rolname = 'Owner'"); got != "true0" {
		t.Errorf("the superuser is not Owner alone: %q", got)
	}
	if _, err := docker.Output(t.Context(), "exec", "--env", "PGPASSWORD=wrong", s.name, "sh", "-c", `psql --host "$(hostname -i)" --username Owner --dbname 'book shelf' --command 'SELECT 1'`); err == nil {
		t.Error("a wrong password lets in from outside")
	}
	if got := s.docker(t, "exec", s.name, "stat", "-c", "%u:%g", "/proc/1"); got != "999:999" {
		t.Errorf("the server runs as %s, want 999:999", got)
	}
}

func TestPostgresKeepsItsDataAndStopsCleanly(t *testing.T) {
	t.Parallel()
	scripts := shared(t, map[string]string{"once.sql": "CREATE TABLE once (n int)"})
	s := start(t, []string{"--env", "POSTGRES_PASSWORD=first", "--volume", scripts + ":/docker-entrypoint-initdb.d:ro"}, nil)
	s.waitReady(t)
	s.query(t, "postgres", "first", "postgres", "INSERT INTO once VALUES (1)")

	s.docker(t, "stop", "--time", "60", s.name)
	if code := s.docker(t, "inspect", "--format", "{{.State.ExitCode}} {{.Config.StopSignal}}", s.name); code != "0 SIGINT" {
		t.Errorf("after stopping: exit code and stop signal %q, want 0 SIGINT", code)
	}
	if !strings.Contains(s.logs(t), "database system is shut down") {
		t.Errorf("it was not shut down cleanly:\n%s", s.logs(t))
	}

	s.docker(t, "start", s.name)
	s.waitReady(t)
	// A second run of the script would have failed on the table.
	if got := s.query(t, "postgres", "first", "postgres", "SELECT count(*) FROM once"); got != "1" {
		t.Errorf("after a restart there are %s rows, want 1", got)
	}
	if strings.Contains(s.logs(t), "not properly shut down") {
		t.Error("after a clean stop it recovered as from a crash")
	}
}

func TestPostgresRunsHardened(t *testing.T) {
	t.Parallel()
	for user, owner := range map[string]string{"999:999": "uid=999,gid=999", "12345:23456": "uid=12345,gid=23456"} {
		t.Run("as "+user, func(t *testing.T) {
			t.Parallel()
			s := start(t, []string{
				"--user", user, "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges:true", "--env", "POSTGRES_PASSWORD=x",
				"--tmpfs", "/var/lib/postgresql/data:" + owner + ",mode=0700", "--tmpfs", "/var/run/postgresql:" + owner + ",mode=0755", "--tmpfs", "/tmp",
			}, []string{"postgres", "-c", "fsync=off"})
			s.waitReady(t)
			if got := s.query(t, "postgres", "x", "postgres", "SHOW fsync"); got != "off" {
				t.Errorf("fsync is %q, want off", got)
			}
			if got := s.docker(t, "exec", s.name, "stat", "-c", "%u:%g", "/proc/1"); got != user {
				t.Errorf("the server runs as %s, want %s", got, user)
			}
		})
	}
}

func TestPostgresRefusesToStartWithoutAPassword(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		env  []string
		says string
	}{
		"none":                   {nil, "POSTGRES_PASSWORD"},
		"both ways at once":      {[]string{"--env", "POSTGRES_PASSWORD=a", "--env", "POSTGRES_PASSWORD_FILE=/etc/hostname"}, "POSTGRES_PASSWORD_FILE"},
		"a file that is missing": {[]string{"--env", "POSTGRES_PASSWORD_FILE=/nowhere"}, "/nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, c.env, nil)
			if code := s.exitCode(t); code == "0" {
				t.Error("it ended as if all were well")
			}
			if !strings.Contains(s.logs(t), c.says) {
				t.Errorf("it does not speak of %s:\n%s", c.says, s.logs(t))
			}
		})
	}
}

func TestPostgresWithTrustNeedsNoPassword(t *testing.T) {
	t.Parallel()
	s := start(t, []string{"--env", "POSTGRES_HOST_AUTH_METHOD=trust"}, nil)
	s.waitReady(t)
	if got := s.query(t, "postgres", "", "postgres", "SELECT 1"); got != "1" {
		t.Errorf("the answer is %q", got)
	}
}

func TestAFailingSetUpScriptEndsTheContainer(t *testing.T) {
	t.Parallel()
	scripts := shared(t, map[string]string{"bad.sql": "SELECT nonsense"})
	s := start(t, []string{"--env", "POSTGRES_PASSWORD=x", "--volume", scripts + ":/docker-entrypoint-initdb.d:ro"}, nil)
	if code := s.exitCode(t); code == "0" {
		t.Error("it ended as if all were well")
	}
	if !strings.Contains(s.logs(t), "nonsense") {
		t.Errorf("the log does not show the mistake:\n%s", s.logs(t))
	}
}

func TestOtherCommandsRunAsTheyAre(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	for _, c := range []struct {
		command []string
		says    string
	}{
		{[]string{"postgres", "--version"}, "postgres (PostgreSQL) 17"},
		{[]string{"psql", "--version"}, "psql (PostgreSQL) 17"},
		{[]string{"sh", "-c", "echo $PGDATA"}, "/var/lib/postgresql/data"},
	} {
		out, err := docker.Output(t.Context(), append([]string{"run", "--rm", postgresImage}, c.command...)...)
		if err != nil || !strings.Contains(out, c.says) {
			t.Errorf("%q says %q, %v; want %q", c.command, out, err, c.says)
		}
	}
}
