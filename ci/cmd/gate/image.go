package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// subject is the image that a gate looks at.
type subject struct{ image, archive string }

func (s *subject) flags(flags *flag.FlagSet) {
	flags.StringVar(&s.image, "image", "", "an image of the Docker engine (default: what `make image` built last)")
	flags.StringVar(&s.archive, "archive", "", "a tar archive of an image, as docker save writes it, in the place of --image")
}

// archiveName is what the image is called in the working folder and so in reports.
const archiveName = "image.tar"

// fetch puts the image's archive into dir.
func (s *subject) fetch(ctx context.Context, g *gate, dir string) error {
	to := filepath.Join(dir, archiveName)
	if s.archive != "" {
		if s.image != "" {
			return usage("--image and --archive are two ways to name one thing: want one of them")
		}
		return copyFile(s.archive, to)
	}
	image, err := g.built(s.image, "image-id", "run `make image`")
	if err != nil {
		return err
	}
	if _, err := g.tools.run(ctx, dir, []string{"docker", "save", "--output", to, image}); err != nil {
		return fmt.Errorf("take image %s from the engine: %w", image, err)
	}
	return nil
}

// built is the image that was named, or else the one whose ID a build has left in a file of .tools; hint says how to make it.
func (g *gate) built(named, file, hint string) (string, error) {
	if named != "" {
		return named, nil
	}
	id, err := os.ReadFile(filepath.Join(g.root, ".tools", file))
	if err != nil {
		return "", fmt.Errorf("no image was built here (%s): %w", hint, err)
	}
	return strings.TrimSpace(string(id)), nil
}

func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(target, source); err != nil {
		target.Close() // the copy's error is the one to tell
		return fmt.Errorf("copy %s: %w", from, err)
	}
	return target.Close()
}

// checkout copies what git has or would add into dir: what it ignores, such as state, secrets and built tools, is on no
// other machine, so no other machine could come to the same verdict.
func (g *gate) checkout(ctx context.Context, dir string) error {
	list, err := g.tools.run(ctx, g.root, []string{"git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"})
	if err != nil {
		return fmt.Errorf("list the repository's files: %w", err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(list), "\x00"), "\x00") {
		from := filepath.Join(g.root, name)
		// A deleted file is listed until the deletion is committed; a link could lead anywhere.
		if info, err := os.Lstat(from); err != nil || !info.Mode().IsRegular() {
			continue
		}
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return fmt.Errorf("copy the repository: %w", err)
		}
		if err := copyFile(from, to); err != nil {
			return fmt.Errorf("copy the repository: %w", err)
		}
	}
	return nil
}
