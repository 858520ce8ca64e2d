package conformance

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

const postgresImage = "postgres:17-trixie"

// need skips the test, or fails it where services are required, when something is missing.
func need(t *testing.T, there bool, what string) {
	t.Helper()
	if there {
		return
	}
	if os.Getenv("REQUIRE_SERVICES") == "1" {
		t.Fatalf("%s; `make test` provides it", what)
	}
	t.Skipf("%s; `make test` provides it", what)
}

// needEngine makes sure of an engine that holds the postgres image.
func needEngine(t *testing.T) {
	t.Helper()
	_, err := tryDocker(t.Context(), "version")
	need(t, err == nil, "no container engine answers")
	_, err = tryDocker(t.Context(), "image", "inspect", postgresImage)
	need(t, err == nil, "the engine has no image "+postgresImage)
}

// imageUnderTest returns the ID or name of the service's image.
func imageUnderTest(t *testing.T) string {
	t.Helper()
	needEngine(t)
	image := os.Getenv("BOOKSHELF_IMAGE")
	need(t, image != "", "BOOKSHELF_IMAGE is not set")
	_, err := tryDocker(t.Context(), "image", "inspect", image)
	need(t, err == nil, "the engine has no image "+image)
	return image
}

// uniqueName is a name for something of this test in the engine. The prefix lets the test run remove what an interrupted
// test leaves.
func uniqueName() string {
	prefix := os.Getenv("BOOKSHELF_TEST_RUN")
	if prefix == "" {
		prefix = "bookshelf-test"
	}
	return prefix + "-" + strings.ToLower(rand.Text()[:8])
}

func tryDocker(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "docker", args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err != nil {
		return strings.TrimSpace(stdout.String() + stderr.String()), err
	}
	return strings.TrimSpace(stdout.String()), nil
}

// docker runs `docker args…` and returns what it printed.
func docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := tryDocker(t.Context(), args...)
	if err != nil {
		t.Fatalf("docker %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return out
}

// cleanUp runs `docker args…` when the test has ended, whatever became of it.
func cleanUp(t *testing.T, args ...string) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if out, err := tryDocker(ctx, args...); err != nil {
			t.Errorf("docker %s: %v: %s", strings.Join(args, " "), err, out)
		}
	})
}

// container is what these tests read of docker inspect.
type container struct {
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

func inspect(t *testing.T, name string) container {
	t.Helper()
	var found []container
	if err := json.Unmarshal([]byte(docker(t, "container", "inspect", name)), &found); err != nil {
		t.Fatalf("read docker inspect: %v", err)
	}
	if len(found) != 1 {
		t.Fatalf("docker inspect %s found %d containers", name, len(found))
	}
	return found[0]
}

// eventually waits until condition returns "", and fails the test with what it returned last when that takes too long.
func eventually(t *testing.T, what string, condition func() (missing string)) {
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

// waitHealthy waits until the container's own health check succeeds.
func waitHealthy(t *testing.T, name string) {
	t.Helper()
	eventually(t, name+" becomes healthy", func() string {
		c := inspect(t, name)
		switch {
		case c.State.Status == "exited":
			t.Fatalf("%s ended with %d:\n%s", name, c.State.ExitCode, docker(t, "logs", name))
		case c.State.Health == nil:
			return "without a health check"
		case c.State.Health.Status != "healthy":
			return c.State.Health.Status
		}
		return ""
	})
}

// address returns where the engine published the container's port.
func address(t *testing.T, name, port string) string {
	t.Helper()
	ports := inspect(t, name).NetworkSettings.Ports[port]
	if len(ports) == 0 {
		t.Fatalf("%s does not publish %s", name, port)
	}
	return ports[0].HostIP + ":" + ports[0].HostPort
}
