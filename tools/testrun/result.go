package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"bookshelf/tools/internal/modules"
	"bookshelf/tools/internal/term"
)

// event is a line of `go test -json`; see `go doc test2json`.
type event struct {
	Action      string
	Package     string
	ImportPath  string // of build events
	Test        string
	Output      string
	FailedBuild string
}

// result is what became of one module's tests.
type result struct {
	module                  string
	passed, failed, skipped int
	elapsed                 time.Duration

	closing  []string          // go test's own last line of each package
	failures []failure         // in the order in which they ended
	missed   []string          // tests that skipped for want of a service
	skips    []string          // the other skipped tests, with their reasons
	output   map[testID]string // what each unfinished test has printed
	builds   map[string]string // what the compiler said, by package
	exited   error
}

// testID names a test or, without a test, a package.
type testID struct{ pkg, test string }

// failure is a failed test, package or build, with everything that it printed.
type failure struct{ name, output string }

// newResult is an empty result for the module called name.
func newResult(name string) *result {
	return &result{module: name, output: map[testID]string{}, builds: map[string]string{}}
}

// testModule runs go test in one module. Its error is about running, not about failed tests.
func testModule(ctx context.Context, m modules.Module, options, env []string, stderr io.Writer) (*result, error) {
	if m.Name == "conformance" {
		// What a release loses, and how late its answers are, is measured there: nothing else may run beside it.
		options = append(slices.Clip(options), "-p=1")
	}
	cmd := exec.CommandContext(ctx, "go", slices.Concat([]string{"test", "-json"}, options, m.Tested())...)
	cmd.Dir = m.Dir
	cmd.Env = m.Env(env)
	cmd.Stderr = stderr
	// A group of its own: Ctrl-C reaches the tests through us, once, and they get time to end.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = 20 * time.Second
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := term.Start(os.Stderr, m.Name+": testing")
	r := newResult(m.Name)
	readErr := r.read(stdout)
	if readErr != nil {
		_ = cmd.Cancel() // it would wait for its reader for ever; Wait below tells how it ended
	}
	err = cmd.Wait()
	r.elapsed = time.Since(began)
	p.Done("tested")
	if _, ran := errors.AsType[*exec.ExitError](err); err != nil && !ran {
		return nil, err
	}
	r.exited = err
	return r, readErr
}

// read consumes the stream of events.
func (r *result) read(stream io.Reader) error {
	lines := bufio.NewReader(stream)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if jsonErr := json.Unmarshal(line, &e); jsonErr != nil {
				// go vet's complaints and the like come as plain text.
				r.failures = append(r.failures, failure{name: r.module, output: string(line)})
			} else {
				r.add(e)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read go test's output: %w", err)
		}
	}
}

// closingLine is how go test ends a package: "ok  \tpkg\t1.2s", "FAIL\tpkg [build failed]".
var closingLine = regexp.MustCompile(`^(ok  |FAIL)\t\S+`)

// service matches the reason of a skip that must not happen where the services are there.
var service = regexp.MustCompile(`(?i)docker|engine|postgres|database|compose|image|buildx|pulumi|service`)

// add takes one event into account. Output is kept until its test has ended, because only a failure makes it worth reading.
func (r *result) add(e event) {
	id := testID{e.Package, e.Test}
	switch e.Action {
	case "output":
		if e.Test == "" && closingLine.MatchString(e.Output) {
			r.closing = append(r.closing, strings.TrimRight(e.Output, "\n"))
			return
		}
		r.output[id] += e.Output
	case "build-output":
		r.builds[e.ImportPath] += e.Output
	case "pass":
		if e.Test != "" {
			r.passed++
		}
		delete(r.output, id)
	case "skip":
		if e.Test != "" {
			r.skipped++
			reason := e.Package + " " + e.Test + ": " + skipReason(r.output[id])
			if service.MatchString(skipReason(r.output[id])) {
				r.missed = append(r.missed, reason)
			} else {
				r.skips = append(r.skips, reason)
			}
		}
		delete(r.output, id)
	case "fail":
		r.fail(e, id)
	}
}

// fail records a failed test or package. A package that failed only because a test in it did has nothing to add but its
// shuffle seed, which is what reproduces the failure.
func (r *result) fail(e event, id testID) {
	name := e.Package
	if e.Test != "" {
		r.failed++
		name += " " + e.Test
	} else if e.FailedBuild != "" {
		r.failed++
		r.output[id] += r.builds[e.FailedBuild]
	}
	r.failures = append(r.failures, failure{name: name, output: r.output[id]})
	delete(r.output, id)
}

// skipReason is the text that a test gave to t.Skip, in one line.
func skipReason(output string) string {
	var reason []string
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		reason = append(reason, line)
	}
	return strings.Join(reason, " ")
}

// bad tells whether the module stands in the way of a green run.
func (r *result) bad() bool {
	return r.failed > 0 || len(r.missed) > 0 || r.exited != nil || len(r.failures) > 0
}

// explain prints everything about what went wrong, and why tests were skipped.
func (r *result) explain(w io.Writer) {
	for _, f := range r.failures {
		if strings.TrimSpace(f.output) != "" {
			fmt.Fprintf(w, "---- %s\n%s", f.name, f.output)
		}
	}
	for _, m := range r.missed {
		fmt.Fprintf(w, "---- skipped, although services are there: %s\n", m)
	}
	for _, s := range r.skips {
		fmt.Fprintf(w, "     skipped: %s\n", s)
	}
	if r.exited != nil && len(r.failures) == 0 {
		fmt.Fprintf(w, "---- %s: go test: %v\n", r.module, r.exited)
	}
}

// String is the module's one line.
func (r *result) String() string {
	return fmt.Sprintf("%-12s %5d passed %3d failed %3d skipped %8.1f s", r.module, r.passed, r.failed, r.skipped, r.elapsed.Seconds())
}
