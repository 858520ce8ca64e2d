// Command bases provides the base images of this repository: it pulls them, and where no registry answers it builds
// stand-ins from Debian packages under the same names.
//
//	GOWORK=off go run -C tools ./bases            provide all
//	GOWORK=off go run -C tools ./bases --check    say what is there; exit 1 when one is missing
//	GOWORK=off go run -C tools ./bases --observability lean    provide instead what watches an environment; or full, or off
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"text/tabwriter"

	"bookshelf/tools/internal/apt"
	"bookshelf/tools/internal/command"
	"bookshelf/tools/internal/docker"
	"bookshelf/tools/internal/filelock"
	"bookshelf/tools/internal/repo"
)

func main() { command.Main("bases", run) }

// run provides the images that args name, or all of the table. It asks the engine and nobody else when all are there, so
// that it costs nothing to call it before everything else.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("bases", flag.ContinueOnError)
	flags.SetOutput(stderr)
	check := flags.Bool("check", false, "say which base images are there, and change nothing")
	level := flags.String("observability", "", "provide instead the images that watch an environment: off, lean or full")
	if err := flags.Parse(args); err != nil {
		return err
	}
	all := table
	if *level != "" {
		if *level == "off" {
			return nil
		}
		root, err := repo.Root()
		if err != nil {
			return err
		}
		if all, err = watching(root, *level); err != nil {
			return err
		}
	}
	images, err := command.Choose("base image", all, func(b base) string { return b.name }, flags.Args())
	if err != nil {
		return err
	}
	if *check {
		return report(ctx, images, stdout)
	}
	missing, err := wanted(ctx, images)
	if err != nil || len(missing) == 0 {
		return err
	}
	cache, err := repo.Cache()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return fmt.Errorf("make the cache folder: %w", err)
	}
	release, err := filelock.Take(ctx, filepath.Join(cache, "bases.lock"), func() {
		fmt.Fprintln(stderr, "base images: another process is providing them; waiting")
	})
	if err != nil {
		return err
	}
	defer release()
	// Whoever held the lock may have provided them.
	if missing, err = wanted(ctx, images); err != nil {
		return err
	}
	return provide(ctx, missing, stderr)
}

// wanted returns the images that are missing, or are stand-ins made by an older recipe.
func wanted(ctx context.Context, images []base) ([]base, error) {
	var missing []base
	for _, b := range images {
		image, err := docker.InspectImage(ctx, b.name)
		if err != nil {
			return nil, err
		}
		if image == nil {
			missing = append(missing, b)
			continue
		}
		if recipe, ok := image.Config.Labels[recipeLabel]; ok {
			now, err := b.recipe(ctx)
			if err != nil {
				return nil, err
			}
			if recipe != now {
				missing = append(missing, b)
			}
		}
	}
	return missing, nil
}

// provide pulls images, and builds stand-ins at the same time for those that cannot be pulled.
func provide(ctx context.Context, images []base, stderr io.Writer) error {
	var build []base
	unreachable := false
	for _, b := range images {
		if !unreachable && !b.own {
			err := pull(ctx, b.name, firstAnswer)
			if err == nil {
				continue
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			fmt.Fprintf(stderr, "%s: %v\n", b.name, err)
			// No use in asking a registry three times that does not answer.
			unreachable = errors.Is(err, errNoRegistry)
		}
		build = append(build, b)
	}
	if len(build) == 0 {
		return nil
	}
	var mirrors apt.Mirrors
	if at := slices.IndexFunc(build, func(b base) bool { return b.tool == "" }); at >= 0 {
		var err error
		if mirrors, err = prepareHost(ctx); err != nil {
			return fmt.Errorf("%s cannot be pulled, and no stand-in can be built here: %w", build[at].name, err)
		}
	}
	if slices.ContainsFunc(build, func(b base) bool { return !b.own }) {
		fmt.Fprintln(stderr, "building stand-ins: same names, same contract, labelled "+standInLabel+"=true")
	}
	spool, err := spoolFolder()
	if err != nil {
		return err
	}
	defer os.RemoveAll(spool)
	failures := make([]error, len(build))
	var all sync.WaitGroup
	for i, b := range build {
		all.Go(func() { failures[i] = buildStandIn(ctx, b, mirrors, spool, stderr) })
	}
	all.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return errors.Join(failures...)
}

// spoolFolder makes a folder for layers on their way to the engine. The caller holds the lock, so an older one is what a
// killed run left.
func spoolFolder() (string, error) {
	cache, err := repo.Cache()
	if err != nil {
		return "", err
	}
	leavings, err := filepath.Glob(filepath.Join(cache, "bases-*"))
	if err != nil {
		return "", fmt.Errorf("look for leavings: %w", err)
	}
	for _, dir := range leavings {
		if err := os.RemoveAll(dir); err != nil {
			return "", fmt.Errorf("remove what an earlier run left: %w", err)
		}
	}
	dir, err := os.MkdirTemp(cache, "bases-")
	if err != nil {
		return "", fmt.Errorf("make room for image layers: %w", err)
	}
	return dir, nil
}

// report prints what is there.
func report(ctx context.Context, images []base, stdout io.Writer) error {
	out := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	var missing error
	for _, b := range images {
		image, err := docker.InspectImage(ctx, b.name)
		switch {
		case err != nil:
			return err
		case image == nil:
			missing = errors.New("a base image is missing; `make bases` provides it")
			fmt.Fprintf(out, "%s\tmissing\n", b.name)
		default:
			origin := "pulled"
			if b.own {
				origin = "built"
			}
			if image.Config.Labels[standInLabel] == "true" {
				origin = "stand-in"
			}
			fmt.Fprintf(out, "%s\t%s\t%.0f MB\t%s\n", b.name, origin, float64(image.Size)/1e6, image.ID)
		}
	}
	return errors.Join(out.Flush(), missing)
}
