package docker

import (
	"context"
	"os/exec"
	"strings"
)

// Local reports whether the engine is on this machine, so that what it publishes on loopback is found here.
func (e *Engine) Local() bool { return strings.HasPrefix(e.api.DaemonHost(), "unix://") }

// ContextHost is the address of the engine that the docker command works on when DOCKER_HOST is not set: that of its current context.
// It is "" where there is no such command or context; then the usual socket is meant. Images are built through that command, so
// whatever runs them has to mean the same engine.
func ContextHost(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}").Output()
	if err != nil {
		return ""
	}
	host, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(host)
}
