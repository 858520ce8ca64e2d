// Command check runs the static checks of every module and says in one line per check how it went: format, vet, lint,
// tidy modules, one go line everywhere, no left-over replacement, shell scripts.
//
//	GOWORK=off go run -C tools ./check [NAME…]
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"bookshelf/tools/internal/modules"
	"bookshelf/tools/internal/repo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "check:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, names []string, stdout io.Writer) error {
	root, err := repo.Root()
	if err != nil {
		return err
	}
	mods, err := modules.List(ctx, root)
	if err != nil {
		return err
	}
	checks, err := choose(checker{root: root, modules: mods}.all(), names)
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
	return []check{
		{"format", c.format},
		{"golines", c.goLines},
		{"replacements", c.replacements},
		{"scripts", c.scripts},
		{"vet", c.vet},
		{"tidy", c.tidy},
		{"lint", c.lint},
	}
}

func choose(checks []check, names []string) ([]check, error) {
	if len(names) == 0 {
		return checks, nil
	}
	var chosen []check
	for _, name := range names {
		i := slices.IndexFunc(checks, func(c check) bool { return c.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no check %q", name)
		}
		chosen = append(chosen, checks[i])
	}
	return chosen, nil
}
