// Command generate writes what infra/observability has of rules and dashboards, docs/telemetry.md and docs/alerts.md, from the telemetry
// contracts, the service's objectives and the alerts and dashboards of this module.
//
//	GOWORK=off go run -C infra/observability/generate . [-check]
//
// With -check nothing is written: it says which files are not what it would write, and exits with 1.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	check := flag.Bool("check", false, "compare instead of writing")
	root := flag.String("root", filepath.Join("..", "..", ".."), "the repository")
	flag.Parse()
	if err := run(*root, *check); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(root string, check bool) error {
	files, err := generate(root)
	if err != nil {
		return err
	}
	stale, err := leftOver(root, files)
	if err != nil {
		return err
	}
	if check {
		return compare(root, files, stale)
	}
	for name, content := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	for _, name := range stale {
		if err := os.Remove(filepath.Join(root, filepath.FromSlash(name))); err != nil {
			return err
		}
	}
	return nil
}

// compare names every file that is not what generate would write.
func compare(root string, files map[string][]byte, stale []string) error {
	var wrong []string
	for name, content := range files {
		have, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil || !bytes.Equal(have, content) {
			wrong = append(wrong, name+" is not what the generator writes")
		}
	}
	for _, name := range stale {
		wrong = append(wrong, name+" is no longer generated")
	}
	if len(wrong) == 0 {
		return nil
	}
	slices.Sort(wrong)
	return fmt.Errorf("run `make observability`:\n%s", strings.Join(wrong, "\n"))
}

// folders hold nothing but generated files.
var folders = []string{"infra/observability/rules", "infra/observability/dashboards/grafana", "infra/observability/dashboards/vmui"}

// leftOver lists the files of folders that are not among those to write.
func leftOver(root string, files map[string][]byte) ([]string, error) {
	var stale []string
	for _, folder := range folders {
		entries, err := os.ReadDir(filepath.Join(root, filepath.FromSlash(folder)))
		if err != nil && !os.IsNotExist(err) {
			return nil, err
		}
		for _, entry := range entries {
			if name := folder + "/" + entry.Name(); files[name] == nil {
				stale = append(stale, name)
			}
		}
	}
	return stale, nil
}
