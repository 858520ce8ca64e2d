// Package engine drives a container engine from tests: what they start has names that a test run finds again, and goes when the test
// ends.
package engine

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// PostgresImage is the database as the product is delivered with.
const PostgresImage = "postgres:17-trixie"

// Need skips the test, or fails it where services are required, when something is missing.
func Need(t testing.TB, there bool, what string) {
	t.Helper()
	if there {
		return
	}
	if os.Getenv("REQUIRE_SERVICES") == "1" {
		t.Fatalf("%s; `make test` provides it", what)
	}
	t.Skipf("%s; `make test` provides it", what)
}

// NeedPostgres makes sure of an engine that holds the postgres image.
func NeedPostgres(t testing.TB) {
	t.Helper()
	_, err := Try(t.Context(), "version")
	Need(t, err == nil, "no container engine answers")
	_, err = Try(t.Context(), "image", "inspect", PostgresImage)
	Need(t, err == nil, "the engine has no image "+PostgresImage)
}

// ImageUnderTest returns the ID or name of the service's image.
func ImageUnderTest(t testing.TB) string {
	t.Helper()
	NeedPostgres(t)
	image := os.Getenv("BOOKSHELF_IMAGE")
	Need(t, image != "", "BOOKSHELF_IMAGE is not set")
	_, err := Try(t.Context(), "image", "inspect", image)
	Need(t, err == nil, "the engine has no image "+image)
	return image
}

// UniqueName is a name for something of this test in the engine. The prefix lets the test run remove what an interrupted
// test leaves.
func UniqueName() string {
	prefix := os.Getenv("BOOKSHELF_TEST_RUN")
	if prefix == "" {
		prefix = "bookshelf-test"
	}
	return prefix + "-" + strings.ToLower(rand.Text()[:8])
}

// Try runs `docker args…` and returns what it printed, on both streams where it failed.
func Try(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "docker", args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err != nil {
		return strings.TrimSpace(stdout.String() + stderr.String()), err
	}
	return strings.TrimSpace(stdout.String()), nil
}

// Run runs `docker args…` and returns what it printed.
func Run(t testing.TB, args ...string) string {
	t.Helper()
	out, err := Try(t.Context(), args...)
	if err != nil {
		t.Fatalf("docker %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return out
}

// CleanUp runs `docker args…` when the test has ended, whatever became of it.
func CleanUp(t testing.TB, args ...string) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if out, err := Try(ctx, args...); err != nil {
			t.Errorf("docker %s: %v: %s", strings.Join(args, " "), err, out)
		}
	})
}

// Container is what tests read of docker inspect.
type Container struct {
	Name  string
	State struct {
		Status    string
		ExitCode  int
		OOMKilled bool
		Health    *struct{ Status string }
	}
	Config struct {
		User string
		Env  []string
	}
	HostConfig struct {
		ReadonlyRootfs bool
		Privileged     bool
		CapDrop        []string
		SecurityOpt    []string
		Memory         int64
		NanoCPUs       int64 `json:"NanoCpus"`
		CPUQuota       int64 `json:"CpuQuota"`
		PidsLimit      *int64
		PortBindings   map[string][]struct{ HostIP string }
	}
	NetworkSettings struct {
		Networks map[string]struct{}
		Ports    map[string][]struct{ HostIP, HostPort string }
	}
}

// Inspect looks a container up.
func Inspect(t testing.TB, name string) Container {
	t.Helper()
	var found []Container
	if err := json.Unmarshal([]byte(Run(t, "container", "inspect", name)), &found); err != nil {
		t.Fatalf("read docker inspect: %v", err)
	}
	if len(found) != 1 {
		t.Fatalf("docker inspect %s found %d containers", name, len(found))
	}
	return found[0]
}

// Eventually waits until condition returns "", and fails the test with what it returned last when that takes too long.
func Eventually(t testing.TB, what string, condition func() (missing string)) {
	t.Helper()
	deadline := time.NewTimer(90 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		missing := condition()
		if missing == "" {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%s: still %s", what, missing)
		case <-t.Context().Done():
			t.Fatalf("%s: %v", what, t.Context().Err())
		}
	}
}

// WaitHealthy waits until the container's own health check succeeds.
func WaitHealthy(t testing.TB, name string) {
	t.Helper()
	Eventually(t, name+" becomes healthy", func() string {
		c := Inspect(t, name)
		switch {
		case c.State.Status == "exited":
			t.Fatalf("%s ended with %d:\n%s", name, c.State.ExitCode, Run(t, "logs", name))
		case c.State.Health == nil:
			return "without a health check"
		case c.State.Health.Status != "healthy":
			return c.State.Health.Status
		}
		return ""
	})
}

// Address returns where the engine published the container's port.
func Address(t testing.TB, name, port string) string {
	t.Helper()
	ports := Inspect(t, name).NetworkSettings.Ports[port]
	if len(ports) == 0 {
		t.Fatalf("%s does not publish %s", name, port)
	}
	return ports[0].HostIP + ":" + ports[0].HostPort
}

// Roles are the statements of a superuser that make the roles and the database that docs/contract.md speaks of. All roles that log in
// have the password.
func Roles(password string) []string {
	return []string{
		"CREATE ROLE bookshelf_owner LOGIN PASSWORD '" + password + "'",
		"CREATE ROLE bookshelf_app",
		"CREATE ROLE bookshelf_app_a LOGIN PASSWORD '" + password + "' IN ROLE bookshelf_app",
		"CREATE DATABASE bookshelf OWNER bookshelf_owner",
	}
}

// Hardening are the flags of `docker run` that the service has to live with.
func Hardening() []string {
	return []string{"--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges:true", "--memory=128m", "--pids-limit=100"}
}
