package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"bookshelf/infra/delivery"
	"bookshelf/infra/runtime"
)

func (d *deliver) upCommand() *cobra.Command {
	var image string
	var andRelease bool
	cmd := &cobra.Command{
		Use:   "up -e ENVIRONMENT [--image REFERENCE [--release]]",
		Short: "Bring an environment up, or converge it",
		Long: `Up brings an environment to its configuration. Where it is there already nothing is changed;
what was stopped, removed or changed behind Pulumi's back is repaired; what an interrupted
run left behind, a release included, is put right. Where the deployment fails, what ran before
is brought back. Up touches neither traffic nor the slot that serves: another image than the one
that serves takes a release, which --release carries out afterwards.
An environment with a policy (bookshelf:verify) takes an image by digest only, and only when its
signature and its SBOM can be verified; otherwise nothing is touched and the exit code is 2.`,
		Example: `  deliver up -e dev --image bookshelf:1.2.0
  deliver up -e staging --image registry.example/bookshelf@sha256:…
  deliver up -e dev                      # keeps the image, repairs what is broken`,
		Args: noArguments,
	}
	cmd.Flags().StringVar(&image, "image", "", "the image to begin with, by digest or as it is called on the engine (default: the one that serves)")
	cmd.Flags().BoolVar(&andRelease, "release", false, "release the image where another one serves")
	options := delivery.ReleaseOptions{Progress: d.progress(), Bake: -1, Load: -1}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return d.operate(func(o *delivery.Operator) error {
			result, err := o.Up(cmd.Context(), d.environment, image)
			if _, other := errors.AsType[*delivery.OtherImageError](err); other && andRelease {
				if _, err := o.Up(cmd.Context(), d.environment, ""); err != nil {
					return err
				}
				return d.release(cmd.Context(), o, d.environment, image, options)
			}
			if err != nil {
				return err
			}
			return d.printUp(result)
		})
	}
	return cmd
}

func (d *deliver) printUp(result delivery.UpResult) error {
	return d.print(result, func(w io.Writer) {
		fmt.Fprintf(w, "%s: %s", result.Environment, countChanges(result.Changes))
		if n := len(result.Repaired); n > 0 {
			fmt.Fprintf(w, ", %d repaired", n)
		}
		fmt.Fprintf(w, " in %.1f s\n%s\n", result.Seconds, result.URL)
	})
}

func (d *deliver) previewCommand() *cobra.Command {
	var image string
	cmd := &cobra.Command{
		Use:     "preview -e ENVIRONMENT [--image REFERENCE]",
		Short:   "Say what up would do",
		Example: `  deliver preview -e prod --image registry.example/bookshelf@sha256:…`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return d.operate(func(o *delivery.Operator) error {
				preview, err := o.Preview(cmd.Context(), d.environment, image)
				if err != nil {
					return err
				}
				return d.print(preview, func(w io.Writer) {
					for _, repair := range preview.Repairs {
						fmt.Fprintln(w, repair)
					}
					fmt.Fprintf(w, "%s: would be %s\n", preview.Environment, countChanges(preview.Changes))
				})
			})
		},
	}
	cmd.Flags().StringVar(&image, "image", "", "the image to run (default: the one that runs)")
	return cmd
}

func (d *deliver) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status -e ENVIRONMENT",
		Short: "Show an environment as the engine sees it now",
		Long: `Status asks the engine, not Pulumi's records: a container that somebody stopped or removed is
shown as such. Its exit code is 0 when everything is there and does its work, 1 otherwise.`,
		Example: `  deliver status -e dev
  deliver status -e dev --json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return d.operate(func(o *delivery.Operator) error {
				status, err := o.Status(cmd.Context(), d.environment)
				if err != nil {
					return err
				}
				if err := d.print(status, func(w io.Writer) { printStatus(w, status) }); err != nil {
					return err
				}
				if !status.Healthy {
					return exitError(exitFailed)
				}
				return nil
			})
		},
	}
}

func printStatus(w io.Writer, status delivery.Status) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, part := range status.Parts {
		since := ""
		if part.StartedAt != nil && part.Kind == runtime.KindService {
			since = "since " + part.StartedAt.Format(time.RFC3339)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", part.Name, part.Detail, since)
	}
	_ = table.Flush() // the writer below it reports its own errors
	for _, slot := range status.Traffic {
		fmt.Fprintf(w, "%s: %d %% of the traffic, %d of %d replicas ready, %d requests in flight\n", slot.Slot, slot.Weight, slot.Ready, slot.Replicas, slot.InFlight)
	}
	if status.Backup != nil {
		fmt.Fprintln(w, backupWords(*status.Backup))
	}
	for _, former := range status.Former {
		fmt.Fprintf(w, "volume %s is from before a restore; `deliver restore -e %s --forget` removes it\n", former, status.Environment)
	}
	for _, problem := range status.Problems {
		fmt.Fprintln(w, "problem:", problem)
	}
	for _, secret := range status.Secrets {
		fmt.Fprintf(w, "secrets of the %s: %s\n", secret.Name, ageWords(secret))
	}
	if v := status.Verified; v != nil {
		fmt.Fprintf(w, "verified on %s: %s, signed with %s\n", v.VerifiedAt.Format(time.RFC3339), v.Image, v.Signer)
	}
	if status.Healthy {
		fmt.Fprintf(w, "%s is healthy: %s\n", status.Environment, status.URL)
	} else {
		fmt.Fprintf(w, "next: %s\n", status.Next)
	}
}

// ageWords says how old a secret is, and whether it may be.
func ageWords(s delivery.SecretStatus) string {
	words := "since " + s.Made.Format(time.RFC3339)
	if s.Overdue {
		words += fmt.Sprintf(", overdue by %.0f h: `deliver rotate`", (s.AgeSeconds-s.MaxSeconds)/3600)
	}
	return words
}

func (d *deliver) logsCommand() *cobra.Command {
	var query delivery.LogQuery
	cmd := &cobra.Command{
		Use:   "logs -e ENVIRONMENT [--service NAME] [--since DURATION] [--level LEVEL] [--grep TEXT] [--trace ID] [--tail N] [--follow]",
		Short: "Show log lines",
		Long: `Logs asks the store of logs where the environment has one (bookshelf:observability), and Docker
otherwise, or where the store does not answer. Only the store can search, and only it has the lines
of containers that are gone.`,
		Example: `  deliver logs -e dev --service app --follow
  deliver logs -e prod --since 15m --level error
  deliver logs -e prod --trace 4bf92f3577b34da6a3ce929d0e0e4736`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if query.Tail < 0 || query.Since < 0 {
				return usageError("--tail and --since take a number and a duration that are not negative")
			}
			return d.operate(func(o *delivery.Operator) error {
				return o.Query(cmd.Context(), d.environment, query, d.stdout, d.stderr)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&query.Component, "service", "", "only this one: app, edge, postgres, backup, migration, roles, secrets")
	flags.DurationVar(&query.Since, "since", 0, "only lines younger than this, such as 15m")
	flags.IntVar(&query.Tail, "tail", 0, "only the last N lines of each container")
	flags.BoolVarP(&query.Follow, "follow", "f", false, "go on until Ctrl-C")
	flags.StringVar(&query.Trace, "trace", "", "only lines of this trace")
	flags.StringVar(&query.Level, "level", "", "only lines of this severity or a higher one: debug, info, warn, error")
	flags.StringVar(&query.Text, "grep", "", "only lines with this text")
	return cmd
}

func (d *deliver) execCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "exec -e ENVIRONMENT -- COMMAND [ARGUMENT …]",
		Short: "Run a command of the service in its live container",
		Long: `Exec runs one of the service's own commands in the container that serves, with its configuration,
and passes standard input on. Its exit code is the command's.`,
		Example: `  deliver exec -e dev -- version
  deliver exec -e dev -- import --format csv - < books.csv`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError("which command? As in `deliver exec -e dev -- version`")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return d.operate(func(o *delivery.Operator) error {
				code, err := o.Exec(cmd.Context(), d.environment, args, d.stdin, d.stdout, d.stderr)
				if err != nil {
					return err
				}
				if code != 0 {
					return exitError(code)
				}
				return nil
			})
		},
	}
}

func (d *deliver) destroyCommand() *cobra.Command {
	var deleteData, yes bool
	cmd := &cobra.Command{
		Use:   "destroy -e ENVIRONMENT [--delete-data]",
		Short: "Take an environment down; its data stays unless told otherwise",
		Example: `  deliver destroy -e dev                 # up brings it back with its data
  deliver destroy -e dev --delete-data   # asks, then removes data and secrets too`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return d.operate(func(o *delivery.Operator) error {
				if deleteData && !yes {
					if err := d.confirm("Delete the data and the secrets of " + d.environment + " for good?"); err != nil {
						return err
					}
				}
				result, err := o.Destroy(cmd.Context(), d.environment, deleteData)
				if err != nil {
					return err
				}
				return d.print(result, func(w io.Writer) {
					kept := "data kept"
					if !result.DataKept {
						kept = "data deleted"
					}
					fmt.Fprintf(w, "%s: %s, %s\n", result.Environment, countChanges(result.Changes), kept)
				})
			})
		},
	}
	cmd.Flags().BoolVar(&deleteData, "delete-data", false, "remove the data and the secrets too")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// confirm asks a person for the environment's name. Without one it refuses: an accident must not be able to answer.
func (d *deliver) confirm(question string) error {
	if file, ok := d.stdin.(*os.File); !ok || !term.IsTerminal(int(file.Fd())) {
		return usageError("there is no terminal to ask on: repeat with --yes if you mean it")
	}
	fmt.Fprintf(d.stderr, "%s Type its name: ", question)
	answer, err := bufio.NewReader(d.stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	if strings.TrimSpace(answer) != d.environment {
		return usageError("not confirmed: nothing was touched")
	}
	return nil
}
