package main

import (
	"context"
	"os"
	"path/filepath"

	"bookshelf/tools/internal/pinned"
)

// clientFile is the Go client, below the repository's root.
var clientFile = filepath.Join("app", "client", "client.gen.go")

// client writes the Go client anew from the API's description and compares it with what is committed.
func (c checker) client(ctx context.Context) (string, error) {
	if files, err := c.files(ctx, clientFile); err != nil || len(files) == 0 {
		return "", err
	}
	generator, err := pinned.Install(ctx, c.root, "oapi-codegen")
	if err != nil {
		return "", err
	}
	scratch, err := os.MkdirTemp("", "bookshelf-client-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(scratch)
	fresh := filepath.Join(scratch, filepath.Base(clientFile))
	complaint, err := output(ctx, filepath.Join(c.root, filepath.Dir(clientFile)), nil,
		generator, "-config", "oapi-codegen.yaml", "-o", fresh,
		filepath.Join("..", "internal", "httpapi", "description", "openapi.yaml"))
	if err != nil || complaint != "" {
		return complaint, err
	}
	return c.compareClient(fresh)
}

func (c checker) compareClient(fresh string) (string, error) {
	if same, err := sameContent(fresh, filepath.Join(c.root, clientFile)); err != nil || same {
		return "", err
	}
	return clientFile + " is not what the generator writes: run `make client`\n", nil
}
