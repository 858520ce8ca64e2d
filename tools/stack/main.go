// Command stack runs the stack of docker-compose.yml with whatever Compose there is.
//
//	GOWORK=off go run -C tools ./stack up       make the secrets, start everything, wait, print the URL
//	GOWORK=off go run -C tools ./stack down     stop everything; the data stays
//	GOWORK=off go run -C tools ./stack compose  make sure that there is a Compose
package main

import (
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

	"bookshelf/tools/internal/command"
	"bookshelf/tools/internal/docker"
	"bookshelf/tools/internal/pinned"
	"bookshelf/tools/internal/repo"
)

func main() { command.Main("stack", run) }

func run(ctx context.Context, args []string, stdout, _ io.Writer) error {
	if len(args) != 1 {
		return errors.New("usage: stack up|down|compose")
	}
	root, err := repo.Root()
	if err != nil {
		return err
	}
	compose, err := findCompose(ctx, root)
	if err != nil {
		return err
	}
	s := stack{root: root, compose: compose}
	switch args[0] {
	case "up":
		return s.up(ctx, stdout)
	case "down":
		return s.down(ctx)
	case "compose":
		return nil
	default:
		return fmt.Errorf("unknown command %q; there are up, down and compose", args[0])
	}
}

// findCompose returns the command line of a Compose: docker's plugin, the command of its own, or the pinned one.
func findCompose(ctx context.Context, root string) ([]string, error) {
	if exec.CommandContext(ctx, "docker", "compose", "version").Run() == nil {
		return []string{"docker", "compose"}, nil
	}
	if path, err := exec.LookPath("docker-compose"); err == nil {
		return []string{path}, nil
	}
	path, err := pinned.Install(ctx, root, "compose")
	if err != nil {
		return nil, fmt.Errorf("there is no Compose, so the pinned one is needed: %w", err)
	}
	return []string{path}, nil
}

// stack is the project of docker-compose.yml, named by Compose after the repository's folder.
type stack struct {
	root    string
	compose []string
}

// up starts what does not run, waits until the app is healthy and prints where its books are.
func (s stack) up(ctx context.Context, stdout io.Writer) error {
	if err := makeSecrets(filepath.Join(s.root, "secrets")); err != nil {
		return err
	}
	if err := s.run(ctx, "up", "--detach"); err != nil {
		return err
	}
	// Asked here, because --wait is unknown to Compose 1.29 and takes a finished task for a failure.
	id, err := s.output(ctx, "ps", "--quiet", "app")
	if err != nil {
		return err
	}
	if err := waitHealthy(ctx, id); err != nil {
		return err
	}
	address, err := s.output(ctx, "port", "app", "8080")
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "http://%s/api/v1/books\n", address)
	return nil
}

// waitHealthy waits until the container's own health check succeeds.
func waitHealthy(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("the app is not healthy after a minute; its log tells why: docker logs "+id))
	defer cancel()
	for {
		state, err := docker.Output(ctx, "inspect", "--format", "{{.State.Status}} {{.State.Health.Status}}", id)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return err
		case state == "running healthy":
			return nil
		case strings.HasPrefix(state, "exited"):
			return errors.New("the app ended; its log tells why: docker logs " + id)
		}
		select {
		case <-ctx.Done():
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// down keeps the volume with the data; `docker compose down --volumes` is for those who mean it.
func (s stack) down(ctx context.Context) error { return s.run(ctx, "down") }

// command is a call of Compose. An interruption is passed on, so that it can leave the containers in a known state.
func (s stack) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.compose[0], append(s.compose[1:len(s.compose):len(s.compose)], args...)...)
	cmd.Dir = s.root
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 30 * time.Second
	if os.Getenv("BOOKSHELF_IMAGE") == "" {
		// Only needed to read the file: nothing is started without it, because `make compose-up` sets it.
		cmd.Env = append(os.Environ(), "BOOKSHELF_IMAGE=none")
	}
	return cmd
}

// run shows what Compose prints, on standard error: standard output is for the URL.
func (s stack) run(ctx context.Context, args ...string) error {
	if args[0] == "up" && os.Getenv("BOOKSHELF_IMAGE") == "" {
		return errors.New("BOOKSHELF_IMAGE is not set; `make compose-up` builds the image and sets it")
	}
	cmd := s.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("compose %s: %w", args[0], err)
	}
	return nil
}

// output returns what Compose answers, without the white space around it.
func (s stack) output(ctx context.Context, args ...string) (string, error) {
	cmd := s.command(ctx, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("compose %s: %w", args[0], err)
	}
	return strings.TrimSpace(string(out)), nil
}
