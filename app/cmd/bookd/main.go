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
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		signal.Stop(signals) // before anybody learns of the first signal, so that a second one ends the process at once
		cancel()
	}()
	err := bookd.Run(ctx, os.Args[1:], os.LookupEnv, os.Stdin, os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bookd:", err)
	}
	os.Exit(bookd.ExitCode(err))
}
