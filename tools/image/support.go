package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// support are the images that an environment needs beside the application's, each with the folder that holds everything that goes
// into it.
var support = map[string]string{
	"edge":     "infra/images/edge",
	"postgres": "infra/images/postgres",
}

// completeSupport fills in what was not given for a supporting image.
func (o *options) completeSupport(ctx context.Context, root string) error {
	folder, known := support[o.support]
	if !known {
		return fmt.Errorf("--support %s: there are %s", o.support, strings.Join(slices.Sorted(maps.Keys(support)), ", "))
	}
	if o.source != "" {
		return errors.New("--source is not for --support")
	}
	o.source = filepath.Join(root, filepath.FromSlash(folder))
	if o.tag == "" {
		hash, err := hashOf(ctx, o.source)
		if err != nil {
			return fmt.Errorf("name the image of %s: %w", o.support, err)
		}
		o.tag = "bookshelf-" + o.support + ":" + hash
	}
	if o.idFile == "" {
		o.idFile = filepath.Join(root, ".tools", o.support+"-image-id")
	}
	return nil
}

// hashOf returns twelve digits that stand for the names and contents of the files of a folder that reach its image.
// Tests and what git ignores do not. The files themselves are read, so a change counts before it is committed.
func hashOf(ctx context.Context, folder string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate",
		"--", ".", ":!*_test.go", ":!*.md")
	cmd.Dir = folder
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git ls-files: %w", err)
	}
	sum := sha256.New()
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		content, err := os.ReadFile(filepath.Join(folder, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted, and not committed yet
		}
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%s %d\n", name, len(content))
		sum.Write(content)
	}
	return hex.EncodeToString(sum.Sum(nil))[:12], nil
}

// keepID writes the ID of an image that was not built anew to where a build would have put it.
func keepID(file, id string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("make the folder of the image ID: %w", err)
	}
	fresh := fmt.Sprintf("%s.%d", file, os.Getpid())
	defer os.Remove(fresh)
	if err := os.WriteFile(fresh, []byte(id), 0o644); err != nil {
		return fmt.Errorf("keep the image's ID: %w", err)
	}
	return os.Rename(fresh, file)
}
