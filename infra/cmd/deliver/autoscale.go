package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"bookshelf/infra/autoscale"
	"bookshelf/infra/autoscaler"
	"bookshelf/infra/delivery"
)

func (d *deliver) autoscaleCommand() *cobra.Command {
	options := autoscaler.Options{Config: autoscale.Config{Tolerance: autoscale.DefaultTolerance}}
	cmd := &cobra.Command{
		Use:   "autoscale -e ENVIRONMENT [--min N] [--max N] [--target-in-flight N] [--target-cpu PERCENT]",
		Short: "Give the live slot as many replicas as its load asks for, until Ctrl-C",
		Long: `Autoscale watches the requests in flight and, if told to, the CPU of the live slot's replicas, and
scales so that each has what the targets say; of two figures the larger demand counts. More are
added when they have been needed for --up-after, fewer are kept when no more were needed for
--down-after, nor sooner than --cool-down after a change. A figure that is missing removes none.
Each decision that says something new is a line with the figures it follows from, on standard
output. While a release or another command has the environment, it waits. What goes wrong is
tried again in the next round; ten in a row end it with exit code 1.`,
		Example: `  deliver autoscale -e dev --dry-run --for 10m         # what it would do
  deliver autoscale -e prod --min 2 --max 6 --target-in-flight 8 --target-cpu 70`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			options.Tell = d.tellAutoscale
			return d.operate(func(o *delivery.Operator) error { return autoscaler.Run(cmd.Context(), o, d.environment, options) })
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&options.Min, "min", 1, "the fewest replicas")
	flags.IntVar(&options.Max, "max", 4, "the most replicas")
	flags.Float64Var(&options.TargetInFlight, "target-in-flight", 10, "how many requests in flight each replica is to have, 0 to leave them out")
	flags.Float64Var(&options.TargetCPU, "target-cpu", 0, "how much of its limit each replica is to use in percent, 0 to leave it out")
	flags.DurationVar(&options.Every, "every", 5*time.Second, "how often to decide")
	flags.DurationVar(&options.UpAfter, "up-after", 15*time.Second, "how long more must have been needed")
	flags.DurationVar(&options.DownAfter, "down-after", 5*time.Minute, "how long fewer must have been enough")
	flags.DurationVar(&options.CoolDown, "cool-down", time.Minute, "how long after a change none are removed")
	flags.IntVar(&options.MaxStep, "max-step", 2, "how many replicas one change adds or removes at most")
	flags.DurationVar(&options.For, "for", 0, "how long to go on (default until Ctrl-C)")
	flags.BoolVar(&options.DryRun, "dry-run", false, "only say what would be done")
	return cmd
}

// tellAutoscale prints an event as a line.
func (d *deliver) tellAutoscale(e autoscaler.Event) {
	if d.json {
		// An event has nothing that JSON can't say, and there is nobody left to tell that standard output is gone.
		_ = json.NewEncoder(d.stdout).Encode(e)
		return
	}
	printAutoscale(d.stdout, e)
}

func printAutoscale(w io.Writer, e autoscaler.Event) {
	fmt.Fprintf(w, "%s  %s\n", e.At.Format(time.TimeOnly), autoscaleWords(e))
}

// autoscaleWords is an event in one line: what changes, and why.
func autoscaleWords(e autoscaler.Event) string {
	change := fmt.Sprintf("%d → %d", e.Replicas-e.Change, e.Replicas)
	switch {
	case e.Error != "":
		return fmt.Sprintf("failed (%d in a row): %s", e.Failures, e.Error)
	case e.Waits != "":
		return "waits: " + e.Waits
	case e.DryRun:
		return fmt.Sprintf("would be %s  %s", change, e.Why)
	case e.Change == 0:
		return fmt.Sprintf("stays %d  %s", e.Replicas, e.Why)
	default:
		return fmt.Sprintf("%s in %.1f s  %s", change, e.Seconds, e.Why)
	}
}
