// Command install makes pinned tools available in .tools/bin: GOWORK=off go run -C tools ./install buildx pulumi
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"bookshelf/tools/internal/pinned"
	"bookshelf/tools/internal/repo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "install:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, names []string) error {
	root, err := repo.Root()
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return fmt.Errorf("name the tools to install: %s", strings.Join(pinned.Names(root), ", "))
	}
	for _, name := range names {
		if _, err := pinned.Install(ctx, root, name); err != nil {
			if errors.Is(err, context.Canceled) {
				return fmt.Errorf("%s: interrupted, nothing half-built is left behind", name)
			}
			return err
		}
	}
	return nil
}
