// Package docker drives a container engine through the docker command, so that contexts, DOCKER_HOST and credentials
// work as they do for the person at the keyboard.
package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Command is `docker args…`, which is interrupted rather than killed when ctx is done, so that it can clean up.
func Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// Output runs `docker args…` and returns what it printed, without the white space around it. The error holds the last
// line of what docker complained about.
func Output(ctx context.Context, args ...string) (string, error) {
	cmd := Command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", Explain(args[0], err, stderr.String())
	}
	return strings.TrimSpace(stdout.String()), nil
}

// Explain makes one error of a failed docker command and the last line of its standard error.
func Explain(command string, err error, stderr string) error {
	stderr = strings.TrimSpace(stderr)
	if last := stderr[strings.LastIndexByte(stderr, '\n')+1:]; last != "" {
		return fmt.Errorf("docker %s: %s", command, strings.TrimPrefix(last, "Error response from daemon: "))
	}
	return fmt.Errorf("docker %s: %w", command, err)
}

// Image is what the engine knows of an image.
type Image struct {
	ID     string `json:"Id"` // sha256:…
	Size   int64  // bytes, all layers
	Config struct {
		Labels map[string]string
	}
}

// InspectImage returns the local image called ref, or nil where there is none.
func InspectImage(ctx context.Context, ref string) (*Image, error) {
	cmd := Command(ctx, "image", "inspect", ref)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if strings.Contains(strings.ToLower(stderr.String()), "no such image") {
			return nil, nil
		}
		return nil, Explain("image inspect", err, stderr.String())
	}
	var images []Image
	if err := json.Unmarshal(stdout.Bytes(), &images); err != nil {
		return nil, fmt.Errorf("read docker image inspect %s: %w", ref, err)
	}
	if len(images) != 1 {
		return nil, errors.New("docker image inspect " + ref + ": not one image")
	}
	return &images[0], nil
}
