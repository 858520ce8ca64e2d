// Command edge is the entrance of an environment: Caddy, and slots whose weights change without a lost request.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"bookshelf/edge/internal/command"
	"bookshelf/edge/internal/serve"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := command.Run(ctx, os.Args[1:], os.Environ(), serve.Run, os.Stdin, os.Stdout, os.Stderr)
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintln(os.Stderr, "edge:", strings.TrimRight(line, "\n"))
		}
	}
	os.Exit(command.ExitCode(err))
}
