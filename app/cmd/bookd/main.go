// Command bookd is the book catalogue service: its server, its migrations, its import.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"bookshelf/app/internal/bookd"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks; giving up the handler after it lets a second one end the process at once.
	context.AfterFunc(ctx, stop)
	err := bookd.Run(ctx, os.Args[1:], os.LookupEnv, os.Stdin, os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bookd:", err)
	}
	os.Exit(bookd.ExitCode(err))
}
