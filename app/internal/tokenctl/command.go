// Package tokenctl is the command that makes, lists, rotates and revokes API tokens.
package tokenctl

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"bookshelf/app/internal/postgres"
	"bookshelf/app/internal/token"
)

// Help is the text for bookd help token.
const Help = `Usage: bookd token create [--scopes LIST] [--expires WHEN] [--json] NAME
       bookd token list [--all] [--json]
       bookd token rotate [--grace DURATION] [--expires WHEN] [--json] NAME|ID
       bookd token revoke [--json] NAME|ID

Makes and ends the tokens that clients of the API send as "Authorization: Bearer TOKEN".

create prints the token, which is shown this once and kept nowhere. rotate prints another secret for a token, beside
which the old one is good for the grace. revoke ends a token for good; every process knows of it within 5 s. NAME stands
for the token in the history of books; ID is the part of it that is not secret, with bks_ in front.

  --scopes LIST     comma-separated: books:read, books:write, admin (which includes both). Default: books:read
  --expires WHEN    90d, a duration such as 12h, a date or time such as 2027-01-31 or 2027-01-31T12:00:00Z, or never.
                    Default: 90d to create; to rotate, as long as the secret before
  --grace DURATION  how long the old secret is good, such as 24h; 0s ends it at once. Default: 24h
  --all             list revoked and expired tokens as well
  --json            print JSON

Needs DB_HOST, DB_NAME, and DB_USER or DB_LOGIN_FILE.

Example:
  DB_HOST=localhost DB_NAME=bookshelf DB_USER=bookshelf_app bookd token create --scopes books:read,books:write importer`

const (
	defaultExpiry = 90 * 24 * time.Hour
	defaultGrace  = 24 * time.Hour
	// maxGrace keeps a rotation from being one in name only.
	maxGrace = 30 * 24 * time.Hour
)

// UsageError says that the command line is wrong; nothing was done.
type UsageError struct {
	Err error
}

// Error ends with where to look.
func (e *UsageError) Error() string {
	return strings.ReplaceAll(e.Err.Error(), "\n", "; ") + " (bookd help token tells more)"
}

// Unwrap returns the cause.
func (e *UsageError) Unwrap() error { return e.Err }

// command is what one run needs.
type command struct {
	open           func(context.Context) (*postgres.Store, error)
	now            time.Time
	stdout, stderr io.Writer
	json           bool
}

// Command runs the command with args, the part of the command line behind the word "token". Of a token's text only
// create and rotate write anything, and only to stdout; what there is to say besides goes to stderr, so that the output
// can be assigned to a variable. A wrong command line is a *UsageError.
func Command(
	ctx context.Context, args []string, open func(context.Context) (*postgres.Store, error), now time.Time,
	stdout, stderr io.Writer,
) error {
	c := &command{open: open, now: now, stdout: stdout, stderr: stderr}
	actions := map[string]func(context.Context, []string) error{
		"create": c.create, "list": c.list, "rotate": c.rotate, "revoke": c.revoke,
	}
	if len(args) == 0 {
		return &UsageError{Err: errors.New("token needs one of create, list, rotate, revoke")}
	}
	run, ok := actions[args[0]]
	if !ok {
		return &UsageError{Err: fmt.Errorf("token needs one of create, list, rotate, revoke, got %q", args[0])}
	}
	err := run(ctx, args[1:])
	if errors.Is(err, flag.ErrHelp) {
		_, err = fmt.Fprintln(stdout, Help)
	}
	return err
}

// parse reads flags, which may stand before and behind the arguments, of which there must be exactly want.
func (c *command) parse(set *flag.FlagSet, args []string, want int) ([]string, error) {
	set.SetOutput(io.Discard) // errors are returned
	set.BoolVar(&c.json, "json", false, "")
	var rest []string
	for {
		err := set.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		if err != nil {
			return nil, &UsageError{Err: fmt.Errorf("token %s: %w", set.Name(), err)}
		}
		if set.NArg() == 0 {
			break
		}
		rest, args = append(rest, set.Arg(0)), set.Args()[1:]
	}
	if len(rest) != want {
		return nil, &UsageError{Err: fmt.Errorf("token %s takes %d arguments, got %d", set.Name(), want, len(rest))}
	}
	return rest, nil
}

func (c *command) create(ctx context.Context, args []string) error {
	set := flag.NewFlagSet("create", flag.ContinueOnError)
	scopes := set.String("scopes", string(token.BooksRead), "")
	expires := set.String("expires", "", "")
	names, err := c.parse(set, args, 1)
	if err != nil {
		return err
	}
	draft := token.Draft{Name: names[0]}
	for name := range strings.SplitSeq(*scopes, ",") {
		draft.Scopes = append(draft.Scopes, token.Scope(strings.TrimSpace(name)))
	}
	if *expires == "" {
		draft.ExpiresAt = new(c.now.Add(defaultExpiry))
	} else if draft.ExpiresAt, err = parseExpiry(*expires, c.now); err != nil {
		return &UsageError{Err: err}
	}
	if err := draft.Validate(c.now); err != nil {
		return &UsageError{Err: err}
	}
	store, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	id, text := token.Generate()
	created, err := store.CreateToken(ctx, id, token.HashOf(text), draft)
	if err != nil {
		return err
	}
	return c.show(created, text)
}

func (c *command) rotate(ctx context.Context, args []string) error {
	set := flag.NewFlagSet("rotate", flag.ContinueOnError)
	grace := set.Duration("grace", defaultGrace, "")
	expires := set.String("expires", "", "")
	names, err := c.parse(set, args, 1)
	if err != nil {
		return err
	}
	if *grace < 0 || *grace > maxGrace {
		return &UsageError{Err: fmt.Errorf("--grace must be from 0s to %v, is %v", maxGrace, *grace)}
	}
	var until *time.Time
	switch *expires {
	case "":
	case "never":
		return &UsageError{
			Err: errors.New(
				"a rotated token keeps its kind of expiry; to have one without, create it with --expires never",
			),
		}
	default:
		if until, err = parseExpiry(*expires, c.now); err != nil {
			return &UsageError{Err: err}
		}
		if !until.After(c.now) {
			return &UsageError{Err: fmt.Errorf("--expires must be in the future, is %s", *expires)}
		}
	}
	return c.change(ctx, names[0], func(store *postgres.Store, t token.Token) error {
		text := token.Renew(t.ID)
		rotated, err := store.RotateToken(ctx, t.ID, token.HashOf(text), *grace, until)
		if errors.Is(err, token.ErrUnknown) {
			return fmt.Errorf("the token %q is revoked; create another", names[0])
		}
		if err != nil {
			return err
		}
		return c.show(rotated, text)
	})
}

func (c *command) revoke(ctx context.Context, args []string) error {
	names, err := c.parse(flag.NewFlagSet("revoke", flag.ContinueOnError), args, 1)
	if err != nil {
		return err
	}
	return c.change(ctx, names[0], func(store *postgres.Store, t token.Token) error {
		revoked, err := store.RevokeToken(ctx, t.ID)
		if err != nil {
			return err
		}
		if c.json {
			return c.encode(c.document(revoked))
		}
		_, err = fmt.Fprintf(c.stdout, "revoked %s (%s%s)\n", revoked.Name, token.Prefix, revoked.ID)
		return err
	})
}

// change finds the token that the operator means and does something to it.
func (c *command) change(ctx context.Context, name string, do func(*postgres.Store, token.Token) error) error {
	if _, err := token.Parse(name); err == nil {
		// It would be in the shell's history and in the list of processes by now; taking it would make that a habit.
		return &UsageError{
			Err: errors.New("that is the whole token; give only its name, or its first part up to the second _"),
		}
	}
	store, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	found, err := store.FindToken(ctx, name)
	if errors.Is(err, token.ErrUnknown) {
		return fmt.Errorf("there is no token %q; bookd token list shows those there are", name)
	}
	if err != nil {
		return err
	}
	return do(store, found)
}

func (c *command) list(ctx context.Context, args []string) error {
	set := flag.NewFlagSet("list", flag.ContinueOnError)
	all := set.Bool("all", false, "")
	if _, err := c.parse(set, args, 0); err != nil {
		return err
	}
	store, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	tokens, err := store.Tokens(ctx)
	if err != nil {
		return err
	}
	shown := []document{} // never null
	for _, t := range tokens {
		if d := c.document(t); *all || d.State == "active" {
			shown = append(shown, d)
		}
	}
	if c.json {
		return c.encode(shown)
	}
	table := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tNAME\tSCOPES\tSTATE\tEXPIRES\tLAST USED")
	for _, d := range shown {
		fmt.Fprintf(
			table,
			"%s\t%s\t%s\t%s\t%s\t%s\n",
			d.ID,
			d.Name,
			strings.Join(d.Scopes, ","),
			d.State,
			orElse(d.ExpiresAt, "never"),
			orElse(d.LastUsedAt, "never"),
		)
	}
	return table.Flush()
}

func orElse(t *time.Time, otherwise string) string {
	if t == nil {
		return otherwise
	}
	return t.Format(time.RFC3339)
}

// document is a token in JSON. Every member but the secret is always there.
type document struct {
	ID            string     `json:"id"`
	Name          string     `json:"name"`
	Scopes        []string   `json:"scopes"`
	State         string     `json:"state"`
	CreatedAt     time.Time  `json:"created_at"`
	ExpiresAt     *time.Time `json:"expires_at"`
	RotatedAt     *time.Time `json:"rotated_at"`
	PreviousUntil *time.Time `json:"previous_until"`
	RevokedAt     *time.Time `json:"revoked_at"`
	LastUsedAt    *time.Time `json:"last_used_at"`
	Token         string     `json:"token,omitempty"`
}

func (c *command) document(t token.Token) document {
	d := document{
		ID: token.Prefix + t.ID, Name: t.Name, State: t.State(c.now), CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt,
		RotatedAt: t.RotatedAt, PreviousUntil: t.PreviousUntil, RevokedAt: t.RevokedAt, LastUsedAt: t.LastUsedAt,
	}
	for _, s := range t.Scopes {
		d.Scopes = append(d.Scopes, string(s))
	}
	return d
}

// show prints a token with its text, the one time that this is possible.
func (c *command) show(t token.Token, text string) error {
	d := c.document(t)
	if c.json {
		d.Token = text
		return c.encode(d)
	}
	fmt.Fprintf(c.stderr, "token %s (%s), scopes %s, expires %s; this is the only time it is shown:\n",
		d.Name, d.ID, strings.Join(d.Scopes, ","), orElse(d.ExpiresAt, "never"))
	_, err := fmt.Fprintln(c.stdout, text)
	return err
}

func (c *command) encode(v any) error {
	encoder := json.NewEncoder(c.stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// parseExpiry reads the four forms of the help; nil is never.
func parseExpiry(text string, now time.Time) (*time.Time, error) {
	if text == "never" {
		return nil, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return new(now.AddDate(0, 0, int(n))), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil {
		return new(now.Add(d)), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return &t, nil
		}
	}
	return nil, fmt.Errorf("--expires must be such as 90d, 12h, 2027-01-31, 2027-01-31T12:00:00Z or never, is %q", text)
}
