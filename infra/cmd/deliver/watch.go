package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"bookshelf/infra/delivery"
)

func (d *deliver) openCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "open -e ENVIRONMENT",
		Short:   "Print the addresses of what there is to look at",
		Example: `  deliver open -e dev`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return d.operate(func(o *delivery.Operator) error {
				pages, err := o.Pages(cmd.Context(), d.environment)
				if err != nil {
					return err
				}
				return d.print(pages, func(w io.Writer) { printPages(w, pages) })
			})
		},
	}
}

func printPages(w io.Writer, pages []delivery.Page) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, page := range pages {
		state := ""
		if !page.Answers {
			state = "does not answer"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", page.Name, page.Address, state)
	}
	_ = table.Flush() // to a terminal or a buffer; the exit code is about the pages
}

func (d *deliver) traceCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "trace -e ENVIRONMENT ID",
		Short:   "Draw one request's way through the service, down to its queries",
		Example: `  deliver trace -e prod 4bf92f3577b34da6a3ce929d0e0e4736`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError("which trace? Its ID is the trace_id of a log line, as in `deliver trace -e prod 4bf92f3577b34da6a3ce929d0e0e4736`")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return d.operate(func(o *delivery.Operator) error {
				trace, err := o.Trace(cmd.Context(), d.environment, args[0])
				if err != nil {
					return err
				}
				return d.print(trace, trace.Waterfall)
			})
		},
	}
}
