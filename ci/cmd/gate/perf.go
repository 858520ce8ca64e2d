package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"dagger/bookshelf/plan"
)

// perf measures this commit's image beside the last release's, in turns, and fails when it is slower.
func (g *gate) perf(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("perf", flag.ContinueOnError)
	image := flags.String("image", "", "an image of the Docker engine or a registry (default: what `make image` built last)")
	baseline := flags.String("baseline", "", "the last release's image, or \"none\" before there is one (default: what `make perf` built)")
	quick := flags.Bool("quick", false, "look at two operations for a short time, to try the gate")
	if err := g.parse(flags, args, 0, 0, "no argument"); err != nil {
		return err
	}
	var c plan.Comparison
	var err error
	if c.This.Image, err = g.built(*image, "image-id", "run `make image`"); err != nil {
		return err
	}
	if c.Last.Image, err = g.built(*baseline, "last-image-id", "run `make perf`"); err != nil {
		return err
	}
	reports, err := g.folder("perf")
	if err != nil {
		return err
	}
	if c.Last.Image == plan.NoBaseline {
		fmt.Fprint(g.stdout, plan.NothingToCompare)
		return keep(reports, map[string]string{"verdict.md": plan.NothingToCompare})
	}
	c.Quick, c.MeasuredAt = *quick, g.now().UTC()
	for _, side := range []*plan.Side{&c.This, &c.Last} {
		if side.ID, err = g.imageID(ctx, side.Image); err != nil {
			return err
		}
	}
	judgement, err := g.compare(ctx, c)
	if err != nil {
		return err
	}
	files, err := judgement.Reports()
	if err != nil {
		return err
	}
	if err := keep(reports, files); err != nil {
		return err
	}
	fmt.Fprint(g.stdout, judgement.Table())
	return judgement.Err()
}

// keep writes files into a folder.
func keep(dir string, files map[string]string) error {
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
	}
	return nil
}

// imageID returns the engine's ID of an image, which is fetched where the engine does not have it.
func (g *gate) imageID(ctx context.Context, image string) (string, error) {
	inspect := []string{"docker", "image", "inspect", "--format", "{{.Id}}", image}
	id, err := g.tools.run(ctx, g.root, inspect)
	if err != nil {
		if _, pullErr := g.tools.run(ctx, g.root, []string{"docker", "pull", "--quiet", image}); pullErr != nil {
			return "", fmt.Errorf("the engine does not have %s, and no registry gives it: %w", image, pullErr)
		}
		if id, err = g.tools.run(ctx, g.root, inspect); err != nil {
			return "", err
		}
	}
	return strings.TrimSpace(string(id)), nil
}

// compare starts both and measures until there is a verdict.
func (g *gate) compare(ctx context.Context, c plan.Comparison) (judgement plan.Judgement, err error) {
	a, err := g.newArena(ctx)
	if err != nil {
		return plan.Judgement{}, err
	}
	defer func() { err = errors.Join(err, a.remove()) }()
	targets := make([]plan.LoadTarget, 2)
	for i, side := range []plan.Side{c.This, c.Last} {
		if targets[i], err = a.serve(ctx, []string{"this", "last"}[i], side.ID); err != nil {
			return plan.Judgement{}, fmt.Errorf("bring up %s: %w", side.Image, err)
		}
	}
	for {
		input, err := json.Marshal(c.NextLoad(targets[0], targets[1]))
		if err != nil {
			return plan.Judgement{}, err
		}
		batch, err := g.tools.feed(ctx, g.root, input, []string{"load"})
		if err != nil {
			return plan.Judgement{}, fmt.Errorf("measure: %w", err)
		}
		if err := c.Add(batch); err != nil {
			return plan.Judgement{}, err
		}
		judgement, err := c.Judge()
		if err != nil || judgement.Final() {
			return judgement, err
		}
		fmt.Fprintf(g.stderr, "undecided after another %d rounds; measuring on\n", plan.RoundsAtOnce)
	}
}
