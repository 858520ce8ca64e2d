package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/blang/semver"
	"github.com/pulumi/pulumi/sdk/v3/go/auto"
)

// interruptDelay is how long Pulumi may take to finish what it is in the middle of after it was told to stop.
const interruptDelay = 90 * time.Second

// command runs the Pulumi CLI in a process group of its own. A Ctrl-C on the terminal reaches every process in the foreground group;
// Pulumi would get it once from there and once from us, and take the second for "leave everything as it is".
type command struct {
	path    string
	version semver.Version
}

var _ auto.PulumiCommand = command{}

// findPulumi takes the CLI from the tools folder, else from the PATH.
func findPulumi(ctx context.Context, tools string) (command, error) {
	path := filepath.Join(tools, "bin", "pulumi")
	if _, err := os.Stat(path); err != nil {
		if path, err = exec.LookPath("pulumi"); err != nil {
			return command{}, errors.New("no pulumi in .tools/bin or on the PATH: run `make tools`")
		}
	}
	c := command{path: path}
	stdout, _, _, err := c.Run(ctx, "", nil, nil, nil, []string{"PULUMI_SKIP_UPDATE_CHECK=true"}, "version")
	if err != nil {
		return command{}, fmt.Errorf("ask %s for its version: %w", path, err)
	}
	if c.version, err = semver.ParseTolerant(strings.TrimSpace(stdout)); err != nil {
		return command{}, fmt.Errorf("%s version: %w", path, err)
	}
	return c, nil
}

// Version implements auto.PulumiCommand.
func (c command) Version() semver.Version { return c.version }

// Run implements auto.PulumiCommand.
func (c command) Run(ctx context.Context, workdir string, stdin io.Reader, stdouts, stderrs []io.Writer, env []string, args ...string) (string, string, int, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, c.path, append(args, "--non-interactive")...)
	cmd.Dir = workdir
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin = stdin
	cmd.Stdout = io.MultiWriter(append(stdouts, &stdout)...)
	cmd.Stderr = io.MultiWriter(append(stderrs, &stderr)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = interruptDelay
	err := cmd.Run()
	code := -2 // what the Automation API's own command reports for a process that never ran
	if cmd.ProcessState != nil {
		code = cmd.ProcessState.ExitCode()
	}
	if ctx.Err() != nil {
		err = errors.Join(ctx.Err(), err)
	}
	return stdout.String(), stderr.String(), code, err
}
