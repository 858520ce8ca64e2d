// Command gate runs the gates that judge an image without a pipeline engine: the same decisions, from package plan, with
// tools from .tools/bin in the place of containers. `make scan sbom vuln perf sign verify` call it.
//
//	gate scan   [--image REF | --archive FILE] [--database REPOSITORY] [--ignore FILE] [--cache DIR]
//	gate sbom   [--image REF | --archive FILE]
//	gate vuln   [--database URL] [MODULE …]
//	gate perf   [--image REF] [--baseline REF | --baseline none] [--quick]
//	gate sign   --key FILE [--password-file FILE] --source-url URL [--ref REF] [--plain-http] [--check] NAME@sha256:…
//	gate verify (--key FILE | --identity REGEXP --issuer URL) [--plain-http] [--check] NAME@sha256:…
//
// What they find is left in reports/. With --check nothing is done once the arguments are found to be right. Exit codes: 0 passed, 1 red or no verdict, 2 wrong arguments.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// gate is what the commands share.
type gate struct {
	root    string // the repository
	reports string // where findings are left
	tools   tools
	stdout  io.Writer
	stderr  io.Writer
	now     func() time.Time
}

// usageError is a wrong argument.
type usageError struct{ problem string }

func (e *usageError) Error() string { return e.problem }

func usage(format string, args ...any) error {
	return &usageError{problem: fmt.Sprintf(format, args...)}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root, err := findRoot()
	if err == nil {
		g := &gate{
			root: root, reports: filepath.Join(root, "reports"), stdout: stdout, stderr: stderr, now: time.Now,
			tools: tools{bin: filepath.Join(root, ".tools", "bin"), env: os.Environ()},
		}
		err = g.command(ctx, args)
	}
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	fmt.Fprintln(stderr, "gate:", err)
	if _, wrong := errors.AsType[*usageError](err); wrong {
		return 2
	}
	return 1
}

func (g *gate) command(ctx context.Context, args []string) error {
	commands := map[string]func(context.Context, []string) error{
		"scan": g.scan, "sbom": g.sbom, "vuln": g.vuln, "perf": g.perf, "sign": g.sign, "verify": g.verify,
	}
	if len(args) == 0 {
		return usage("which gate? There are scan, sbom, vuln, perf, sign and verify")
	}
	command, known := commands[args[0]]
	if !known {
		return usage("there is no gate %q, but scan, sbom, vuln, perf, sign and verify", args[0])
	}
	return command(ctx, args[1:])
}

// parse reads a command's flags and checks how many arguments follow them.
func (g *gate) parse(flags *flag.FlagSet, args []string, least, most int, what string) error {
	flags.SetOutput(io.Discard) // the error says it, in one line
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			flags.SetOutput(g.stderr)
			flags.Usage()
			return err
		}
		return usage("%s: %s", flags.Name(), err)
	}
	if n := flags.NArg(); n < least || n > most {
		return usage("%s: want %s, have %q", flags.Name(), what, flags.Args())
	}
	return nil
}

// folder makes an empty folder for a gate's reports: what an earlier run left there would look like a result of this one.
func (g *gate) folder(name string) (string, error) {
	dir := filepath.Join(g.reports, name)
	if err := os.RemoveAll(dir); err != nil {
		return "", fmt.Errorf("clear the reports of an earlier run: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make room for reports: %w", err)
	}
	return dir, nil
}

// findRoot returns the nearest folder at or above the working directory that holds go.work.
func findRoot() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		_, err := os.Stat(filepath.Join(dir, "go.work"))
		if err == nil {
			return dir, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("find the repository: %w", err)
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("find the repository: no go.work in %s or above", start)
		}
	}
}

// readSecret reads a file with a secret; the line end that an editor leaves is not part of it.
func readSecret(path string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(content), "\r\n"), nil
}
