package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bookshelf/infra/runtime"
)

// platform has one database, whose programs print what they are to and end with a code.
type platform struct {
	runtime.Platform
	state             runtime.State
	stdout, complaint string
	code              int

	command      []string
	id, standard string
}

func (p *platform) Instances(context.Context, runtime.Environment) ([]runtime.Instance, error) {
	return []runtime.Instance{{ID: "app", Component: "app", State: runtime.StateHealthy}, {ID: "db", Component: Component, State: p.state}}, nil
}

func (p *platform) Exec(_ context.Context, id string, command []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	p.id, p.command = id, command
	if stdin != nil {
		input, err := io.ReadAll(stdin)
		if err != nil {
			return 0, err
		}
		p.standard = string(input)
	}
	fmt.Fprint(stdout, p.stdout)
	fmt.Fprint(stderr, p.complaint)
	return p.code, nil
}

func client(p *platform) *Client {
	return New(p, runtime.Environment{Project: "bookshelf", Name: "dev"})
}

func TestAQueryIsReadByPsqlAndItsRowsAreReturned(t *testing.T) {
	t.Parallel()
	p := &platform{state: runtime.StateHealthy, stdout: "9790000000001\n9790000000018\n"}
	rows, err := client(p).Query(t.Context(), "SELECT isbn13 FROM books")
	if diff := cmp.Diff([]string{"9790000000001", "9790000000018"}, rows); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if p.id != "db" || p.command[3] != "psql" || p.standard != "SELECT isbn13 FROM books" {
		t.Errorf("%s ran %q with %q on standard input", p.id, p.command, p.standard)
	}
	if !strings.Contains(strings.Join(p.command, " "), "--dbname=bookshelf") {
		t.Errorf("%q asks another database", p.command)
	}
}

func TestADumpIsWhatPgDumpPrints(t *testing.T) {
	t.Parallel()
	p := &platform{state: runtime.StateHealthy, stdout: "PGDMP"}
	var dump bytes.Buffer
	if err := client(p).Dump(t.Context(), &dump); err != nil || dump.String() != "PGDMP" || p.command[3] != "pg_dump" {
		t.Errorf("%v, %q from %q", err, dump.String(), p.command)
	}
}

func TestADatabaseThatDoesNotAnswerSaysWhy(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		platform *platform
		want     string
	}{
		"it refuses":     {&platform{state: runtime.StateHealthy, code: 3, complaint: "no such table"}, "psql ended with exit code 3: no such table"},
		"it is verbose":  {&platform{state: runtime.StateHealthy, code: 3, complaint: strings.Repeat("a", 5000)}, "psql ended with exit code 3: " + strings.Repeat("a", 2000)},
		"it was stopped": {&platform{state: runtime.StateStopped}, "the database of dev does not run"},
	} {
		if _, err := client(test.platform).Query(t.Context(), "SELECT 1"); err == nil || err.Error() != test.want {
			t.Errorf("%s: want %q, have %v", name, test.want, err)
		}
	}
}

func TestALoginIsTriedWithoutShowingThePassword(t *testing.T) {
	t.Parallel()
	for complaint, want := range map[string]struct {
		accepted bool
		failed   bool
	}{
		"": {accepted: true},
		`psql: error: connection to server at "127.0.0.1", port 5432 failed: FATAL:  password authentication failed for user "x"`: {},
		`psql: error: connection to server at "127.0.0.1", port 5432 failed: FATAL:  role "x" is not permitted to log in`:         {},
		"psql: error: connection refused": {failed: true},
	} {
		p := &platform{state: runtime.StateHealthy, complaint: complaint}
		if complaint != "" {
			p.code = 2
		}
		accepted, err := client(p).Login(t.Context(), "x", "hush")
		if accepted != want.accepted || (err != nil) != want.failed {
			t.Errorf("%q: accepted %t, %v", complaint, accepted, err)
		}
		if p.standard != "hush\n" || strings.Contains(strings.Join(p.command, " "), "hush") {
			t.Errorf("%q was run with %q on standard input", p.command, p.standard)
		}
	}
}

func TestAnAdministratorWhoIsRefusedIsToldFromOtherFailures(t *testing.T) {
	t.Parallel()
	p := &platform{state: runtime.StateHealthy, code: 2, complaint: `FATAL:  password authentication failed for user "postgres"`}
	if _, err := client(p).Query(t.Context(), "SELECT 1"); !errors.Is(err, ErrRefused) {
		t.Errorf("%v", err)
	}
	p.complaint = "FATAL:  the database system is starting up"
	if _, err := client(p).Query(t.Context(), "SELECT 1"); err == nil || errors.Is(err, ErrRefused) {
		t.Errorf("%v", err)
	}
}
