package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bookshelf/infra/delivery"
	"bookshelf/infra/runtime"
	"bookshelf/infra/runtime/docker"
)

// asProcess makes this test binary behave as deliver itself, so that a test can kill it.
const asProcess = "DELIVER_TEST_AS_PROCESS"

func TestMain(m *testing.M) {
	if os.Getenv(asProcess) == "1" {
		main()
	}
	os.Exit(m.Run())
}

// bench is an environment of its own on the real engine, with everything a test needs to look at it and to meddle with it.
type bench struct {
	t          *testing.T
	name, root string
	url        string
	image      string
	engine     *docker.Engine
	// token is what requests show.
	token string
	// said is everything that deliver has written.
	said bytes.Buffer
	// saying is held to add to it: two commands may run at once.
	saying sync.Mutex
}

// newBench makes a repository with one environment that nobody else has, and takes it down when the test ends.
func newBench(t *testing.T) *bench {
	t.Helper()
	image := requireImage(t)
	port := freePort(t)
	b := &bench{
		t: t, name: environmentName(port), root: t.TempDir(),
		url: fmt.Sprintf("http://127.0.0.1:%d", port), image: image,
	}
	clone, err := filepath.Abs("../../..")
	b.must(err)
	b.must(os.Mkdir(filepath.Join(b.root, "infra"), 0o755))
	project, err := os.ReadFile(filepath.Join(clone, "infra", "Pulumi.yaml"))
	b.must(err)
	b.must(os.WriteFile(filepath.Join(b.root, "infra", "Pulumi.yaml"), project, 0o600))
	b.must(os.Symlink(filepath.Join(clone, ".tools"), filepath.Join(b.root, ".tools")))
	b.configure("  bookshelf:port: %d\n  bookshelf:shutdownGrace: 0s\n  bookshelf:appMemoryMiB: 64\n  bookshelf:databaseMemoryMiB: 256\n", port)
	b.engine, err = docker.New()
	b.must(err)
	t.Cleanup(func() {
		code, _, stderr := b.deliverWith(context.WithoutCancel(t.Context()), "destroy", "--delete-data", "--yes")
		if code != exitDone {
			t.Errorf("taking the environment down: exit code %d: %s", code, stderr)
		}
		b.must(b.engine.Close())
	})
	return b
}

// environmentName is one that nobody else has. `make test` removes everything that is called like its run, should this process be killed.
func environmentName(port int) string {
	run, ours := strings.CutPrefix(os.Getenv("BOOKSHELF_TEST_RUN"), "bookshelf-")
	if !ours {
		run = fmt.Sprintf("test-%d", os.Getpid())
	}
	return fmt.Sprintf("%s-%d", strings.TrimSuffix(run, "-"), port)
}

// requireImage skips the test where there is no engine or no image to run, unless services are required.
func requireImage(t *testing.T) string {
	t.Helper()
	missing := func(reason string) {
		if os.Getenv("REQUIRE_SERVICES") == "1" {
			t.Fatal(reason)
		}
		t.Skip(reason)
	}
	image := os.Getenv("BOOKSHELF_IMAGE")
	if image == "" {
		missing("BOOKSHELF_IMAGE does not name the app's image (make test sets it)")
	}
	if _, err := os.Stat("../../../.tools/bin/pulumi"); err != nil {
		missing("no .tools/bin/pulumi (make tools builds it)")
	}
	engine, err := docker.New()
	if err != nil {
		missing(err.Error())
	}
	defer engine.Close()
	if err := engine.Check(t.Context()); err != nil {
		missing(err.Error())
	}
	return image
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

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) configure(format string, args ...any) {
	b.t.Helper()
	path := filepath.Join(b.root, "infra", "Pulumi."+b.name+".yaml")
	b.must(os.WriteFile(path, []byte("config:\n"+fmt.Sprintf(format, args...)), 0o600))
}

func (b *bench) deliver(args ...string) (code int, stdout, stderr string) {
	b.t.Helper()
	return b.deliverWith(b.t.Context(), args...)
}

func (b *bench) deliverWith(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	b.t.Helper()
	var out, errs bytes.Buffer
	args = append([]string{args[0], "-e", b.name, "--repository", b.root}, args[1:]...)
	code = run(ctx, args, func(string) (string, bool) { return "", false }, strings.NewReader(""), &out, &errs)
	if !slices.Contains(args, "token") { // whose output is one
		b.saying.Lock()
		defer b.saying.Unlock()
		b.said.WriteString(out.String() + errs.String())
	}
	return code, out.String(), errs.String()
}

// up converges the environment and returns what was done.
func (b *bench) up(args ...string) delivery.UpResult {
	b.t.Helper()
	code, stdout, stderr := b.deliver(append([]string{"up", "--json"}, args...)...)
	if code != exitDone {
		b.t.Fatalf("up: exit code %d: %s", code, stderr)
	}
	var result delivery.UpResult
	b.must(json.Unmarshal([]byte(stdout), &result))
	return result
}

func (b *bench) status() (int, delivery.Status) {
	b.t.Helper()
	code, stdout, stderr := b.deliver("status", "--json")
	var status delivery.Status
	if err := json.Unmarshal([]byte(stdout), &status); err != nil {
		b.t.Fatalf("status: %v: %s", err, stderr)
	}
	return code, status
}

func (b *bench) docker(args ...string) string {
	b.t.Helper()
	out, err := exec.CommandContext(b.t.Context(), "docker", args...).CombinedOutput()
	if err != nil {
		b.t.Fatalf("docker %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (b *bench) container(part string) string { return "bookshelf-" + b.name + "-" + part }

func (b *bench) instances() map[string]runtime.Instance {
	b.t.Helper()
	list, err := b.engine.Instances(b.t.Context(), runtime.Environment{Project: "bookshelf", Name: b.name})
	b.must(err)
	found := map[string]runtime.Instance{}
	for _, instance := range list {
		found[instance.Name] = instance
	}
	return found
}

func (b *bench) request(method, path, body string) (int, string) {
	b.t.Helper()
	request, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, strings.NewReader(body))
	b.must(err)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set("Authorization", "Bearer "+b.token)
	response, err := http.DefaultClient.Do(request)
	b.must(err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	b.must(err)
	return response.StatusCode, string(content)
}

func (b *bench) wantServing() {
	b.t.Helper()
	if status, body := b.request(http.MethodGet, "/readyz", ""); status != http.StatusOK {
		b.t.Fatalf("/readyz answers %d: %s", status, body)
	}
}

// TestAnEnvironmentLivesOnTheRealEngine is one life, from the first up to the last destroy; each step starts where the one before ended.
//
//nolint:paralleltest // the steps are an order, and the other tests of this package take no time
func TestAnEnvironmentLivesOnTheRealEngine(t *testing.T) {
	b := newBench(t)

	begun := time.Now()
	first := b.up("--image", b.image)
	t.Logf("first up: %.1f s, %v", time.Since(begun).Seconds(), first.Changes)
	b.wantServing()
	if status, body := b.request(http.MethodGet, "/api/v1/books", ""); status != http.StatusUnauthorized {
		t.Fatalf("whoever has no token: %d: %s", status, body)
	}
	b.makeToken()
	if status, body := b.request(http.MethodPost, "/api/v1/books", `{"title": "The Life of a Test", "authors": ["Nobody"]}`); status != http.StatusCreated {
		t.Fatalf("creating a book: %d: %s", status, body)
	}

	t.Run("a second up changes nothing", func(t *testing.T) {
		before := b.instances()
		second := b.up()
		if len(second.Changes) != 0 || len(second.Repaired) != 0 {
			t.Errorf("changes %v, repairs %v", second.Changes, second.Repaired)
		}
		for name, instance := range b.instances() {
			if instance.ID != before[name].ID || !instance.StartedAt.Equal(before[name].StartedAt) {
				t.Errorf("%s was touched", name)
			}
		}
		t.Logf("no-op up: %.1f s", second.Seconds)
	})
	t.Run("every service is bounded and healthy on the engine", func(t *testing.T) {
		for name, instance := range b.instances() {
			if !instance.Serving() {
				t.Errorf("%s is %s", name, instance.State)
			}
			if instance.MemoryBytes == 0 || instance.NanoCPUs == 0 || instance.Kind == runtime.KindService && instance.PIDs == 0 {
				t.Errorf("%s has no limit of memory, processors or processes: %+v", name, instance)
			}
		}
	})
	t.Run("only the edge has a way out, and nothing else is published", b.testIsolation)
	t.Run("no secret is to be found outside its file", b.testSecrecy)
	t.Run("status tells what was stopped or removed, and up repairs it", b.testTampering)
	t.Run("another image takes a release, and one that does not work is taken back", b.testOtherImage)
	t.Run("an interrupted up is completed by the next", b.testInterruption)
	t.Run("logs and exec reach the containers", b.testLogsAndExec)
	t.Run("destroy keeps the data, and up brings it back", b.testDestroy)
}

func (b *bench) testIsolation(t *testing.T) {
	for network, want := range map[string]string{"backend": "true", "frontend": "true", "public": "false"} {
		if internal := strings.TrimSpace(b.docker("network", "inspect", "--format", "{{.Internal}}", b.container(network))); internal != want {
			t.Errorf("network %s is internal: %s, want %s", network, internal, want)
		}
	}
	for part, want := range map[string]string{"postgres": "", "app-blue-1": "", "edge": "8080/tcp -> " + strings.TrimPrefix(b.url, "http://")} {
		if ports := strings.TrimSpace(b.docker("port", b.container(part))); ports != want {
			t.Errorf("%s publishes %q, want %q", part, ports, want)
		}
	}
	for _, instance := range b.instances() {
		if slices.Contains(instance.Networks, b.container("public")) != (instance.Component == "edge") {
			t.Errorf("%s is on networks %v", instance.Name, instance.Networks)
		}
	}
}

// testSecrecy looks for the real values wherever somebody could.
func (b *bench) testSecrecy(t *testing.T) {
	places := map[string]string{}
	for name, instance := range b.instances() {
		places["docker inspect "+name] = b.docker("inspect", name)
		places["the log of "+name] = b.docker("logs", name)
		if instance.Kind == runtime.KindService {
			places["a process in "+name] = b.processes(name)
		}
	}
	b.must(filepath.WalkDir(filepath.Join(b.root, ".bookshelf"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Dir(path) == b.secrets() {
			return err
		}
		content, err := os.ReadFile(path)
		places[path] = string(content)
		return err
	}))
	places["what deliver said"] = b.said.String()
	for file, secret := range b.secretValues() {
		for place, content := range places {
			if strings.Contains(content, secret) {
				t.Errorf("%s shows %s", place, file)
			}
		}
	}
}

func (b *bench) testTampering(t *testing.T) {
	app, edge, postgres := b.container("app-blue-1"), b.container("edge"), b.container("postgres")
	for _, tampering := range []struct {
		commands [][]string
		// problems are what status says of it; what only up compares is not among them.
		problems []string
		repairs  int
	}{
		{[][]string{{"stop", "--time=5", app}, {"pause", postgres}}, []string{app + " is stopped", postgres + " is paused"}, 2},
		{[][]string{{"rm", "--force", app}, {"network", "disconnect", b.container("backend"), postgres}}, []string{app + " is gone"}, 2},
		{[][]string{{"update", "--memory=1g", "--memory-swap=1g", app}, {"rm", "--force", edge}}, []string{edge + " is gone"}, 2},
	} {
		for _, command := range tampering.commands {
			b.docker(command...)
		}
		if len(tampering.problems) > 0 {
			code, status := b.status()
			said := strings.Join(status.Problems, "\n")
			for _, problem := range tampering.problems {
				if code != exitFailed || status.Healthy || !strings.Contains(said, problem) {
					t.Errorf("%v: status has exit code %d and says %q, want %q", tampering.commands, code, said, problem)
				}
			}
		}
		if result := b.up(); len(result.Repaired) != tampering.repairs {
			t.Errorf("%v: repaired %q, want %d repairs", tampering.commands, result.Repaired, tampering.repairs)
		}
		b.wantServing()
		if code, status := b.status(); code != exitDone || !status.Healthy {
			t.Errorf("%v: after the repair: %q", tampering.commands, status.Problems)
		}
	}
	if again := b.up(); len(again.Changes) != 0 || len(again.Repaired) != 0 {
		t.Errorf("after all repairs there is still something to do: %v, %v", again.Changes, again.Repaired)
	}
}

// testOtherImage makes sure that up moves no traffic, also where it is told another image, and that a release of one that does not work
// is taken back.
func (b *bench) testOtherImage(t *testing.T) {
	broken := b.container("broken")
	build := exec.CommandContext(t.Context(), "docker", "import", "--change", `ENTRYPOINT ["/nothing"]`, "--message", "a test's broken image", "-", broken)
	build.Stdin = bytes.NewReader(make([]byte, 1024)) // an empty tar archive
	out, err := build.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("docker", "rmi", "--force", broken).Run() }) // the test's own context has ended by then
	before := b.instances()[b.container("app-blue-1")]
	code, _, stderr := b.deliver("up", "--image", broken)
	if code != exitUsage || !strings.Contains(stderr, "another image takes a release: deliver release -e "+b.name) {
		t.Errorf("up: exit code %d, want %d: %s", code, exitUsage, stderr)
	}
	code, _, stderr = b.deliver("release", "--image", broken, "--profile", "fast")
	if code != exitFailed {
		t.Errorf("release: exit code %d, want %d: %s", code, exitFailed, stderr)
	}
	b.wantServing()
	if after := b.instances()[b.container("app-blue-1")]; after.ID != before.ID || !after.StartedAt.Equal(before.StartedAt) {
		t.Errorf("what serves was touched: %+v, before %+v", after, before)
	}
	if result := b.up(); len(result.Changes) != 0 && len(b.up().Changes) != 0 {
		t.Errorf("after the rollback there is always something to do: %v", result.Changes)
	}
}

// testInterruption ends an up in its middle, as Ctrl-C does and as kill -9 does.
func (b *bench) testInterruption(t *testing.T) {
	for name, send := range map[string]os.Signal{"interrupted": os.Interrupt, "killed": os.Kill} {
		if code, _, stderr := b.deliver("destroy"); code != exitDone {
			t.Fatalf("destroy: exit code %d: %s", code, stderr)
		}
		var output bytes.Buffer
		process := exec.CommandContext(t.Context(), os.Args[0], "up", "-e", b.name, "--repository", b.root)
		process.Env = append(os.Environ(), asProcess+"=1")
		process.Stdout, process.Stderr = &output, &output
		b.must(process.Start())
		done := make(chan error, 1)
		go func() { done <- process.Wait() }()
		for len(b.instances()) == 0 {
			select {
			case <-done:
				t.Fatalf("up ended before it could be %s: %s", name, output.String())
			case <-time.After(50 * time.Millisecond):
			}
		}
		b.must(process.Process.Signal(send))
		if err := <-done; err == nil {
			t.Errorf("%s, and yet it ended well: %s", name, output.String())
		}
		if send == os.Interrupt && !strings.Contains(output.String(), "run the same command again") {
			t.Errorf("%s, it said %q", name, output.String())
		}
		b.up()
		b.wantServing()
	}
}

func (b *bench) testLogsAndExec(t *testing.T) {
	code, stdout, stderr := b.deliver("logs", "--service", "postgres")
	if logs := stdout + stderr; code != exitDone || !strings.Contains(logs, b.container("postgres")+" | ") || !strings.Contains(logs, "ready to accept connections") {
		t.Errorf("logs: exit code %d: %s", code, logs)
	}
	if code, _, stderr = b.deliver("logs", "--service", "postgers"); code == exitDone || !strings.Contains(stderr, "postgers") {
		t.Errorf("logs of a service that does not exist: exit code %d: %s", code, stderr)
	}
	if code, stdout, _ = b.deliver("exec", "--", "version"); code != exitDone || stdout == "" {
		t.Errorf("exec version: exit code %d: %q", code, stdout)
	}
	if code, _, _ = b.deliver("exec", "--", "nonsense"); code != exitUsage {
		t.Errorf("exec passes on exit code %d, want the command's own, %d", code, exitUsage)
	}
}

func (b *bench) testDestroy(t *testing.T) {
	if code, _, stderr := b.deliver("destroy"); code != exitDone {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if left := b.instances(); len(left) != 0 {
		t.Errorf("containers are left: %v", left)
	}
	if code, stdout, _ := b.deliver("destroy", "--json"); code != exitDone || !strings.Contains(stdout, `"data_kept": true`) {
		t.Errorf("destroying twice: exit code %d: %s", code, stdout)
	}
	b.up()
	if _, body := b.request(http.MethodGet, "/api/v1/books", ""); !strings.Contains(body, "The Life of a Test") {
		t.Errorf("the book is gone: %s", body)
	}
}
