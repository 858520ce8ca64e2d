// Command testrun runs the tests of every module against a real PostgreSQL and a real engine and says in one line per
// module how they went.
//
//	GOWORK=off go run -C tools ./testrun [--run REGEXP] [MODULE…]
//
// It starts PostgreSQL as a container and sets for the tests:
//
//	TEST_DATABASE_URL   a superuser's connection string
//	REQUIRE_SERVICES    1: a test that misses a service fails instead of skipping
//	BOOKSHELF_IMAGE     ID of the image that `make image` built last
//	BOOKSHELF_TEST_RUN  prefix for the names of containers, networks, volumes and images that a test makes
//
// Whatever carries that prefix is removed at the end, also after Ctrl-C, when tests cannot clean up behind themselves.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"bookshelf/tools/internal/command"
	"bookshelf/tools/internal/docker"
	"bookshelf/tools/internal/modules"
	"bookshelf/tools/internal/repo"
)

func main() { command.Main("testrun", run) }

// run tests the modules that args name, or all. The error is about the run; failed tests have been shown by then.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("testrun", flag.ContinueOnError)
	flags.SetOutput(stderr)
	pattern := flags.String("run", "", "run only the tests that match, as go test -run")
	if err := flags.Parse(args); err != nil {
		return err
	}
	root, err := repo.Root()
	if err != nil {
		return err
	}
	list, err := modules.List(ctx, root)
	if err != nil {
		return err
	}
	list = append(list, modules.Tagged(root)...)
	if list, err = command.Choose("module", list, func(m modules.Module) string { return m.Name }, flags.Args()); err != nil {
		return err
	}

	prefix := "bookshelf-test-" + strings.ToLower(rand.Text()[:8])
	// The context of the removal must outlive an interruption.
	defer func() { err = errors.Join(err, sweep(context.WithoutCancel(ctx), prefix)) }()
	url, err := startPostgres(ctx, prefix)
	if err != nil {
		return err
	}
	env := append(os.Environ(), "REQUIRE_SERVICES=1", "TEST_DATABASE_URL="+url, "BOOKSHELF_TEST_RUN="+prefix)
	if id, err := os.ReadFile(filepath.Join(root, ".tools", "image-id")); err == nil {
		env = append(env, "BOOKSHELF_IMAGE="+strings.TrimSpace(string(id)))
	}

	options := []string{"-shuffle=on", "-timeout=30m"}
	if raceDetector(ctx) {
		options = append(options, "-race")
	} else {
		fmt.Fprintln(stdout, "there is no C compiler here: testing without the race detector")
	}
	if *pattern != "" {
		options = append(options, "-run="+*pattern)
	}
	return testAll(ctx, list, options, env, stdout, stderr)
}

// testAll tests one module after the other, because each of them already uses every core.
func testAll(ctx context.Context, list []modules.Module, options, env []string, stdout, stderr io.Writer) error {
	var all []*result
	failed := false
	for _, m := range list {
		r, err := testModule(ctx, m, options, env, stderr)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return fmt.Errorf("test %s: %w", m.Name, err)
		}
		r.explain(stdout)
		fmt.Fprintln(stdout, r)
		failed = failed || r.bad()
		all = append(all, r)
	}
	fmt.Fprintln(stdout)
	for _, r := range all {
		for _, line := range r.closing {
			fmt.Fprintln(stdout, line)
		}
	}
	if failed {
		fmt.Fprintln(stdout, "FAIL")
		return errors.New("tests failed")
	}
	return nil
}

// raceDetector tells whether -race can work: it needs cgo, and so a C compiler.
func raceDetector(ctx context.Context) bool {
	out, err := exec.CommandContext(ctx, "go", "env", "CC", "CGO_ENABLED").Output()
	if err != nil {
		return false
	}
	cc, enabled, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	words := strings.Fields(cc)
	if len(words) == 0 || enabled != "1" {
		return false
	}
	_, err = exec.LookPath(words[0])
	return err == nil
}

// startPostgres starts a server for tests and returns a superuser's connection string. Its data is in memory and never
// synced: it lives as long as the tests.
func startPostgres(ctx context.Context, prefix string) (url string, err error) {
	const image = "postgres:17-trixie"
	name := prefix + "-postgres"
	password := rand.Text()
	cmd := docker.Command(ctx, "run", "--detach", "--name", name,
		"--publish", "127.0.0.1::5432", // a port of the engine's choice, so that two runs fit beside each other
		"--tmpfs", "/var/lib/postgresql/data:rw,size=2g", "--shm-size", "256m",
		"--env", "POSTGRES_PASSWORD",
		image, "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "max_connections=400")
	cmd.Env = append(os.Environ(), "POSTGRES_PASSWORD="+password)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("start PostgreSQL: %w", docker.Explain("run", err, complaint.String()))
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, errors.New("it did not answer within 2 minutes"))
	defer cancel()
	// Over TCP, because during its set-up the server listens on its socket alone.
	for {
		_, err := docker.Output(ctx, "exec", name, "pg_isready", "--quiet", "--host=127.0.0.1", "--username=postgres")
		if err == nil {
			break
		}
		if running, inspectErr := docker.Output(ctx, "inspect", "--format", "{{.State.Running}}", name); inspectErr == nil && running != "true" {
			logs, _ := docker.Output(ctx, "logs", "--tail", "5", name)
			return "", fmt.Errorf("start PostgreSQL: its container ended: %s", logs)
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("start PostgreSQL: %w", context.Cause(ctx))
		case <-time.After(200 * time.Millisecond):
		}
	}
	address, err := docker.Output(ctx, "port", name, "5432/tcp")
	if err != nil {
		return "", fmt.Errorf("start PostgreSQL: %w", err)
	}
	address, _, _ = strings.Cut(address, "\n")
	return "postgres://postgres:" + password + "@" + address + "/postgres?sslmode=disable", nil
}

// sweep removes every container, network, volume and image whose name starts with prefix.
func sweep(ctx context.Context, prefix string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	var problems []error
	for _, kind := range []struct {
		name         string
		list, remove []string
	}{
		{"containers", []string{"ps", "--all", "--format", "{{.Names}}"}, []string{"rm", "--force", "--volumes"}},
		{"networks", []string{"network", "ls", "--format", "{{.Name}}"}, []string{"network", "rm"}},
		{"volumes", []string{"volume", "ls", "--format", "{{.Name}}"}, []string{"volume", "rm"}},
		{"images", []string{"image", "ls", "--format", "{{.Repository}}:{{.Tag}}"}, []string{"image", "rm"}},
	} {
		out, err := docker.Output(ctx, kind.list...)
		if err != nil {
			problems = append(problems, fmt.Errorf("find left %s: %w", kind.name, err))
			continue
		}
		var left []string
		for name := range strings.Lines(out) {
			if name = strings.TrimSpace(name); strings.HasPrefix(name, prefix) {
				left = append(left, name)
			}
		}
		if len(left) == 0 {
			continue
		}
		if _, err := docker.Output(ctx, append(kind.remove, left...)...); err != nil {
			problems = append(problems, fmt.Errorf("remove left %s: %w", kind.name, err))
		}
	}
	return errors.Join(problems...)
}
