package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"bookshelf/infra/backup"
	"bookshelf/infra/delivery"
)

func (d *deliver) backupCommand() *cobra.Command {
	var kind string
	cmd := &cobra.Command{
		Use:   "backup -e ENVIRONMENT [--type full|diff|incr]",
		Short: "Take a backup now, beside those of the schedule",
		Long: `Backup copies the database while it serves, reads every file of the copy again, and notes what the
database held at a restore point right after it, so that a drill can compare. Writers wait for
that restore point for some milliseconds.`,
		Example: `  deliver backup -e prod
  deliver backup -e prod --type full`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return d.operate(func(o *delivery.Operator) error {
				o.Report.Note("taking a backup of type %s", kind)
				began := time.Now()
				taken, err := o.Backup(cmd.Context(), d.environment, kind, d.stderr)
				if err != nil {
					return err
				}
				if err := d.print(taken, func(w io.Writer) {
					fmt.Fprintf(w, "%s: %s of the database, %s in the repository, %s in %.1f s\n",
						taken.Label, size(taken.DatabaseBytes), size(taken.RepositoryBytes), verification(taken), time.Since(began).Seconds())
				}); err != nil {
					return err
				}
				if taken.Fault != "" {
					return fmt.Errorf("backup %s is of no use: %s", taken.Label, taken.Fault)
				}
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&kind, "type", backup.Differential, "full: everything; diff: what has changed since the last full one; incr: since the last of any type")
	return cmd
}

func (d *deliver) backupsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "backups -e ENVIRONMENT",
		Short:   "List the backups, and say whether what is written reaches them",
		Example: `  deliver backups -e prod`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return d.operate(func(o *delivery.Operator) error {
				status, err := o.Backups(cmd.Context(), d.environment)
				if err != nil {
					return err
				}
				return d.print(status, func(w io.Writer) { printBackups(w, status) })
			})
		},
	}
}

func printBackups(w io.Writer, status backup.Status) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "BACKUP\tTYPE\tENDED\tDATABASE\tSTORED\tWAL\tROWS\tSTATE")
	for _, b := range status.Backups {
		rows := "?"
		if b.Marker != nil {
			rows = fmt.Sprint(b.Marker.Rows())
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s – %s\t%s\t%s\n", b.Label, b.Type, b.Stopped.Format(time.RFC3339),
			size(b.DatabaseBytes), size(b.RepositoryBytes), b.StartWAL, b.StopWAL, rows, verification(b))
	}
	_ = table.Flush() // the writer below it reports its own errors
	if status.Problem != "" {
		fmt.Fprintln(w, "problem: the backups cannot be read:", status.Problem)
	} else {
		fmt.Fprintf(w, "%d backups, %s in the repository with the write-ahead log\n", len(status.Backups), size(status.RepositoryBytes))
	}
	switch archive := status.Archive; {
	case !archive.Working:
		fmt.Fprintln(w, "problem: archiving does not work:", archive.Problem)
	case archive.LastAt != nil:
		fmt.Fprintf(w, "archiving works: %s at %s, %d waiting\n", archive.LastWAL, archive.LastAt.Format(time.RFC3339), archive.Pending)
	default:
		fmt.Fprintln(w, "archiving works; nothing was written yet")
	}
}

// verification says in a few words whether a backup is known to be whole.
func verification(b backup.Backup) string {
	switch {
	case b.Fault != "":
		return b.Fault
	case b.Verified != nil:
		return "verified"
	default:
		return "not verified yet"
	}
}

// backupWords are the backups in one line of a status.
func backupWords(b delivery.BackupStatus) string {
	archiving := "archiving works"
	if !b.Archiving {
		archiving = "archiving does not work"
	}
	if b.Newest == "" {
		return "no backup yet, " + archiving
	}
	state := "not verified"
	if b.Verified {
		state = "verified"
	}
	age := (time.Duration(b.AgeSeconds) * time.Second).Round(time.Second)
	return fmt.Sprintf("newest backup %s, %s old, %s; %d in %s; %s", b.Newest, age, state, b.Count, size(b.Bytes), archiving)
}

// size is a number of bytes for a person.
func size(bytes int64) string {
	value, units := float64(bytes), []string{"B", "kB", "MB", "GB", "TB"}
	for len(units) > 1 && value >= 1000 {
		value, units = value/1000, units[1:]
	}
	if value == float64(int64(value)) {
		return fmt.Sprintf("%.0f %s", value, units[0])
	}
	return fmt.Sprintf("%.1f %s", value, units[0])
}
