// Package agent is the program that stands between PostgreSQL and pgBackRest.
package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"bookshelf/postgres/internal/content"
	"bookshelf/postgres/internal/pgbackrest"
)

const help = `pgbackrest-agent stands between PostgreSQL and pgBackRest.

Usage: pgbackrest-agent COMMAND

In the database's container:
  push PATH      hand a file of the write-ahead log over; PostgreSQL's archive_command

In the backup container:
  serve          take what is handed over, take backups by the schedule, answer for metrics
  healthcheck    ask the agent that serves in the same container
  status         print archiving and backups as JSON
  backup TYPE    take a backup (full, diff, incr), verify and mark it, print it as JSON
  check          make sure that what is written reaches the repository
  point NAME     make a restore point, wait until it is in the repository, print it as JSON

Beside a repository:
  backups        print the backups that it holds as JSON

Anywhere with a database:
  content        print what the database holds as JSON: rows, hash and newest row of each table
  get URL        make sure that something answers a GET with 200

All configuration comes from the environment.
`

// ExitCode is the exit status for what Run returned: 0 done, 1 failed, 2 when what was asked for is wrong.
func ExitCode(err error) int {
	_, invalid := errors.AsType[*invalidError](err)
	switch {
	case err == nil:
		return 0
	case invalid:
		return 2
	default:
		return 1
	}
}

// Run runs the command that args name, without the program's own name.
func Run(ctx context.Context, args []string, lookup func(string) (string, bool), stdout io.Writer) error {
	var command, argument string
	if len(args) > 0 {
		command = args[0]
	}
	if len(args) > 1 {
		argument = args[1]
	}
	wants := map[string]int{"push": 2, "backup": 2, "point": 2, "get": 2, "backups": 1, "serve": 1, "healthcheck": 1, "status": 1, "check": 1, "content": 1, "help": 1}
	if wants[command] != len(args) || len(args) == 0 || command == "backup" && !validType(argument) {
		return &invalidError{fmt.Errorf("%q is no command; pgbackrest-agent help lists them", args)}
	}
	switch command {
	case "help":
		_, err := io.WriteString(stdout, help)
		return err
	case "push":
		sockets, _ := lookup("PGHOST")
		if sockets == "" {
			sockets = "/var/run/postgresql"
		}
		return push(ctx, sockets, argument)
	case "get":
		return get(ctx, argument)
	}
	s, err := load(lookup)
	if err != nil {
		return err
	}
	a := &agent{settings: s, tool: pgbackrest.Tool{Stanza: s.Stanza, Log: os.Stderr}}
	switch command {
	case "serve":
		return a.serve(ctx, os.Stderr)
	case "healthcheck":
		return healthcheck(ctx, s.Metrics)
	case "check":
		return a.archived(ctx, markLimit)
	case "status":
		return a.status(ctx, stdout)
	case "backups":
		return show(stdout)(a.backups(ctx))
	case "backup":
		return show(stdout)(a.take(ctx, argument))
	case "point":
		return show(stdout)(a.point(ctx, argument))
	default:
		conn, err := s.connect(ctx)
		if err != nil {
			return err
		}
		defer conn.Close(context.WithoutCancel(ctx))
		return show(stdout)(content.Read(ctx, conn))
	}
}

// Status is what `pgbackrest-agent status` prints.
type Status struct {
	Archive Archive  `json:"archive"`
	Backups []Backup `json:"backups"`
	// RepositoryBytes is what the repository takes; Problem why it could not be read.
	RepositoryBytes int64  `json:"repository_bytes"`
	Problem         string `json:"problem,omitempty"`
}

// status prints as much as there is to be known: a database that is down must not hide the backups that would bring it back.
func (a *agent) status(ctx context.Context, stdout io.Writer) error {
	s := Status{Backups: []Backup{}}
	var err error
	if s.Archive, err = a.settings.archive(ctx, time.Now()); err != nil {
		s.Archive.Working, s.Archive.Problem = false, err.Error()
	}
	list, err := a.look(ctx)
	if err != nil {
		s.Problem = err.Error()
	} else {
		s.Backups, s.RepositoryBytes = list, a.noted().bytes
	}
	return show(stdout)(s, nil)
}

// show prints what a call returned as JSON, unless it failed.
func show(stdout io.Writer) func(any, error) error {
	return func(value any, err error) error {
		if err != nil {
			return err
		}
		return json.NewEncoder(stdout).Encode(value)
	}
}

func healthcheck(ctx context.Context, address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return &invalidError{err}
	}
	return get(ctx, "http://127.0.0.1:"+port+"/healthz")
}

// get makes sure that a URL answers with 200.
func get(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return &invalidError{err}
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(response.Body, 300)) // what can be had of it
		return fmt.Errorf("%s answers %s: %s", url, response.Status, said)
	}
	return nil
}
