package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"bookshelf/infra/delivery"
	"bookshelf/infra/release"
	"bookshelf/infra/release/report"
)

// releaseFlags are those that every change of the serving slot has.
func (d *deliver) releaseFlags(cmd *cobra.Command) *delivery.ReleaseOptions {
	options := &delivery.ReleaseOptions{Progress: d.progress()}
	cmd.Flags().StringVar(&options.Profile, "profile", "", "standard or fast, instead of the environment's own")
	cmd.Flags().DurationVar(&options.Bake, "bake", -time.Nanosecond, "how long the former slot is kept warm, instead of the profile's")
	cmd.Flags().DurationVar(&options.Load, "load", -time.Nanosecond, "how long both slots are loaded before the new one gets traffic, instead of the profile's; 0s leaves it out")
	for _, name := range []string{"bake", "load"} {
		cmd.Flags().Lookup(name).DefValue = ""
	}
	cmd.Flags().Float64Var(&options.Rate, "rate", 0, "requests per second that the probe sends, instead of the service's own")
	return options
}

const withoutArchiving = "without-archiving"

// archivingFlag is the way past a broken archive, for those that change the schema.
func archivingFlag(cmd *cobra.Command, options *delivery.ReleaseOptions) {
	cmd.Flags().StringVar(&options.WithoutArchiving, withoutArchiving, "", "release although what is written does not reach the backups; the reason is kept in the report")
}

func (d *deliver) releaseCommand() *cobra.Command {
	var image string
	cmd := &cobra.Command{
		Use:   "release -e ENVIRONMENT --image REFERENCE",
		Short: "Bring an image into an environment that serves, without losing a request",
		Long: `Release fills the slot that does not serve, expands the schema, tries the new replicas, puts the
same load on both slots, and gives the new one the traffic step by step. At each step, and through the bake, they are judged against the
slot that serves, by their own metrics and by a stream of requests that is accounted for to the
last one. Before the schema changes a restore point is taken; where what is written does not reach
the backups, the release is refused (--without-archiving REASON). Anything bad, a time-out or Ctrl-C takes the traffic back at once; the exit code is 1.
An environment that is not deployed yet is brought up with the image.`,
		Example: `  deliver release -e dev --image bookshelf:1.2.0
  deliver release -e prod --image registry.example/bookshelf@sha256:… --bake 30m`,
		Args: noArguments,
	}
	cmd.Flags().StringVar(&image, "image", "", "the image to release, by digest or as it is called on the engine")
	options := d.releaseFlags(cmd)
	archivingFlag(cmd, options)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if cmd.Flags().Changed(withoutArchiving) && strings.TrimSpace(options.WithoutArchiving) == "" {
			return usageError("--%s takes the reason, which the release's report will show", withoutArchiving)
		}
		if image == "" {
			return usageError("which image? Name it with --image, as in `deliver release -e dev --image bookshelf:1.2.0`")
		}
		return d.operate(func(o *delivery.Operator) error { return d.release(cmd.Context(), o, d.environment, image, *options) })
	}
	return cmd
}

// release releases an image, or brings the environment up with it where there is none yet.
func (d *deliver) release(ctx context.Context, o *delivery.Operator, environment, image string, options delivery.ReleaseOptions) error {
	result, err := o.Release(ctx, environment, image, options)
	if _, none := errors.AsType[*delivery.NotDeployedError](err); none {
		if options.Comparison != nil {
			fmt.Fprintf(d.stderr, "%s serves with nothing yet, so there is nothing to compare %s with\n", environment, image)
		}
		up, err := o.Up(ctx, environment, image)
		if err != nil {
			return err
		}
		return d.printUp(up)
	}
	return d.concluded(result, err)
}

// concluded prints a report and turns its outcome into the exit code.
func (d *deliver) concluded(r release.Report, err error) error {
	if r.ID == "" {
		return err
	}
	if printed := d.print(r, inWords(r)); err == nil {
		err = printed
	}
	switch {
	case err != nil:
		return err
	case r.Outcome == release.OutcomeReleased:
		return nil
	case r.Outcome == release.OutcomeStuck:
		return exitError(exitPerson)
	default:
		return exitError(exitFailed)
	}
}

// inWords writes a report for a terminal, which is not asked whether it has taken it.
func inWords(r release.Report) func(io.Writer) {
	return func(w io.Writer) { _ = report.Text(w, r) }
}

func (d *deliver) rollbackCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rollback -e ENVIRONMENT",
		Short: "Give the traffic back to what served before",
		Long: `While a release is under way, rollback takes it back at once. Afterwards it starts the slot that
served before, or fills it again with the image that it had, tries it, and gives it the traffic.`,
		Example: `  deliver rollback -e prod`,
		Args:    noArguments,
	}
	options := d.releaseFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return d.operate(func(o *delivery.Operator) error {
			result, err := o.Rollback(cmd.Context(), d.environment, *options)
			if result.Outcome == release.OutcomeRolledBack && err == nil {
				// That is what was asked for.
				return d.print(result, inWords(result))
			}
			return d.concluded(result, err)
		})
	}
	return cmd
}

func (d *deliver) promoteCommand() *cobra.Command {
	var from, to string
	cmd := &cobra.Command{
		Use:   "promote --from ENVIRONMENT --to ENVIRONMENT",
		Short: "Release in one environment the very image that has stood its bake in another",
		Long: `Promote releases an image that serves in one environment in another one, where it must have been
compared with the image that serves there: the report of ` + "`make perf`" + ` has to be of these two, and to say that the new one is not slower.
An environment that serves with nothing yet has nothing to compare.`,
		Example: `  deliver promote --from staging --to prod
  deliver promote --from staging --to prod --no-comparison 'the fix of an outage'`,
		Args: noArguments,
	}
	cmd.Flags().StringVar(&from, "from", "", "where it has stood its bake")
	cmd.Flags().StringVar(&to, "to", "", "where it is to be released")
	options := d.releaseFlags(cmd)
	options.Comparison = &delivery.Comparison{}
	cmd.Flags().StringVar(&options.Comparison.File, "comparison", "", "report of the comparison, instead of reports/perf/perf.json in the repository")
	cmd.Flags().StringVar(&options.Comparison.Waived, "no-comparison", "", "why the image is taken without a comparison; it is kept with the release")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if waived := cmd.Flags().Changed("no-comparison"); waived && strings.TrimSpace(options.Comparison.Waived) == "" {
			return usageError("why without a comparison? --no-comparison takes the reason, which is kept with the release")
		}
		if options.Comparison.File != "" && options.Comparison.Waived != "" {
			return usageError("--comparison and --no-comparison exclude each other")
		}
		if from == "" || to == "" || from == to || d.environment != "" {
			return usageError("from where to where? As in `deliver promote --from staging --to prod`, without -e")
		}
		d.environment = to
		return d.operate(func(o *delivery.Operator) error {
			image, err := o.Promotable(from)
			if err != nil {
				return err
			}
			return d.release(cmd.Context(), o, to, image, *options)
		})
	}
	return cmd
}

func (d *deliver) historyCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "history -e ENVIRONMENT",
		Short:   "List the releases of an environment, the newest first",
		Example: `  deliver history -e prod`,
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			return d.operate(func(o *delivery.Operator) error {
				past, err := o.History(d.environment)
				if err != nil {
					return err
				}
				reports, err := past.All()
				if err != nil {
					return err
				}
				return d.print(reports, func(w io.Writer) { printHistory(w, reports) })
			})
		},
	}
}

func printHistory(w io.Writer, reports []release.Report) {
	if len(reports) == 0 {
		fmt.Fprintln(w, "no releases yet")
		return
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "RELEASE\tOUTCOME\tFROM\tTO\tTOOK\tSENT\tLOST\tP99 BEFORE/DURING/AFTER")
	for _, r := range reports {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%.0f/%.0f/%.0f ms\n", r.ID, r.Outcome, r.From.Version, r.To.Version,
			r.Ended.Sub(r.Started).Round(time.Second), r.Account.Sent, r.Account.Lost, r.Before.P99, r.During.P99, r.After.P99)
	}
	_ = table.Flush() // the writer below it reports its own errors
}

func (d *deliver) reportCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "report -e ENVIRONMENT [RELEASE]",
		Short: "Show the report of a release, the latest unless another is named",
		Example: `  deliver report -e prod                    # in words, with the path of its page
  deliver report -e prod 20261125-021500 --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			id := ""
			if len(args) > 0 {
				id = args[0]
			}
			return d.operate(func(o *delivery.Operator) error {
				past, err := o.History(d.environment)
				if err != nil {
					return err
				}
				r, found, err := past.Find(id)
				switch {
				case err != nil:
					return err
				case !found && id == "":
					return usageError("%s has had no release yet", d.environment)
				case !found:
					return usageError("%s has had no release %q (see `deliver history -e %s`)", d.environment, id, d.environment)
				}
				return d.print(r, func(w io.Writer) {
					inWords(r)(w)
					fmt.Fprintf(w, "\npage: %s\n", past.Page(r.ID))
				})
			})
		},
	}
}

func (d *deliver) scaleCommand() *cobra.Command {
	var replicas int
	cmd := &cobra.Command{
		Use:     "scale -e ENVIRONMENT --replicas N",
		Short:   "Give the live slot another number of replicas, without losing a request",
		Example: `  deliver scale -e prod --replicas 3`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return d.operate(func(o *delivery.Operator) error {
				result, err := o.Scale(cmd.Context(), d.environment, replicas)
				if err != nil {
					return err
				}
				return d.print(result, func(w io.Writer) {
					fmt.Fprintf(w, "%s: %d replicas, before %d, in %.1f s\n", result.Environment, result.Replicas, result.Before, result.Seconds)
				})
			})
		},
	}
	cmd.Flags().IntVar(&replicas, "replicas", 0, "how many there are to be")
	return cmd
}
