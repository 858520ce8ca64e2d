package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"dagger/bookshelf/plan"
)

// scan searches the image and the repository with Trivy and judges what it reports.
func (g *gate) scan(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("scan", flag.ContinueOnError)
	var s subject
	s.flags(flags)
	database := flags.String("database", "", "OCI repository of the vulnerability database (default: Trivy's own)")
	ignore := flags.String("ignore", filepath.Join(g.root, "ci", "scanignore.yaml"), "file of the findings that are put off")
	cache := flags.String("cache", "", "folder of the vulnerability database (default: in $BOOKSHELF_CACHE or the user's cache)")
	if err := g.parse(flags, args, 0, 0, "no argument"); err != nil {
		return err
	}
	ignores, err := os.ReadFile(*ignore)
	if err != nil {
		return fmt.Errorf("ignore file: %w", err)
	}
	// Told before minutes are spent on scanning. Judge looks again, at what the scan used.
	if _, err := plan.ParseIgnores(ignores, g.now()); err != nil {
		return err
	}
	if *cache == "" {
		if *cache, err = cacheFolder("trivy"); err != nil {
			return err
		}
	}
	reports, err := g.folder("scan")
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "bookshelf-scan-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)

	metadata, err := g.database(ctx, work, *cache, *database)
	if err != nil {
		return err
	}
	if err := s.fetch(ctx, g, work); err != nil {
		return err
	}
	if err := g.checkout(ctx, filepath.Join(work, "repository")); err != nil {
		return err
	}
	contents, err := g.examine(ctx, work, *cache, reports)
	if err != nil {
		return err
	}
	verdict, err := plan.Judge(contents, metadata, ignores, g.now())
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(reports, "verdict.md"), []byte(verdict.Markdown()), 0o644); err != nil {
		return fmt.Errorf("write the verdict: %w", err)
	}
	fmt.Fprintf(g.stdout, "%d artifacts, database of %s: %d blocking, %d excused, %d noted; reports in %s\n", verdict.Artifacts,
		verdict.Database.UpdatedAt.UTC().Format("2006-01-02 15:04"), len(verdict.Blocking), len(verdict.Excused), len(verdict.Noted), reports)
	for _, unused := range verdict.Unused {
		fmt.Fprintf(g.stdout, "the ignore file's entry %s covers nothing any more; remove it\n", unused.ID)
	}
	return verdict.Err()
}

// database brings the vulnerability database up to date and returns its metadata, of an acceptable age. Whatever goes
// wrong is an error: without a database nothing is ever found.
func (g *gate) database(ctx context.Context, work, cache, repository string) ([]byte, error) {
	if _, err := g.tools.run(ctx, work, plan.TrivyDatabase(cache, repository)); err != nil {
		return nil, fmt.Errorf("fetch the vulnerability database, so nothing is known: %w", err)
	}
	metadata, err := os.ReadFile(filepath.Join(cache, "db", "metadata.json"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("vulnerability database: %w", err)
	}
	parsed, err := plan.ParseDatabase(metadata)
	if err != nil {
		return nil, err
	}
	return metadata, parsed.Check(g.now())
}

// examine scans what is in the folder work, writes the reports in each format and returns those in JSON. The tools run in
// that folder, which holds nothing else: Trivy obeys a configuration file in its working directory.
func (g *gate) examine(ctx context.Context, work, cache, reports string) ([][]byte, error) {
	var contents [][]byte
	for _, artifact := range []struct {
		name    string
		command func(cache, target, output string) []string
		target  string
	}{
		{"image", plan.TrivyImage, archiveName},
		{"repository", plan.TrivyFilesystem, "repository"},
	} {
		report := filepath.Join(reports, artifact.name+".json")
		if _, err := g.tools.run(ctx, work, artifact.command(cache, artifact.target, report)); err != nil {
			return nil, fmt.Errorf("scan the %s: %w", artifact.name, err)
		}
		for _, as := range []struct{ format, suffix string }{{"sarif", ".sarif"}, {"table", ".txt"}} {
			if _, err := g.tools.run(ctx, work, plan.TrivyConvert(as.format, report, filepath.Join(reports, artifact.name+as.suffix))); err != nil {
				return nil, fmt.Errorf("write the report of the %s as %s: %w", artifact.name, as.format, err)
			}
		}
		content, err := os.ReadFile(report)
		if err != nil {
			return nil, fmt.Errorf("read the report of the %s: %w", artifact.name, err)
		}
		contents = append(contents, content)
	}
	return contents, nil
}

// cacheFolder is a folder below $BOOKSHELF_CACHE or the user's cache folder, as for the pinned tools.
func cacheFolder(name string) (string, error) {
	if dir := os.Getenv("BOOKSHELF_CACHE"); dir != "" {
		return filepath.Abs(filepath.Join(dir, name))
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache folder (set BOOKSHELF_CACHE to choose one): %w", err)
	}
	return filepath.Join(dir, "bookshelf", name), nil
}

// sboms are the formats in which an image is described, by the kind of attestation that carries them.
var sboms = []struct{ kind, format, file string }{
	{plan.CycloneDX, "cyclonedx", "image.cdx.json"},
	{plan.SPDX, "spdx-json", "image.spdx.json"},
}

// sbom lists what the image consists of.
func (g *gate) sbom(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("sbom", flag.ContinueOnError)
	var s subject
	s.flags(flags)
	if err := g.parse(flags, args, 0, 0, "no argument"); err != nil {
		return err
	}
	reports, err := g.folder("sbom")
	if err != nil {
		return err
	}
	return g.describe(ctx, s, reports)
}

// describe writes the image's SBOM in each format into reports.
func (g *gate) describe(ctx context.Context, s subject, reports string) error {
	cache, err := cacheFolder("trivy")
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "bookshelf-sbom-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := s.fetch(ctx, g, work); err != nil {
		return err
	}
	for _, one := range sboms {
		file := filepath.Join(reports, one.file)
		if _, err := g.tools.run(ctx, work, plan.TrivySBOM(cache, one.format, archiveName, file)); err != nil {
			return fmt.Errorf("list what the image consists of: %w", err)
		}
		fmt.Fprintln(g.stdout, file)
	}
	return nil
}
