package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"dagger/bookshelf/plan"
)

// vulnerable is the exit code by which govulncheck says, in text mode, that it has found something.
const vulnerable = 3

// vuln searches modules for known vulnerabilities that their code really calls.
func (g *gate) vuln(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("vuln", flag.ContinueOnError)
	database := flags.String("database", "", "address of the vulnerability database, https:// or file:// (default: govulncheck's own)")
	known := plan.Analysed()
	if err := g.parse(flags, args, 0, len(known), "at most each module once"); err != nil {
		return err
	}
	modules, err := chosen(known, flags.Args())
	if err != nil {
		return err
	}
	reports, err := g.folder("vuln")
	if err != nil {
		return err
	}
	var problems []error
	for _, module := range modules {
		called, err := g.analyse(ctx, module, *database, reports)
		if err != nil {
			return err
		}
		if called == "" {
			fmt.Fprintf(g.stdout, "%-6s calls no code with known vulnerabilities\n", module.Dir)
			continue
		}
		problems = append(problems, fmt.Errorf("%s calls code with known vulnerabilities:\n%s", module.Dir, called))
	}
	return errors.Join(problems...)
}

// chosen are the known modules in the folders, or all when no folder is named.
func chosen(known []plan.Module, folders []string) ([]plan.Module, error) {
	if len(folders) == 0 {
		return known, nil
	}
	var list []plan.Module
	for _, folder := range folders {
		i := slices.IndexFunc(known, func(m plan.Module) bool { return m.Dir == folder })
		if i < 0 {
			var names []string
			for _, m := range known {
				names = append(names, m.Dir)
			}
			return nil, usage("vuln: there is no module %q, but %s", folder, strings.Join(names, ", "))
		}
		list = append(list, known[i])
	}
	return list, nil
}

// analyse examines one module and returns what it calls that is vulnerable, "" for nothing. The code is analysed once, into
// JSON, from which the reports MODULE.sarif and MODULE.txt are written.
func (g *gate) analyse(ctx context.Context, module plan.Module, database, reports string) (string, error) {
	dir := filepath.Join(g.root, filepath.FromSlash(module.Dir))
	command := []string{"govulncheck", "-format", "json"}
	if database != "" {
		command = append(command, "-db", database)
	}
	found, err := g.tools.run(ctx, dir, append(command, "./..."))
	if err != nil {
		return "", fmt.Errorf("search %s for vulnerabilities, so nothing is known of it: %w", module.Dir, err)
	}
	sarif, err := g.tools.feed(ctx, dir, found, []string{"govulncheck", "-mode", "convert", "-format", "sarif"})
	if err != nil {
		return "", fmt.Errorf("write the report of %s as SARIF: %w", module.Dir, err)
	}
	text, err := g.tools.feed(ctx, dir, found, []string{"govulncheck", "-mode", "convert", "-format", "text"})
	failed, ran := errors.AsType[*failure](err)
	if err != nil && (!ran || failed.code != vulnerable) {
		return "", fmt.Errorf("write the report of %s as text: %w", module.Dir, err)
	}
	for suffix, content := range map[string][]byte{".sarif": sarif, ".txt": text} {
		if err := os.WriteFile(filepath.Join(reports, module.Name()+suffix), content, 0o644); err != nil {
			return "", fmt.Errorf("write the report of %s: %w", module.Dir, err)
		}
	}
	if failed == nil {
		return "", nil
	}
	return strings.TrimSpace(string(text)), nil
}
