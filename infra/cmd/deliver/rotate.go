package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bookshelf/infra/delivery"
	"bookshelf/infra/environment"
)

func (d *deliver) rotateCommand() *cobra.Command {
	var options delivery.RotateOptions
	var older string
	cmd := &cobra.Command{
		Use:   "rotate -e ENVIRONMENT [database | tokens | edge | backup-key]",
		Short: "Replace secrets while the service goes on",
		Long: `Rotate database, which is meant when nothing is named, gives every role of the database another
password. Of the service's two logins the idle one gets a password and is handed over; the pool
of every replica goes over to it within a second; when no connection of the other is left, that
one can log in no more. Killed anywhere, the next run brings it to its end.
A login that the server refuses although nobody has rotated it is reported with exit code 3.`,
		Example: `  deliver rotate -e prod
  deliver rotate -e prod --due              # for cron: nothing to do is exit code 0
  deliver rotate -e prod --if-older-than 30d`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError("rotate one thing at a time: %q", args)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&options.Due, "due", false, "only what is older than the environment's bookshelf:rotation allows")
	flags.StringVar(&older, "if-older-than", "", "only what is older than this, such as 30d or 12h")
	flags.DurationVar(&options.Wait, "wait", 16*time.Minute, "how long connections of the former login may take to end")
	flags.BoolVar(&options.EndConnections, "end-connections", false, "end those that are left after --wait")
	flags.BoolVar(&options.AcceptLockout, "accept-lockout", false, "go on although the login in use is refused")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := rotatable(args); err != nil {
			return err
		}
		if older != "" {
			var err error
			if options.Older, err = environment.ParseAge(older); err != nil || options.Due {
				return usageError("--if-older-than %q: want an age such as 30d, and no --due beside it", older)
			}
		}
		if options.Wait < 0 {
			return usageError("--wait takes a duration that is not negative")
		}
		return d.operate(func(o *delivery.Operator) error {
			result, err := o.Rotate(cmd.Context(), d.environment, options)
			if err != nil {
				return err
			}
			return d.print(result, func(w io.Writer) { fmt.Fprintln(w, rotateWords(result)) })
		})
	}
	return cmd
}

// rotatable refuses what this command does not replace, and says who does.
func rotatable(args []string) error {
	what := "database"
	if len(args) > 0 {
		what = args[0]
	}
	switch what {
	case "database":
		return nil
	case "tokens":
		return usageError("the tokens of the API are their clients': whoever holds one gets its successor by `deliver exec -e ENV -- token rotate NAME`, " +
			"beside which the old one is good for a day. The probe's own is made for each release and revoked after it")
	case "edge":
		return usageError("the edge keeps no password: its admin socket is inside its container alone. Certificates of tls acme and internal renew themselves; " +
			"those of tls files are yours, and `deliver up` hands new ones over")
	case "backup-key":
		return usageError("the key of a backup repository can't be replaced in place: see docs/secrets.md")
	default:
		return usageError("%q can't be rotated: there are database, tokens, edge and backup-key", what)
	}
}

func rotateWords(r delivery.RotateResult) string {
	if r.Active == "" {
		return r.Environment + ": nothing is due"
	}
	words := fmt.Sprintf("%s: %s serves, %s can log in no more, in %.1f s", r.Environment, r.Active, r.Former, r.Seconds)
	if len(r.Rotated) > 0 {
		words += "; replaced " + strings.Join(r.Rotated, ", ")
	}
	return words
}
