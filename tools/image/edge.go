package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// edgeFolder holds everything that goes into the edge's image.
const edgeFolder = "infra/images/edge"

// completeEdge fills in what was not given for the edge's image.
func (o *options) completeEdge(ctx context.Context, root string) error {
	if o.source != "" {
		return errors.New("--source is not for --edge")
	}
	o.source = filepath.Join(root, filepath.FromSlash(edgeFolder))
	if o.tag == "" {
		hash, err := hashOf(ctx, o.source)
		if err != nil {
			return fmt.Errorf("name the edge's image: %w", err)
		}
		o.tag = "bookshelf-edge:" + hash
	}
	if o.idFile == "" {
		o.idFile = filepath.Join(root, ".tools", "edge-image-id")
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
