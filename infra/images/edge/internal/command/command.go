// Package command is the edge's command line. Everything it touches comes in as an argument.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"bookshelf/edge/internal/admin"
	"bookshelf/edge/internal/load"
	"bookshelf/edge/internal/settings"
	"bookshelf/edge/internal/slots"
)

const help = `edge stands before the replicas of a service and divides requests among its slots.

Usage: edge [COMMAND]

  run          serve until SIGTERM or SIGINT (the default)
  healthcheck  ask the edge in the same container whether it serves
  slots        print the slots as JSON
  slots set    read a request as JSON, carry it out whole or not at all, print the slots
  scrape SLOT  print the metrics of every replica of a slot as JSON
  fetch SLOT PATH
               print what every replica of a slot answers to GET PATH as JSON
  load         read an order as JSON, put the same load on slots past their weights, print what
               its requests met
  session      read commands as JSON, carry out one after the other, answer each with a line of JSON
  version      print the version of the edge's Caddy
  help         print this text

All configuration comes from the environment.
`

// usageError says that the command line is wrong; nothing was done.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

// ExitCode is the exit status for what Run returned: 0 done, 1 failed, 2 when what was asked for is wrong.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	_, usage := errors.AsType[*usageError](err)
	_, setting := errors.AsType[*settings.InvalidError](err)
	_, refused := errors.AsType[*admin.RefusedError](err)
	_, order := errors.AsType[*load.InvalidError](err)
	if usage || setting || refused || order {
		return 2
	}
	return 1
}

// Run runs the command that args name (without the program's own name) in an environment as os.Environ gives it.
func Run(ctx context.Context, args, environ []string, server Server, stdin io.Reader, stdout io.Writer) error {
	line := strings.Join(args, " ")
	switch line {
	case "help", "-h", "-help", "--help":
		_, err := io.WriteString(stdout, help)
		return err
	case "version":
		version, err := server.version()
		if err == nil {
			_, err = fmt.Fprintln(stdout, version)
		}
		return err
	}
	s, err := settings.Load(environ)
	if err != nil {
		return err
	}
	client := admin.NewClient(s.AdminSocket)
	switch line {
	case "", "run":
		return server.become(environ)
	case "session":
		return session(ctx, func(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
			return question(ctx, client, args, stdin, stdout)
		}, stdin, stdout)
	}
	return question(ctx, client, args, stdin, stdout)
}

// question is a command for the edge that serves.
func question(ctx context.Context, client *admin.Client, args []string, stdin io.Reader, stdout io.Writer) error {
	line := strings.Join(args, " ")
	switch {
	case line == "healthcheck":
		return client.Health(ctx)
	case line == "slots":
		return show(stdout)(client.Slots(ctx))
	case line == "slots set":
		request, err := io.ReadAll(stdin)
		if err != nil {
			return fmt.Errorf("read the request: %w", err)
		}
		return show(stdout)(client.SetSlots(ctx, request))
	case line == "load":
		return press(ctx, client, stdin, stdout)
	case len(args) == 2 && args[0] == "scrape":
		return ask(ctx, client, args[1], func(r slots.ReplicaState) string { return r.Admin + "/metrics" }, stdout)
	case len(args) == 3 && args[0] == "fetch" && strings.HasPrefix(args[2], "/"):
		return ask(ctx, client, args[1], func(r slots.ReplicaState) string { return r.Address + args[2] }, stdout)
	}
	return &usageError{fmt.Sprintf("%q is no command; edge help lists them", line)}
}

// show prints what a call returned.
func show(stdout io.Writer) func([]byte, error) error {
	return func(text []byte, err error) error {
		if err != nil {
			return err
		}
		_, err = stdout.Write(text)
		return err
	}
}
