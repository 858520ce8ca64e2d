package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"bookshelf/infra/delivery"
	"bookshelf/infra/runtime/docker"
	"bookshelf/infra/stack"
)

// Exit codes, the same for every command. Exec adds the codes of the command that it runs.
const (
	exitDone   = 0
	exitFailed = 1 // failed; what ran before runs again, or still
	exitUsage  = 2 // wrong arguments or configuration; nothing was touched
	exitPerson = 3 // a further run does not mend it
)

// exitError carries the exit code of a command that was run inside a container.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("the command ended with exit code %d", int(e)) }

// deliver is what the commands share.
type deliver struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	lookupEnv      func(string) (string, bool)

	environment, repository string
	json                    bool
}

// run is the whole program. It is what tests call.
func run(ctx context.Context, args []string, lookupEnv func(string) (string, bool), stdin io.Reader, stdout, stderr io.Writer) int {
	d := &deliver{stdin: stdin, stdout: stdout, stderr: stderr, lookupEnv: lookupEnv}
	root := d.command()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return d.exitCode(root.ExecuteContext(ctx))
}

func (d *deliver) exitCode(err error) int {
	if err == nil {
		return exitDone
	}
	if code, ok := errors.AsType[exitError](err); ok {
		return int(code) // the command has said what there is to say
	}
	fmt.Fprintln(d.stderr, "deliver:", err)
	_, usage := errors.AsType[*delivery.UsageError](err)
	_, other := errors.AsType[*delivery.OtherImageError](err)
	_, none := errors.AsType[*delivery.NotDeployedError](err)
	_, person := errors.AsType[*delivery.PersonError](err)
	switch {
	case usage, other, none:
		return exitUsage
	case person:
		return exitPerson
	default:
		return exitFailed
	}
}

func (d *deliver) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "deliver",
		Short: "Operate the environments of this repository",
		Long: `Deliver brings environments up, releases into them, shows them and takes them down.

An environment is a Pulumi stack with a configuration file, infra/Pulumi.<name>.yaml.
Exit codes: 0 done; 1 failed, and what ran before runs again; 2 wrong arguments or
configuration, nothing touched; 3 needs a person.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError("%s (see `%s --help`)", err, cmd.CommandPath())
	})
	flags := root.PersistentFlags()
	flags.StringVarP(&d.environment, "environment", "e", "", "the environment: dev, staging, prod, …")
	flags.StringVar(&d.repository, "repository", ".", "a folder in the clone to work from")
	flags.BoolVar(&d.json, "json", false, "print the result as one JSON object on standard output")
	root.AddCommand(d.upCommand(), d.previewCommand(), d.statusCommand(), d.logsCommand(), d.execCommand(), d.destroyCommand(),
		d.releaseCommand(), d.rollbackCommand(), d.promoteCommand(), d.historyCommand(), d.reportCommand(), d.scaleCommand(),
		d.autoscaleCommand(), d.backupCommand(), d.backupsCommand(), d.restoreCommand(), d.drillCommand(), d.rotateCommand(),
		d.secretsCommand(), d.openCommand(), d.traceCommand())
	return root
}

func usageError(format string, args ...any) error {
	return &delivery.UsageError{Problem: fmt.Sprintf(format, args...)}
}

// noArguments refuses stray arguments: a mistyped command must not be taken for none.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError("%q is not a command or argument of %s (see `%s --help`)", args[0], cmd.CommandPath(), cmd.CommandPath())
	}
	return nil
}

// operate runs an operation on the chosen environment.
func (d *deliver) operate(work func(*delivery.Operator) error) error {
	if d.environment == "" {
		return usageError("which environment? Name it with -e, as in `deliver status -e dev`")
	}
	layout, err := stack.FindLayout(d.repository, d.lookupEnv)
	if err != nil {
		return usageError("%s", err)
	}
	engine, err := docker.New()
	if err != nil {
		return usageError("%s", err)
	}
	defer engine.Close() //nolint:errcheck // the process is about to end
	return work(&delivery.Operator{Layout: layout, Platform: engine, Report: &lines{to: d.stderr}})
}

// print writes a result as JSON, or as text.
func (d *deliver) print(result any, text func(io.Writer)) error {
	if !d.json {
		text(d.stdout)
		return nil
	}
	encoder := json.NewEncoder(d.stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(result)
}

// lines writes progress as plain lines, to standard error: standard output is for the result.
type lines struct {
	lock sync.Mutex
	to   io.Writer
}

// Step implements delivery.Reporter. The start of a step is shown too, as the long ones take minutes.
func (l *lines) Step(step stack.Step) { l.Note("%s", step) }

// Note implements delivery.Reporter.
func (l *lines) Note(format string, args ...any) {
	l.lock.Lock()
	defer l.lock.Unlock()
	fmt.Fprintf(l.to, "  "+format+"\n", args...)
}

// countChanges says what was changed: "5 created, 1 deleted", or "0 changes".
func countChanges(changes map[string]int) string {
	words := map[string]string{"create": "created", "update": "updated", "delete": "deleted", "replace": "replaced"}
	var parts []string
	for _, operation := range slices.Sorted(maps.Keys(changes)) {
		if word, ok := words[operation]; ok {
			parts = append(parts, fmt.Sprintf("%d %s", changes[operation], word))
		}
	}
	if len(parts) == 0 {
		return "0 changes"
	}
	return strings.Join(parts, ", ")
}
