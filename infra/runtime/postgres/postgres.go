// Package postgres talks to the database of an environment while it runs. It does so by running PostgreSQL's own programs in the
// database's container, as its administrator, so that nothing but the platform reaches it and the password stays where it is.
package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"bookshelf/infra/runtime"
)

// Component is what the database's container is labelled as.
const Component = "postgres"

// Client talks to the database of one environment, which is called like the environment's project.
type Client struct {
	platform runtime.Platform
	env      runtime.Environment
}

// New returns a client. Nothing is asked yet.
func New(platform runtime.Platform, env runtime.Environment) *Client {
	return &Client{platform: platform, env: env}
}

// Dump writes the database in pg_dump's custom format. What was written before an error is of no use.
func (c *Client) Dump(ctx context.Context, to io.Writer) error {
	return c.run(ctx, "pg_dump", []string{"--format=custom", "--dbname=" + c.env.Project}, nil, to)
}

// Query runs a statement and returns the first column of its rows, whose values must be without spaces.
func (c *Client) Query(ctx context.Context, statement string) ([]string, error) {
	var out bytes.Buffer
	err := c.run(ctx, "psql", []string{
		"--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", "--dbname=" + c.env.Project,
	}, strings.NewReader(statement), &out)
	if err != nil {
		return nil, err
	}
	return strings.Fields(out.String()), nil
}

// ErrRefused says that the server did not accept who wanted to log in.
var ErrRefused = errors.New("the login was refused")

// Login reports whether the server accepts a role with a password, on the way that the service takes.
func (c *Client) Login(ctx context.Context, role, password string) (accepted bool, err error) {
	// The password comes by standard input: a command line is for everybody to see.
	const script = `read -r PGPASSWORD; export PGPASSWORD PGHOST=127.0.0.1; exec psql --no-psqlrc --quiet --tuples-only --command='SELECT 1' --username="$1" --dbname="$2"`
	err = c.exec(ctx, []string{"sh", "-c", script, "login", role, c.env.Project}, strings.NewReader(password+"\n"), io.Discard)
	if errors.Is(err, ErrRefused) {
		return false, nil
	}
	return err == nil, err
}

// run runs a program in the database's container, as the administrator.
func (c *Client) run(ctx context.Context, program string, arguments []string, stdin io.Reader, stdout io.Writer) error {
	script := `export PGPASSWORD=$(cat /run/secrets/superuser_password) PGHOST=127.0.0.1 PGUSER=postgres; exec ` + program + ` "$@"`
	return c.exec(ctx, append([]string{"sh", "-c", script, program}, arguments...), stdin, stdout)
}

// exec runs a command in the database's container.
func (c *Client) exec(ctx context.Context, command []string, stdin io.Reader, stdout io.Writer) error {
	instance, found, err := runtime.FindServing(ctx, c.platform, c.env, Component)
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("the database of %s does not run", c.env.Name)
	}
	var complaint limited
	code, err := c.platform.Exec(ctx, instance.ID, command, stdin, stdout, &complaint)
	switch {
	case err != nil || code == 0:
		return err
	case strings.Contains(complaint.String(), "authentication failed for user"), strings.Contains(complaint.String(), "is not permitted to log in"):
		return fmt.Errorf("%w: %s", ErrRefused, strings.TrimSpace(complaint.String()))
	default:
		return fmt.Errorf("%s ended with exit code %d: %s", command[3], code, complaint.String())
	}
}

// limited keeps the beginning of what is written to it.
type limited struct{ bytes.Buffer }

// Write implements io.Writer.
func (l *limited) Write(p []byte) (int, error) {
	const most = 2000
	if room := most - l.Len(); room > 0 {
		l.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
