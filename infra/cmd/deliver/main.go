// Command deliver operates the environments of this repository: it brings them up, shows them, and takes them down.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"bookshelf/infra/runtime/docker"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// Pulumi's plugin reads the same variable, and knows no contexts either.
	if _, set := os.LookupEnv("DOCKER_HOST"); !set {
		if host := docker.ContextHost(ctx); host != "" {
			_ = os.Setenv("DOCKER_HOST", host) // fails for names and values that can't be set, of which this is none
		}
	}
	code := run(ctx, os.Args[1:], os.LookupEnv, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
