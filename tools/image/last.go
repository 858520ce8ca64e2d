package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// lastRelease returns the commit of the last release as a person would name it: the newest tag v… before this commit. Without a tag
// every commit of main is a release, so it is the commit before; and for sources that are not committed yet, this one.
func lastRelease(ctx context.Context, root string) (name, revision string, err error) {
	_, described, err := describe(ctx, root)
	if err != nil {
		return "", "", err
	}
	from := "HEAD"
	if !strings.HasSuffix(described, "-dirty") {
		from = "HEAD^"
	}
	if _, err := git(ctx, root, "rev-parse", "--verify", "--quiet", from+"^{commit}"); err != nil {
		return "", "", errors.New("there is no commit before this one, so no last release: the first one has nothing to be compared with")
	}
	// A version as ci/plan publishes it begins with a v and a digit.
	tag, err := git(ctx, root, "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*", from)
	if err == nil {
		from, name = tag, tag
	}
	if revision, err = git(ctx, root, "rev-parse", from+"^{commit}"); err != nil {
		return "", "", err
	}
	if name == "" {
		name = "commit " + revision[:12] + ", as no tag v… is there"
	}
	return name, revision, nil
}

// git runs in root and returns what it prints.
func git(ctx context.Context, root string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w", args[0], err)
	}
	return strings.TrimSpace(string(out)), nil
}

// extract writes what goes into the image, as it was at a commit, into dir. No work tree is made of it: one that an interrupted run has
// left would have to be pruned.
func extract(ctx context.Context, root, revision, dir string) error {
	cmd := exec.CommandContext(ctx, "git", append([]string{"archive", "--format=tar", revision, "--"}, inputs...)...)
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	archive, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("take the sources of %s: %w: %s", revision, err, strings.TrimSpace(stderr.String()))
	}
	files := tar.NewReader(bytes.NewReader(archive))
	for {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the sources of %s: %w", revision, err)
		}
		path := filepath.Join(dir, filepath.FromSlash(header.Name))
		switch header.Typeflag {
		case tar.TypeDir:
			err = os.MkdirAll(path, 0o755)
		case tar.TypeReg:
			err = write(path, files, header.FileInfo().Mode().Perm())
		}
		if err != nil {
			return fmt.Errorf("write the sources of %s: %w", revision, err)
		}
	}
}

func write(path string, content io.Reader, mode os.FileMode) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	if _, err := io.Copy(file, content); err != nil {
		file.Close() // the copy's error is the one to tell
		return err
	}
	return file.Close()
}
