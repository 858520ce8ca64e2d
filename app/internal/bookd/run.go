// Package bookd is the service's command line: it reads the configuration, wires the other packages together and runs one
// command. Everything it touches comes in as an argument, so that tests run the real thing.
package bookd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"

	"bookshelf/app/internal/bookimport"
	"bookshelf/app/internal/buildinfo"
	"bookshelf/app/internal/config"
	"bookshelf/app/internal/postgres"
	"bookshelf/app/internal/postgres/database"
	"bookshelf/app/internal/postgres/schema"
	"bookshelf/app/internal/telemetry"
	"bookshelf/app/internal/tokenctl"
)

// usageError says that the command line is wrong; nothing was done.
type usageError struct {
	text string
}

func (e *usageError) Error() string { return e.text }

// ExitCode is the exit status for what Run returned: 0 done, 1 failed, 2 wrong usage.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	_, usage := errors.AsType[*usageError](err)
	_, importUsage := errors.AsType[*bookimport.UsageError](err)
	_, tokenUsage := errors.AsType[*tokenctl.UsageError](err)
	if usage || importUsage || tokenUsage {
		return 2
	}
	return 1
}

// program is what a command may touch.
type program struct {
	lookup         config.Lookup
	stdin          io.Reader
	stdout, stderr io.Writer
	faults         faultPlan
}

// command is one word of the command line.
type command struct {
	name    string
	summary string
	help    string // after the usage line
	run     func(ctx context.Context, p program, args []string) error
}

// commands are in the order of the help text. It is a function because help itself prints the list.
func commands() []command {
	return []command{
		{"serve", "serve the API until SIGTERM or SIGINT", serveHelp, withoutArguments("serve", program.serve)},
		{"migrate", "bring the database schema to what this version needs", migrateHelp,
			withoutArguments("migrate", program.migrate)},
		{"import", "import books from CSV or JSON lines", importHelp,
			func(ctx context.Context, p program, args []string) error { return p.importBooks(ctx, args) }},
		{"token", "make, list, rotate and revoke the tokens of clients", tokenctl.Help,
			func(ctx context.Context, p program, args []string) error { return p.tokens(ctx, args) }},
		{"healthcheck", "ask the serving process in the same container for its health", healthcheckHelp,
			func(ctx context.Context, p program, args []string) error { return p.healthcheck(ctx, args) }},
		{"version", "print version and revision", versionHelp, withoutArguments("version", program.version)},
		{"help", "print this text, or the help of a command", helpHelp,
			func(_ context.Context, p program, args []string) error { return p.help(args) }},
	}
}

// Run runs the command that args name (without the program's own name). The environment is read through lookup only.
// Cancelling ctx is the request to end.
func Run(ctx context.Context, args []string, lookup config.Lookup, stdin io.Reader, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return &usageError{text: "no command given; bookd help lists them"}
	}
	faults, err := loadFaults(lookup)
	if err != nil {
		return err
	}
	p := program{lookup: lookup, stdin: stdin, stdout: stdout, stderr: stderr, faults: faults}
	name, rest := args[0], args[1:]
	if isHelpFlag(name) {
		return p.help(rest)
	}
	cmd, err := findCommand(name)
	if err != nil {
		return err
	}
	// import has flags of its own and tells about them itself.
	if len(rest) == 1 && isHelpFlag(rest[0]) && name != "import" {
		return p.help([]string{name})
	}
	return p.faults.Command(ctx, name, func(ctx context.Context) error { return cmd.run(ctx, p, rest) })
}

// isHelpFlag knows the three ways in which people ask.
func isHelpFlag(arg string) bool { return arg == "-h" || arg == "-help" || arg == "--help" }

// findCommand returns the command of that name, or a usage error that lists all.
func findCommand(name string) (command, error) {
	var names []string
	for _, cmd := range commands() {
		if cmd.name == name {
			return cmd, nil
		}
		names = append(names, cmd.name)
	}
	return command{}, &usageError{text: fmt.Sprintf("unknown command %q; the commands are %s", name, strings.Join(names, ", "))}
}

// withoutArguments is for commands that the environment alone configures. A stray argument is a mistake: whoever typed it
// expected it to change something.
func withoutArguments(name string, run func(program, context.Context) error) func(context.Context, program, []string) error {
	return func(ctx context.Context, p program, args []string) error {
		if len(args) > 0 {
			return &usageError{text: fmt.Sprintf("%s takes no arguments, got %q", name, args[0])}
		}
		return run(p, ctx)
	}
}

func (p program) help(args []string) error {
	switch len(args) {
	case 0:
		return p.overview()
	case 1:
		cmd, err := findCommand(args[0])
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.stdout, "%s\n", cmd.help)
		return err
	default:
		return &usageError{text: fmt.Sprintf("help takes one command, got %d", len(args))}
	}
}

func (p program) overview() error {
	var b strings.Builder
	b.WriteString("bookd is the book catalogue service.\n\nUsage: bookd COMMAND\n\nCommands:\n")
	for _, cmd := range commands() {
		fmt.Fprintf(&b, "  %-12s %s\n", cmd.name, cmd.summary)
	}
	b.WriteString("\nbookd help COMMAND tells more. All configuration comes from the environment.\n")
	_, err := io.WriteString(p.stdout, b.String())
	return err
}

func (p program) version(context.Context) error {
	build := buildinfo.Get()
	_, err := fmt.Fprintf(p.stdout, "bookd %s (revision %s, %s)\n", build.Version, build.Revision, runtime.Version())
	return err
}

// migrate runs to completion; see docs/adr/0003-migrations-outside-the-server.md.
func (p program) migrate(ctx context.Context) error {
	cfg, err := config.LoadMaintenance(p.lookup)
	if err != nil {
		return err
	}
	return schema.Migrate(ctx, databaseOptions(cfg.Database, "bookd migrate"), telemetry.NewLogger(p.stdout, cfg.LogLevel))
}

// tokens reads the configuration only when the command line is right.
func (p program) tokens(ctx context.Context, args []string) error {
	open := func(ctx context.Context) (*postgres.Store, error) {
		cfg, err := config.LoadMaintenance(p.lookup)
		if err != nil {
			return nil, err
		}
		return postgres.Open(ctx, postgres.Options{Options: databaseOptions(cfg.Database, "bookd token")})
	}
	return tokenctl.Command(ctx, args, open, time.Now(), p.stdout, p.stderr)
}

// importBooks reads the configuration only when the import wants the database, so that its help works without one.
func (p program) importBooks(ctx context.Context, args []string) error {
	open := func(ctx context.Context) (*postgres.Store, error) {
		cfg, err := config.LoadMaintenance(p.lookup)
		if err != nil {
			return nil, err
		}
		return postgres.Open(ctx, postgres.Options{Options: databaseOptions(cfg.Database, "bookd import")})
	}
	return bookimport.Command(ctx, args, open, p.stdin, p.stdout, p.stderr)
}

// databaseOptions translates; application is the name that PostgreSQL shows for the connections.
func databaseOptions(c config.Database, application string) database.Options {
	return database.Options{
		Host:            c.Host,
		Port:            uint16(c.Port), // config has checked the range
		Name:            c.Name,
		User:            c.User,
		Password:        c.Password.Reveal(),
		PasswordFile:    c.PasswordFile,
		LoginFile:       c.LoginFile,
		SSLMode:         c.SSLMode,
		SSLRootCert:     c.SSLRootCert,
		ApplicationName: application,
		MaxConns:        int32(c.MaxConns), // config has checked the range
		ConnectTimeout:  c.ConnectTimeout,
	}
}
