// Command pgbackrest-agent stands between PostgreSQL and pgBackRest: it carries WAL segments over, takes backups by a schedule, writes
// down what the database held at each, and says in metrics how all of that is.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"bookshelf/postgres/internal/agent"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := agent.Run(ctx, os.Args[1:], os.LookupEnv, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "pgbackrest-agent:", err)
	}
	os.Exit(agent.ExitCode(err))
}
