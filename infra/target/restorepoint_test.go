package target

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bookshelf/infra/backup"
	"bookshelf/infra/release/history"
	"bookshelf/infra/runtime"
	"bookshelf/infra/runtime/postgres"
)

// archiving is a platform whose backup container answers for restore points, and whose database can be dumped.
type archiving struct {
	runtime.Platform
	broken bool
	asked  []string
}

func (p *archiving) Instances(context.Context, runtime.Environment) ([]runtime.Instance, error) {
	return []runtime.Instance{
		{ID: "db", Component: postgres.Component, State: runtime.StateHealthy}, {ID: "backup", Component: backup.Component, State: runtime.StateHealthy},
	}, nil
}

func (p *archiving) Exec(_ context.Context, id string, command []string, _ io.Reader, stdout, stderr io.Writer) (int, error) {
	if id == "db" {
		fmt.Fprint(stdout, "PGDMP")
		return 0, nil
	}
	p.asked = command
	if p.broken {
		fmt.Fprint(stderr, "pgbackrest-agent: WAL segment was not archived before the 30000ms timeout")
		return 1, nil
	}
	fmt.Fprintf(stdout, `{"name": %q, "lsn": "0/1"}`, command[len(command)-1])
	return 0, nil
}

func releasing(t *testing.T, p *archiving) *Environment {
	t.Helper()
	return &Environment{Platform: p, Env: dev, Database: postgres.New(p, dev), Backup: backup.New(p, dev, nil), Release: "20260301-120000", Folder: t.TempDir()}
}

func TestARestorePointIsCalledAfterItsRelease(t *testing.T) {
	t.Parallel()
	p := &archiving{}
	how, err := releasing(t, p).RestorePoint(t.Context())
	if err != nil || how != "deliver restore -e dev --to release-20260301-120000" {
		t.Errorf("%q, %v", how, err)
	}
	if asked := strings.Join(p.asked, " "); asked != "pgbackrest-agent point release-20260301-120000" {
		t.Errorf("asked %q", asked)
	}
}

func TestWhereArchivingIsBrokenThereIsNoRestorePoint(t *testing.T) {
	t.Parallel()
	_, err := releasing(t, &archiving{broken: true}).RestorePoint(t.Context())
	if err == nil || !strings.Contains(err.Error(), "does not reach the backups") || !strings.Contains(err.Error(), "--without-archiving REASON") || !strings.Contains(err.Error(), "was not archived") {
		t.Errorf("error %v", err)
	}
}

func TestAReleaseWithoutArchivingHasADumpInstead(t *testing.T) {
	t.Parallel()
	e := releasing(t, &archiving{broken: true})
	e.WithoutArchiving = true
	how, err := e.RestorePoint(t.Context())
	path := filepath.Join(e.Folder, history.Dump)
	content, _ := os.ReadFile(path)
	if err != nil || how != "pg_restore of "+path || string(content) != "PGDMP" {
		t.Errorf("%q, %v, %q", how, err, content)
	}
}
