// Package command is what the commands of this module have in common: how they start, end and read names.
package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// Run is the body of a command. It gets the arguments without the program's name and must return soon after the context
// is done.
type Run func(ctx context.Context, args []string, stdout, stderr io.Writer) error

// Main runs a command, prints its error in one place and ends the process: with 0 when it is done, otherwise with 1. The
// first Ctrl-C or SIGTERM ends the context, so that the command can clean up; the second one kills it.
func Main(name string, run Run) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// Without this, every further signal would be swallowed while the command cleans up.
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintf(os.Stderr, "%s: interrupted; nothing half-made is left behind\n", name)
	default:
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
	}
	os.Exit(1)
}

// Choose returns those of all whose name is wanted, in the order in which they are wanted, or all when none is. kind, such
// as "module", is for the error about a name that nothing has; the error lists the names there are.
func Choose[T any](kind string, all []T, name func(T) string, wanted []string) ([]T, error) {
	if len(wanted) == 0 {
		return all, nil
	}
	chosen := make([]T, 0, len(wanted))
	for _, w := range wanted {
		i := slices.IndexFunc(all, func(one T) bool { return name(one) == w })
		if i < 0 {
			known := make([]string, len(all))
			for j, one := range all {
				known[j] = name(one)
			}
			return nil, fmt.Errorf("there is no %s %q; there are: %s", kind, w, strings.Join(known, ", "))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// Tail returns the last n lines of what another program printed: the end is where it says what went wrong.
func Tail(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
