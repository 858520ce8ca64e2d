// Command edge is the command line of the entrance of an environment. What serves is the program edge-server beside it; this one is
// small, because it is started for every health check and for every look that a release takes.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"bookshelf/edge/internal/command"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := run(ctx)
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintln(os.Stderr, "edge:", strings.TrimRight(line, "\n"))
		}
	}
	os.Exit(command.ExitCode(err))
}

func run(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	server := command.Server(filepath.Join(filepath.Dir(self), "edge-server"))
	return command.Run(ctx, os.Args[1:], os.Environ(), server, os.Stdin, os.Stdout)
}
