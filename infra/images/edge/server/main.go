// Command edge-server is what `edge run` becomes: Caddy, and slots whose weights change without a lost request. It has no command line;
// its settings are the variables that the command has looked through already.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"bookshelf/edge/internal/serve"
	"bookshelf/edge/internal/settings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	s, err := settings.Load(os.Environ())
	if err == nil {
		err = serve.Run(ctx, s, os.Stderr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "edge:", err)
		os.Exit(1)
	}
}
