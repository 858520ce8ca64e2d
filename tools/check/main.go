// Command check runs the static checks of every module and says in one line per check how it went: format, vet, lint,
// tidy modules, one go line everywhere, no left-over replacement, shell scripts, workflows, the generated client, rules and dashboards; and the pipeline's generated code where
// DAGGER_SCHEMA names the engine's schema.
//
//	GOWORK=off go run -C tools ./check [NAME…]
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"bookshelf/tools/internal/command"
	"bookshelf/tools/internal/modules"
	"bookshelf/tools/internal/repo"
)

func main() { command.Main("check", run) }

// run carries out the checks that names names, or all, and goes on after one that fails: a person wants the whole list.
func run(ctx context.Context, names []string, stdout, _ io.Writer) error {
	root, err := repo.Root()
	if err != nil {
		return err
	}
	mods, err := modules.List(ctx, root)
	if err != nil {
		return err
	}
	checks, err := command.Choose("check", checker{root: root, modules: mods, tagged: modules.Tagged(root)}.all(), func(c check) string { return c.name }, names)
	if err != nil {
		return err
	}
	failed := 0
	for _, one := range checks {
		began := time.Now()
		complaint, err := one.run(ctx)
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", one.name, err)
		}
		verdict := "ok"
		if complaint != "" {
			verdict = "FAIL"
			failed++
		}
		fmt.Fprintf(stdout, "%-4s %-13s %5.1f s\n", verdict, one.name, time.Since(began).Seconds())
		if complaint != "" {
			fmt.Fprintln(stdout, strings.TrimRight(complaint, "\n"))
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of the checks failed", failed)
	}
	return nil
}

// check is one thing to look at. Its run returns what to mend, and nothing for a pass; its error says that the check itself
// could not run.
type check struct {
	name string
	run  func(context.Context) (complaint string, err error)
}

// all lists the checks, the quickest first.
func (c checker) all() []check {
	checks := []check{
		{"format", c.format},
		{"golines", c.goLines},
		{"replacements", c.replacements},
		{"scripts", c.scripts},
		{"workflows", c.workflows},
		{"client", c.client},
		{"observability", c.observability},
		{"vet", c.vet},
		{"tidy", c.tidy},
		{"lint", c.lint},
	}
	if os.Getenv(schemaVariable) != "" {
		checks = append(checks, check{"generated", c.generated})
	}
	return checks
}
