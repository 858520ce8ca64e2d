package agent

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"bookshelf/postgres/internal/schedule"
)

// settings are what the environment says. PostgreSQL's own variables (PGHOST, PGPASSFILE) and PGBACKREST_CONFIG are read by those that
// they are for.
type settings struct {
	Stanza         string
	Database, User string
	// Data is PGDATA, mounted read-only; Sockets the folder that PostgreSQL and the agent share.
	Data, Sockets string
	Metrics       string
	Schedule      schedule.Schedule
}

// invalidError says that settings or arguments are wrong; nothing was done.
type invalidError struct{ problem error }

func (e *invalidError) Error() string { return e.problem.Error() }

func load(lookup func(string) (string, bool)) (settings, error) {
	var problems []error
	text := func(name, fallback string) string {
		value, _ := lookup(name)
		if value == "" {
			value = fallback
		}
		if value == "" {
			problems = append(problems, fmt.Errorf("%s is not set", name))
		}
		return value
	}
	age := func(name, fallback string, least time.Duration) time.Duration {
		d, err := time.ParseDuration(text(name, fallback))
		if err != nil || d < least {
			problems = append(problems, fmt.Errorf("%s: want a duration from %s on, as in 24h", name, least))
		}
		return d
	}
	s := settings{
		Stanza: text("PGBACKREST_STANZA", ""), Database: text("PGDATABASE", ""), User: text("PGUSER", ""),
		Data: text("PGDATA", ""), Sockets: text("PGHOST", "/var/run/postgresql"), Metrics: text("METRICS_ADDR", ":9854"),
		Schedule: schedule.Schedule{Full: age("BACKUP_FULL", "168h", time.Second), Diff: age("BACKUP_DIFF", "24h", 0)},
	}
	if err := errors.Join(problems...); err != nil {
		return settings{}, &invalidError{err}
	}
	return s, nil
}

// handover is the socket through which PostgreSQL hands WAL segments over.
func handover(sockets string) string { return filepath.Join(sockets, ".s.archive") }
