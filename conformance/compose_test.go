package conformance

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// composes returns the command line of every Compose on this machine, by version: they read the same file differently.
func composes(t *testing.T) map[string][]string {
	t.Helper()
	pinned, err := filepath.Abs("../.tools/bin/compose")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for _, command := range [][]string{{"docker", "compose"}, {"docker-compose"}, {pinned}} {
		out, err := exec.CommandContext(t.Context(), command[0], append(command[1:], "version", "--short")...).Output()
		if err == nil {
			found[strings.TrimPrefix(strings.TrimSpace(string(out)), "v")] = command
		}
	}
	need(t, len(found) > 0, "there is no Compose")
	return found
}

// stack is one project made from docker-compose.yml.
type stack struct {
	compose []string
	project string
	env     []string
	secrets []string // the passwords
}

func newStack(t *testing.T, compose []string) stack {
	t.Helper()
	s := stack{compose: compose, project: uniqueName()}
	// As `make compose-up` makes them: readable files in a closed folder.
	dir := t.TempDir()
	for _, name := range []string{"superuser_password", "owner_password", "app_password"} {
		password := rand.Text()
		s.secrets = append(s.secrets, password)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(password), 0o444); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s.env = append(os.Environ(), "BOOKSHELF_IMAGE="+imageUnderTest(t), "BOOKSHELF_SECRETS="+dir,
		"BOOKSHELF_PORT=" /* the engine chooses */, "COMPOSE_PROJECT_NAME="+s.project)
	return s
}

func (s stack) try(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, s.compose[0], append(slices.Clone(s.compose[1:]), args...)...)
	cmd.Dir = ".."
	cmd.Env = s.env
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String() + stderr.String(), err
	}
	return strings.TrimSpace(stdout.String()), nil
}

func (s stack) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := s.try(t.Context(), args...)
	if err != nil {
		logs, _ := s.try(t.Context(), "logs", "--tail=20")
		t.Fatalf("compose %s: %v: %s\n%s", strings.Join(args, " "), err, out, logs)
	}
	return out
}

// left lists everything that the engine holds of the project.
func (s stack) left(ctx context.Context) (string, error) {
	var all []string
	for _, list := range [][]string{{"ps", "--all"}, {"network", "ls"}, {"volume", "ls"}} {
		out, err := tryDocker(ctx, append(list, "--quiet", "--filter", "label=com.docker.compose.project="+s.project)...)
		if err != nil {
			return out, err
		}
		all = append(all, strings.Fields(out)...)
	}
	return strings.Join(all, " "), nil
}

func TestCompose(t *testing.T) {
	t.Parallel()
	needEngine(t)
	for version, compose := range composes(t) {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, compose)
			t.Cleanup(func() {
				ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
				defer cancel()
				if out, err := s.try(ctx, "down", "--volumes", "--timeout", "20"); err != nil {
					t.Errorf("compose down: %v: %s", err, out)
				}
				if left, err := s.left(ctx); err != nil || left != "" {
					t.Errorf("after down there is still %s (%v)", left, err)
				}
			})
			s.run(t, "up", "--detach")
			app := s.run(t, "ps", "--quiet", "app")
			waitHealthy(t, app)
			url := "http://" + address(t, app, "8080/tcp")
			api{base: url}.exercise(t)

			s.checkHardening(t)
			s.checkSecrets(t)
			s.checkNetworks(t)

			s.run(t, "up", "--detach")
			if again := s.run(t, "ps", "--quiet", "app"); again != app {
				t.Errorf("a second up replaced the app's container")
			}
		})
	}
}

// containers returns every container of the project, finished tasks included, by service.
func (s stack) containers(t *testing.T) map[string]container {
	t.Helper()
	all := map[string]container{}
	for _, service := range []string{"postgres", "roles", "migrate", "app"} {
		id := docker(t, "ps", "--all", "--quiet", "--no-trunc",
			"--filter", "label=com.docker.compose.project="+s.project, "--filter", "label=com.docker.compose.service="+service)
		all[service] = inspect(t, id)
	}
	return all
}

func (s stack) checkHardening(t *testing.T) {
	t.Helper()
	for service, c := range s.containers(t) {
		h := c.HostConfig
		for _, fact := range []struct {
			name string
			ok   bool
		}{
			{"has a read-only root", h.ReadonlyRootfs},
			{"is not privileged", !h.Privileged},
			{"has no capabilities", slices.Equal(h.CapDrop, []string{"ALL"})},
			{"gains no privileges", slices.Contains(h.SecurityOpt, "no-new-privileges:true")},
			{"has a memory limit", h.Memory > 0},
			{"has a limit of processors", h.NanoCPUs > 0 || h.CPUQuota > 0},
			{"has a limit of processes", h.PidsLimit != nil && *h.PidsLimit > 0},
			{"runs as a user of its own", runsAsNobody(t, c)},
		} {
			if !fact.ok {
				t.Errorf("not true: %s %s", service, fact.name)
			}
		}
		for port, bindings := range h.PortBindings {
			for _, b := range bindings {
				if service != "app" || port != "8080/tcp" || b.HostIP != "127.0.0.1" {
					t.Errorf("%s publishes %s on %q; only the app's port may be, on 127.0.0.1", service, port, b.HostIP)
				}
			}
		}
	}
}

func runsAsNobody(t *testing.T, c container) bool {
	t.Helper()
	user, _, _ := strings.Cut(c.Config.User, ":")
	return user != "" && user != "0" && user != "root"
}

// checkSecrets looks for the passwords where they must not be.
func (s stack) checkSecrets(t *testing.T) {
	t.Helper()
	for service, c := range s.containers(t) {
		seen := map[string]string{
			"docker inspect": docker(t, "container", "inspect", c.Name),
			"the log":        docker(t, "logs", c.Name),
		}
		if c.State.Status == "running" {
			seen["the process list"] = docker(t, "top", c.Name, "-eo", "pid,args")
		}
		for where, text := range seen {
			for _, secret := range s.secrets {
				if strings.Contains(text, secret) {
					t.Errorf("%s of %s shows a password", where, service)
				}
			}
		}
	}
}

// checkNetworks makes sure that the database is alone with its clients.
func (s stack) checkNetworks(t *testing.T) {
	t.Helper()
	for service, c := range s.containers(t) {
		for network := range c.NetworkSettings.Networks {
			var found []struct{ Internal bool }
			if err := json.Unmarshal([]byte(docker(t, "network", "inspect", network)), &found); err != nil {
				t.Fatal(err)
			}
			if service != "app" && !found[0].Internal {
				t.Errorf("%s is on %s, which leads out", service, network)
			}
		}
	}
}
