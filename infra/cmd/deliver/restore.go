package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bookshelf/infra/delivery"
	"bookshelf/infra/drill"
)

func (d *deliver) restoreCommand() *cobra.Command {
	var to string
	var yes, forget bool
	cmd := &cobra.Command{
		Use:   "restore -e ENVIRONMENT --to TIME|LATEST|BACKUP|RESTORE-POINT",
		Short: "Return the database to a moment",
		Long: `Restore copies a backup to a volume of its own, beside the environment, recovers it to the moment,
compares and counts what is in it, and has the service serve with it, all out of the way of the
database that there is. Then it takes that one's place: for some seconds requests that need the
database are answered with 503. What was written after the moment is not in it; the former volume
is kept until --forget.`,
		Example: `  deliver restore -e prod --to 2026-11-25T03:12:00Z
  deliver restore -e prod --to release-20261125-031214     # before that release changed the schema
  deliver restore -e prod --to 20261122-020000F            # a backup of "deliver backups"
  deliver restore -e prod --forget                         # removes what restores have left`,
		Args: noArguments,
	}
	cmd.Flags().StringVar(&to, "to", "", "a time (RFC 3339), LATEST, the label of a backup, or the restore point of a release")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&forget, "forget", false, "remove the volumes that restores have left, instead of restoring")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if (to == "") != forget {
			return usageError("to which moment? As in `deliver restore -e dev --to LATEST`, or --forget alone")
		}
		return d.operate(func(o *delivery.Operator) error {
			if err := o.Deployed(cmd.Context(), d.environment); err != nil {
				return err
			}
			if forget {
				return d.forgetFormer(cmd, o, yes)
			}
			if !yes {
				if err := d.confirm("Replace the database of " + d.environment + " by what it was at " + to + "?"); err != nil {
					return err
				}
			}
			result, err := o.Restore(cmd.Context(), d.environment, to, io.Discard)
			if err != nil {
				return err
			}
			return d.print(result, func(w io.Writer) {
				fmt.Fprintf(w, "%s: restored to %s from backup %s: %d rows in %d tables", result.Environment, result.To, result.Backup, result.Content.Rows(), len(result.Content.Tables))
				if result.Newest != nil {
					fmt.Fprintf(w, ", the newest of %s", result.Newest.UTC().Format(time.RFC3339))
				}
				fmt.Fprintf(w, "\nswapped in in %.1f s, %.1f s in all; the former volume is kept: %s\n", result.SwapSeconds, result.Seconds, result.Former)
			})
		})
	}
	return cmd
}

func (d *deliver) forgetFormer(cmd *cobra.Command, o *delivery.Operator, yes bool) error {
	if !yes {
		if err := d.confirm("Remove what restores have left of " + d.environment + " for good?"); err != nil {
			return err
		}
	}
	removed, err := o.ForgetFormer(cmd.Context(), d.environment)
	if err != nil {
		return err
	}
	return d.print(map[string]any{"environment": d.environment, "removed": removed}, func(w io.Writer) {
		if len(removed) == 0 {
			fmt.Fprintf(w, "%s: there was nothing to forget\n", d.environment)
			return
		}
		fmt.Fprintf(w, "%s: removed %s\n", d.environment, strings.Join(removed, ", "))
	})
}

func (d *deliver) drillCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "drill -e ENVIRONMENT",
		Short: "Prove that the newest backup can be restored, and measure how long it takes",
		Long: `Drill restores the newest backup into a database of its own, on a network of its own, compares every
table with what was noted when the backup was taken, follows the write-ahead log to the last
segment that was archived, and has the service serve with it. Then it removes all of that. The
environment is not touched. The exit code is 0 when all of it is proven, 1 otherwise.`,
		Example: `  deliver drill -e prod`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return d.operate(func(o *delivery.Operator) error {
				result, err := o.Drill(cmd.Context(), d.environment, io.Discard)
				if result.ID == "" {
					return err
				}
				if printed := d.print(result, func(w io.Writer) {
					_ = drill.Text(w, result.Report) // a terminal is not asked whether it has taken it
					fmt.Fprintf(w, "  page\t%s\n", result.Page)
				}); err == nil {
					err = printed
				}
				if err == nil && !result.Passed {
					err = exitError(exitFailed)
				}
				return err
			})
		},
	}
}
