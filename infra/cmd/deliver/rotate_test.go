package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bookshelf/infra/credentials"
	"bookshelf/infra/delivery"
	"bookshelf/infra/environment"
	"bookshelf/infra/release"
	"bookshelf/infra/release/probe"
)

// full reports whether everything is to be tried, or the short form.
func full() bool { return os.Getenv("E2E") == "full" }

// TestPasswordsAreRotatedUnderLoad is one life of an environment with two replicas; each step starts where the one before ended.
//
//nolint:paralleltest // the steps are an order
func TestPasswordsAreRotatedUnderLoad(t *testing.T) {
	b := newBench(t)
	b.configure("  bookshelf:port: %s\n  bookshelf:shutdownGrace: 0s\n  bookshelf:appMemoryMiB: 64\n  bookshelf:databaseMemoryMiB: 256\n  bookshelf:replicas: 2\n",
		b.url[strings.LastIndex(b.url, ":")+1:])
	b.up("--image", b.image)
	b.makeToken()
	t.Run("two rotations lose nothing, and the old passwords are refused", b.testRotations)
	t.Run("an up afterwards changes nothing", func(t *testing.T) {
		if up := b.up(); len(up.Changes) != 0 || len(up.Repaired) != 0 {
			t.Errorf("changes %v, repairs %v", up.Changes, up.Repaired)
		}
		b.wantServing()
	})
	t.Run("no password is to be found outside its file", b.testSecrecy)
	t.Run("each role may do its own and nothing else", b.testPrivileges)
	t.Run("nobody reaches what is not for him", b.testReach)
	t.Run("a login that somebody has changed is reported and not papered over", b.testLockout)
	t.Run("what is not due stays", b.testDue)
	t.Run("another machine takes over", b.testMove)
	t.Run("a rotation that is killed converges", b.testKilledRotations)
}

// makeToken makes the token that requests show.
func (b *bench) makeToken() {
	b.t.Helper()
	code, token, complaint := b.deliver("exec", "--", "token", "create", "--scopes", "books:read,books:write", "test")
	if code != exitDone {
		b.t.Fatalf("making a token: exit code %d: %s", code, complaint)
	}
	b.token = strings.TrimSpace(token)
}

// underProbe sends a constant stream of so many requests a second while work is done, and returns what became of each of them.
func (b *bench) underProbe(run string, rate float64, work func()) release.Account {
	b.t.Helper()
	config, err := environment.Load(b.name, func(string) string { return "" })
	b.must(err)
	stream, err := probe.Parse(string(config.Service.Probe))
	b.must(err)
	stream.Rate = rate
	p, err := probe.Start(b.t.Context(), stream.Authorized(b.token), b.url, run)
	b.must(err)
	work()
	return p.Stop(b.t.Context())
}

// rotate rotates and returns the result.
func (b *bench) rotate(args ...string) delivery.RotateResult {
	b.t.Helper()
	code, stdout, stderr := b.deliver(append([]string{"rotate", "--json"}, args...)...)
	var result delivery.RotateResult
	if err := json.Unmarshal([]byte(stdout), &result); err != nil || code != exitDone {
		b.t.Fatalf("rotate: exit code %d: %s", code, stderr)
	}
	return result
}

func (b *bench) secrets() string { return filepath.Join(b.root, ".bookshelf", b.name, "secrets") }

func (b *bench) passwords() credentials.Set {
	b.t.Helper()
	set, err := credentials.Load(b.secrets())
	b.must(err)
	return set
}

// psql runs a statement as a role, by TCP as the service does, and returns what it printed, the complaint included.
func (b *bench) psql(role, password, database, statement string) (string, error) {
	b.t.Helper()
	command := exec.CommandContext(b.t.Context(), "docker", "exec", "--interactive", b.container("postgres"), "sh", "-c",
		`read -r PGPASSWORD; export PGPASSWORD; exec psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 --host=127.0.0.1 --username="$1" --dbname="$2" 2>&1`,
		"psql", role, database)
	command.Stdin = strings.NewReader(password + "\n" + statement)
	out, err := command.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (b *bench) testRotations(t *testing.T) {
	var before []credentials.Set
	var results []delivery.RotateResult
	rate := 40.0
	if full() {
		rate = 150
	}
	account := b.underProbe(fmt.Sprintf("rotation-%d", os.Getpid()), rate, func() {
		for range 2 {
			before = append(before, b.passwords())
			results = append(results, b.rotate())
		}
	})
	t.Logf("%d requests sent, %d answered, %d failed, %d lost over two rotations of %.1f s and %.1f s, connections waited for %.1f s and %.1f s",
		account.Sent, account.Answered, account.Failed, account.Lost, results[0].Seconds, results[1].Seconds, results[0].WaitSeconds, results[1].WaitSeconds)
	if account.Sent == 0 || account.Answered != account.Sent {
		t.Errorf("%d sent, %d answered, %d failed, %d lost: %+v", account.Sent, account.Answered, account.Failed, account.Lost,
			account.Losses[:min(3, len(account.Losses))])
	}
	for i, want := range []string{"bookshelf_app_b", "bookshelf_app_a"} {
		if r := results[i]; r.Active != want || !r.OldRefused || len(r.Rotated) != 5 {
			t.Errorf("rotation %d: %+v", i+1, r)
		}
	}
	for _, old := range before {
		for role, password := range map[string]string{
			"postgres": old.Superuser, "bookshelf_owner": old.Owner, "bookshelf_" + old.App.Role: old.App.Password,
			"bookshelf_metrics": old.Metrics, "bookshelf_readonly": old.ReadOnly,
		} {
			if out, err := b.psql(role, password, "bookshelf", "SELECT 1"); err == nil || !strings.Contains(out, "FATAL") {
				t.Errorf("%s still logs in with an old password: %s", role, out)
			}
		}
	}
}

func (b *bench) testLockout(t *testing.T) {
	now := b.passwords()
	role := "bookshelf_" + now.App.Role
	if out, err := b.psql("postgres", now.Superuser, "postgres", fmt.Sprintf("ALTER ROLE %s PASSWORD 'somebody was here'", role)); err != nil {
		t.Fatal(out)
	}
	if code, status := b.status(); code != exitFailed || !strings.Contains(strings.Join(status.Problems, "\n"), role+" is locked out") {
		t.Errorf("status has exit code %d and says %q", code, status.Problems)
	}
	code, _, stderr := b.deliver("rotate")
	if code != exitPerson || !strings.Contains(stderr, role+" is locked out") {
		t.Errorf("rotate: exit code %d, want %d: %s", code, exitPerson, stderr)
	}
	if after := b.passwords(); after != now {
		t.Error("something was changed all the same")
	}
	if result := b.rotate("--accept-lockout"); result.Former != role {
		t.Errorf("%+v", result)
	}
	b.wantServing()
	if code, status := b.status(); code != exitDone {
		t.Errorf("afterwards: %q", status.Problems)
	}
}

func (b *bench) testDue(t *testing.T) {
	for _, args := range [][]string{{"--due"}, {"--if-older-than", "1h"}} {
		if result := b.rotate(args...); len(result.Rotated) != 0 || result.Active != "" {
			t.Errorf("%v: %+v", args, result)
		}
	}
	_, status := b.status()
	if len(status.Secrets) != 1 || status.Secrets[0].Overdue || status.Secrets[0].AgeSeconds > 3600 {
		t.Errorf("status says %+v", status.Secrets)
	}
	metrics, err := os.ReadFile(filepath.Join(b.root, ".bookshelf", b.name, "metrics", "secrets.prom"))
	if want := "rotation_last_success_timestamp_seconds{secret=\"database\"} "; err != nil || !strings.Contains(string(metrics), want) {
		t.Errorf("%v: %s", err, metrics)
	}
}

// testKilledRotations kills deliver when it has said each of these, and lets the next run bring the rotation to its end, every second time
// by an up.
func (b *bench) testKilledRotations(t *testing.T) {
	if !full() {
		t.Skip("make e2e-secrets runs it: the tests of package rotation stop after every single step")
	}
	lines := []string{"setting 5 passwords", "handing over", "waiting until", "can log in no more", "create container roles"}
	account := b.underProbe(fmt.Sprintf("kills-%d", os.Getpid()), 40, func() {
		for i, line := range lines {
			before := b.passwords().App.Role
			b.killAt(line)
			if i%2 == 1 {
				b.up()
			}
			b.rotate()
			b.wantServing()
			if again := b.up(); len(again.Changes) != 0 && len(b.up().Changes) != 0 {
				t.Errorf("killed at %q: an up always changes something: %v", line, again.Changes)
			}
			if code, status := b.status(); code != exitDone {
				t.Errorf("killed at %q: %q", line, status.Problems)
			}
			t.Logf("killed at %q: %s before, %s after", line, before, b.passwords().App.Role)
		}
	})
	t.Logf("%d requests sent, %d answered, %d failed, %d lost", account.Sent, account.Answered, account.Failed, account.Lost)
	if account.Answered != account.Sent {
		t.Errorf("%+v", account.Losses[:min(3, len(account.Losses))])
	}
}

// killAt starts a rotation as a process of its own and kills it when it has said something.
func (b *bench) killAt(line string) {
	b.t.Helper()
	process := exec.CommandContext(b.t.Context(), os.Args[0], "rotate", "-e", b.name, "--repository", b.root)
	process.Env = append(os.Environ(), asProcess+"=1")
	said := &watched{want: line, seen: make(chan struct{})}
	process.Stdout, process.Stderr = said, said
	b.must(process.Start())
	done := make(chan error, 1)
	go func() { done <- process.Wait() }()
	select {
	case <-said.seen:
		b.must(process.Process.Kill())
		<-done
	case err := <-done:
		b.t.Fatalf("rotate ended (%v) before it said %q: %s", err, line, said.text.String())
	}
}

// watched tells when something was written to it.
type watched struct {
	want string
	text bytes.Buffer
	seen chan struct{}
}

func (w *watched) Write(p []byte) (int, error) {
	had := strings.Contains(w.text.String(), w.want)
	w.text.Write(p)
	if !had && strings.Contains(w.text.String(), w.want) {
		close(w.seen)
	}
	return len(p), nil
}

// processes looks at the command lines and, where they are the service's, the environments of everything that runs in a container.
func (b *bench) processes(container string) string {
	b.t.Helper()
	var seen bytes.Buffer
	for _, pid := range strings.Fields(b.docker("top", container, "-o", "pid"))[1:] {
		for _, file := range []string{"cmdline", "environ"} {
			content, err := os.ReadFile(filepath.Join("/proc", pid, file))
			if err == nil {
				seen.Write(content)
			}
		}
	}
	return seen.String()
}

// secretValues are the secrets of the environment by file.
func (b *bench) secretValues() map[string]string {
	b.t.Helper()
	values := map[string]string{}
	entries, err := os.ReadDir(b.secrets())
	b.must(err)
	for _, entry := range entries {
		if slices.Contains([]string{".json"}, filepath.Ext(entry.Name())) {
			continue // when they were made
		}
		content, err := os.ReadFile(filepath.Join(b.secrets(), entry.Name()))
		b.must(err)
		lines := strings.Fields(string(content))
		values[entry.Name()] = lines[len(lines)-1]
	}
	if len(values) < 5 {
		b.t.Fatalf("only %d secrets were found", len(values))
	}
	return values
}
