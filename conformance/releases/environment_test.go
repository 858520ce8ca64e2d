package releases

import (
	"bytes"
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
	"strings"
	"testing"
	"time"
)

// Exit codes of deliver.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	exitPerson = 3
)

// repository is one that environments are deployed from.
type repository struct {
	t    *testing.T
	root string
	// tools is the folder of the programs.
	tools string
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	clone, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	r := &repository{t: t, root: t.TempDir(), tools: filepath.Join(clone, ".tools", "bin")}
	for _, needed := range []string{"deliver", "pulumi", "pulumi-resource-docker"} {
		r.tool(needed)
	}
	infra := filepath.Join(r.root, "infra")
	project, err := os.ReadFile(filepath.Join(clone, "infra", "Pulumi.yaml"))
	r.must(err)
	r.must(os.Mkdir(infra, 0o755))
	r.must(os.WriteFile(filepath.Join(infra, "Pulumi.yaml"), project, 0o600))
	r.must(os.Symlink(filepath.Join(clone, ".tools"), filepath.Join(r.root, ".tools")))
	return r
}

// tool is the path of a program, without which the test can't run.
func (r *repository) tool(name string) string {
	r.t.Helper()
	path := filepath.Join(r.tools, name)
	if _, err := os.Stat(path); err != nil {
		missing(r.t, fmt.Sprintf("no .tools/bin/%s (make test and make e2e build it)", name))
	}
	return path
}

func (r *repository) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// environment is one of its own on the real engines.
type environment struct {
	*repository

	name string
	url  string
	// client reaches it as its clients do.
	client *http.Client
}

// newEnvironment makes one in a repository of its own. settings are lines of its configuration.
func newEnvironment(t *testing.T, settings ...string) *environment {
	t.Helper()
	return newRepository(t).environment(settings...)
}

func (r *repository) environment(settings ...string) *environment {
	r.t.Helper()
	return r.environmentOn(freePort(r.t), settings...)
}

// environmentOn configures one that is published on a port, and takes it down when the test ends.
func (r *repository) environmentOn(port int, settings ...string) *environment {
	t := r.t
	t.Helper()
	e := &environment{repository: r, name: environmentName(port), url: fmt.Sprintf("http://127.0.0.1:%d", port), client: http.DefaultClient}
	infra := filepath.Join(e.root, "infra")
	lines := append([]string{
		"config:", fmt.Sprintf("  bookshelf:port: %q", fmt.Sprint(port)), "  bookshelf:shutdownGrace: 0s", `  bookshelf:appMemoryMiB: "96"`,
		`  bookshelf:databaseMemoryMiB: "256"`, "  bookshelf:release: {profile: fast, bake: 6s, steps: [10, 50, 100]}",
	}, settings...)
	e.must(os.WriteFile(filepath.Join(infra, "Pulumi."+e.name+".yaml"), []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 3*time.Minute)
		defer cancel()
		if out := e.run(ctx, "destroy", "--delete-data", "--yes"); out.code != exitDone {
			t.Errorf("taking %s down: exit code %d: %s", e.name, out.code, out.stderr)
		}
	})
	return e
}

// environmentName is one that nobody else has. `make test` removes everything that is called like its run, should this process be killed.
func environmentName(port int) string {
	run, ours := strings.CutPrefix(os.Getenv("BOOKSHELF_TEST_RUN"), "bookshelf-")
	if !ours {
		run = fmt.Sprintf("test-%d", os.Getpid())
	}
	return fmt.Sprintf("%s-%d", strings.TrimSuffix(run, "-"), port)
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// missing skips the test, or fails it where services are required.
func missing(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("REQUIRE_SERVICES") == "1" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

// product is the image of `make image`.
func product(t *testing.T) string {
	t.Helper()
	image := os.Getenv("BOOKSHELF_IMAGE")
	if image == "" {
		missing(t, "BOOKSHELF_IMAGE does not name the app's image (make test sets it)")
	}
	return image
}

// output is what a run of deliver left.
type output struct {
	code           int
	stdout, stderr string
}

func (e *environment) run(ctx context.Context, args ...string) output {
	e.t.Helper()
	out, wait := e.start(ctx, args...)
	wait()
	return *out
}

// start runs deliver and does not wait for it. The output is there when wait has returned.
func (e *environment) start(ctx context.Context, args ...string) (out *output, wait func()) {
	e.t.Helper()
	process, out, wait := e.process(ctx, args...)
	e.must(process.Start())
	return out, wait
}

func (e *environment) process(ctx context.Context, args ...string) (process *exec.Cmd, out *output, wait func()) {
	e.t.Helper()
	return e.repository.process(ctx, append([]string{args[0], "-e", e.name}, args[1:]...)...)
}

// process prepares deliver.
func (r *repository) process(ctx context.Context, args ...string) (process *exec.Cmd, out *output, wait func()) {
	r.t.Helper()
	// In front: behind "--" they would be a command's.
	args = append([]string{args[0], "--repository", r.root, "--json"}, args[1:]...)
	process = exec.CommandContext(ctx, r.tool("deliver"), args...)
	process.Cancel = func() error { return process.Process.Signal(os.Interrupt) }
	process.WaitDelay = 2 * time.Minute
	var stdout, stderr bytes.Buffer
	process.Stdout, process.Stderr = &stdout, &stderr
	out = &output{}
	return process, out, func() {
		err := process.Wait()
		out.code, out.stdout, out.stderr = process.ProcessState.ExitCode(), stdout.String(), stderr.String()
		if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
			r.t.Errorf("deliver %v: %v", args, err)
		}
	}
}

// up brings the environment up with an image.
func (e *environment) up(image string) {
	e.t.Helper()
	if out := e.run(e.t.Context(), "up", "--image", image); out.code != exitDone {
		e.t.Fatalf("up: exit code %d: %s", out.code, out.stderr)
	}
}

// report is the part of a release's report that is asserted.
type report struct {
	ID        string   `json:"id"`
	Outcome   string   `json:"outcome"`
	Reason    string   `json:"reason"`
	NotUndone []string `json:"not_undone"`
	Compared  string   `json:"compared"`
	From, To  struct{ Slot, Version, Image string }
	Started   time.Time
	Ended     time.Time
	Phases    []struct {
		Phase   string
		Percent int
		Started time.Time
		Ended   time.Time
	}
	Verdicts []struct{ Decision string }
	Account  struct {
		Sent, Answered, Failed, Lost int
		WrongVersion                 int `json:"wrong_version"`
		Losses                       []struct {
			At                 time.Time
			Kind, Slot, Detail string
			Status             int
		}
		Writes *struct{ Sent, Acknowledged, Once, Missing, Twice int }
	}
	Before, During, After struct {
		P50 float64 `json:"p50_ms"`
		P99 float64 `json:"p99_ms"`
	}
	SwitchMS   float64 `json:"switch_ms"`
	DrainMS    float64 `json:"drain_ms"`
	RollbackMS float64 `json:"rollback_ms"`
}

// rate is how many requests the probe sends in a second. The short form shares its machine with other tests' leavings.
func rate() string {
	if full() {
		return "150"
	}
	return "50"
}

// release releases an image and returns the report and the exit code.
func (e *environment) release(image string, args ...string) (report, int) {
	e.t.Helper()
	out := e.run(e.t.Context(), append([]string{"release", "--image", image, "--rate", rate()}, args...)...)
	return e.reportOf(out), out.code
}

func (e *environment) reportOf(out output) report {
	e.t.Helper()
	var r report
	if err := json.Unmarshal([]byte(out.stdout), &r); err != nil {
		e.t.Fatalf("exit code %d and no report (%v): %s", out.code, err, out.stderr)
	}
	return r
}

// status is the part of an environment's status that is asserted.
type status struct {
	Healthy bool
	Live    string
	Traffic []struct {
		Slot                    string
		Weight, Ready, Replicas int
	}
	Problems []string
}

func (e *environment) status() status {
	e.t.Helper()
	out := e.run(e.t.Context(), "status")
	var s status
	if err := json.Unmarshal([]byte(out.stdout), &s); err != nil {
		e.t.Fatalf("status: %v: %s", err, out.stderr)
	}
	return s
}

// weight is a slot's share of the traffic.
func (s status) weight(slot string) int {
	for _, t := range s.Traffic {
		if t.Slot == slot {
			return t.Weight
		}
	}
	return 0
}

func (e *environment) container(part string) string { return "bookshelf-" + e.name + "-" + part }

// token is one that may do everything with books.
func (e *environment) token() string {
	e.t.Helper()
	out := e.run(e.t.Context(), "exec", "--", "token", "create", "--scopes", "books:read,books:write", fmt.Sprintf("test-%d", time.Now().UnixNano()))
	if out.code != exitDone {
		e.t.Fatalf("making a token: exit code %d: %s", out.code, out.stderr)
	}
	return strings.TrimSpace(out.stdout)
}

func (e *environment) docker(args ...string) string {
	e.t.Helper()
	out, err := exec.CommandContext(e.t.Context(), "docker", args...).CombinedOutput()
	if err != nil {
		e.t.Fatalf("docker %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// version asks through the edge which version answers.
func (e *environment) version() string {
	e.t.Helper()
	request, err := http.NewRequestWithContext(e.t.Context(), http.MethodGet, e.url+"/version", http.NoBody)
	e.must(err)
	response, err := e.client.Do(request)
	e.must(err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	e.must(err)
	var said struct{ Version string }
	if err := json.Unmarshal(content, &said); err != nil || response.StatusCode != http.StatusOK {
		e.t.Fatalf("/version answers %d: %s", response.StatusCode, content)
	}
	return said.Version
}

// until waits for a condition, and fails the test when it does not come.
func (e *environment) until(what string, condition func() bool) {
	e.t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !condition() {
		if time.Now().After(deadline) {
			e.t.Fatalf("not %s within two minutes", what)
		}
		select {
		case <-e.t.Context().Done():
			e.t.Fatal(e.t.Context().Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}
