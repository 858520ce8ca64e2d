package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// tools runs pinned tools, and the host's docker and git.
type tools struct {
	bin string   // the folder with the pinned ones
	env []string // of the tools
}

// failure is a command that ran and did not succeed.
type failure struct {
	command string
	code    int
	said    string // the end of its standard error
}

func (f *failure) Error() string {
	return fmt.Sprintf("%s ended with exit code %d: %s", f.command, f.code, f.said)
}

// run runs a command line as package plan writes it, in dir, and returns its standard output. More variables of the form
// NAME=value are for this one command.
func (t tools) run(ctx context.Context, dir string, args []string, more ...string) ([]byte, error) {
	return t.feed(ctx, dir, nil, args, more...)
}

// feed does so with a standard input.
func (t tools) feed(ctx context.Context, dir string, stdin []byte, args []string, more ...string) ([]byte, error) {
	path, err := t.find(args[0])
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, args[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdin = dir, append(t.environment(args[0]), more...), bytes.NewReader(stdin)
	// Interrupted rather than killed, so that it removes its own temporary files.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 10 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("interrupted while %s ran", args[0])
	}
	if exit, ran := errors.AsType[*exec.ExitError](err); ran {
		said := strings.TrimSpace(stderr.String())
		if len(said) > maxSaid {
			said = "…" + strings.ToValidUTF8(said[len(said)-maxSaid:], "")
		}
		return stdout.Bytes(), &failure{command: strings.Join(args[:min(2, len(args))], " "), code: exit.ExitCode(), said: said}
	}
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", args[0], err)
	}
	return stdout.Bytes(), nil
}

// maxSaid bounds what of a tool's complaint goes into an error, in bytes.
const maxSaid = 4 << 10

// find returns where a tool is. Only the pinned ones may judge: another version on the PATH may mean other things.
func (t tools) find(name string) (string, error) {
	if name == "docker" || name == "git" {
		return exec.LookPath(name)
	}
	path := filepath.Join(t.bin, name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is not in .tools/bin: the make target of this gate builds it, or `GOWORK=off go run -C tools ./install %s`", name, name)
	}
	return path, nil
}

// environment is that of a tool. Trivy takes every flag from the environment too: a forgotten TRIVY_SEVERITY or
// TRIVY_IGNORE_UNFIXED on somebody's machine would turn a red scan green.
func (t tools) environment(name string) []string {
	var env []string
	for _, variable := range t.env {
		if name == "trivy" && strings.HasPrefix(variable, "TRIVY_") {
			continue
		}
		env = append(env, variable)
	}
	// The workspace is for developing: each module is judged with the versions of its own go.mod.
	return append(env, "GOWORK=off")
}
