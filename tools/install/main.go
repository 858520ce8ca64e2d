// Command install makes pinned tools available in .tools/bin: GOWORK=off go run -C tools ./install buildx pulumi
package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"bookshelf/tools/internal/command"
	"bookshelf/tools/internal/pinned"
	"bookshelf/tools/internal/repo"
)

func main() { command.Main("install", run) }

// run installs the tools one after the other: each build uses every core.
func run(ctx context.Context, names []string, _, _ io.Writer) error {
	root, err := repo.Root()
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return fmt.Errorf("name the tools to install: %s", strings.Join(pinned.Names(root), ", "))
	}
	for _, name := range names {
		if _, err := pinned.Install(ctx, root, name); err != nil {
			return err
		}
	}
	return nil
}
