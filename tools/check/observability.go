package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
)

// generatorDir is the module that writes rules, dashboards and their pages, below the repository's root.
var generatorDir = filepath.Join("infra", "observability", "generate")

// observability asks the generator whether what is committed is what it writes. It also refuses a rule or a panel that uses a name
// which no telemetry contract has.
func (c checker) observability(ctx context.Context) (string, error) {
	if files, err := c.files(ctx, filepath.Join(generatorDir, "main.go")); err != nil || len(files) == 0 {
		return "", err
	}
	alone := append(slices.Clip(os.Environ()), "GOWORK=off")
	return output(ctx, filepath.Join(c.root, generatorDir), alone, "go", "run", ".", "-check")
}
