package delivery

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"bookshelf/infra/backup"
	"bookshelf/infra/environment"
	"bookshelf/infra/runtime"
	"bookshelf/infra/runtime/postgres"
)

// Backup takes a backup of an environment now, verifies and marks it. What pgBackRest warns of meanwhile goes to log. It takes no lock:
// it changes nothing that another command relies on, and may run beside a release.
func (o *Operator) Backup(ctx context.Context, name, kind string, log io.Writer) (backup.Backup, error) {
	if kinds := []string{backup.Full, backup.Differential, backup.Incremental}; !slices.Contains(kinds, kind) {
		return backup.Backup{}, &UsageError{Problem: fmt.Sprintf("a backup of type %q: want full, diff or incr", kind)}
	}
	if err := o.Deployed(ctx, name); err != nil {
		return backup.Backup{}, err
	}
	return backup.New(o.Platform, o.environment(name), log).Take(ctx, kind)
}

// Backups says what backups an environment has, and whether what is written reaches them.
func (o *Operator) Backups(ctx context.Context, name string) (backup.Status, error) {
	if err := o.Deployed(ctx, name); err != nil {
		return backup.Status{}, err
	}
	return backup.New(o.Platform, o.environment(name), nil).Status(ctx)
}

// BackupStatus is how the backups are, in short.
type BackupStatus struct {
	// Newest is the label of the newest backup, "" where there is none yet; AgeSeconds is since when it is complete.
	Newest     string  `json:"newest,omitempty"`
	Type       string  `json:"type,omitempty"`
	AgeSeconds float64 `json:"age_seconds,omitempty"`
	Verified   bool    `json:"verified"`
	Count      int     `json:"count"`
	Bytes      int64   `json:"bytes"`
	// Archiving says that the write-ahead log reaches the repository.
	Archiving bool `json:"archiving"`
}

// checkBackups asks the backup container. That it, or the database, does not run is a problem that checkParts has told already.
func (o *Operator) checkBackups(ctx context.Context, env runtime.Environment, config environment.Config, instances []runtime.Instance, status *Status) {
	for _, component := range []string{postgres.Component, backup.Component} {
		if !slices.ContainsFunc(instances, func(i runtime.Instance) bool { return i.Component == component && i.Serving() }) {
			return
		}
	}
	found, err := backup.New(o.Platform, env, nil).Status(ctx)
	if err != nil {
		status.Problems = append(status.Problems, "backups: "+err.Error())
		return
	}
	status.Backup = &BackupStatus{Count: len(found.Backups), Bytes: found.RepositoryBytes, Archiving: found.Archive.Working}
	problem := func(format string, args ...any) {
		status.Problems = append(status.Problems, fmt.Sprintf(format, args...))
	}
	if !found.Archive.Working {
		problem("archiving does not work: %s", found.Archive.Problem)
	}
	if found.Problem != "" {
		problem("the backups cannot be read: %s", found.Problem)
	}
	newest := found.Newest()
	if newest == nil {
		return
	}
	age := time.Since(newest.Stopped)
	status.Backup.Newest, status.Backup.Type, status.Backup.AgeSeconds, status.Backup.Verified = newest.Label, newest.Type, age.Seconds(), newest.Verified != nil
	if newest.Fault != "" {
		problem("backup %s: %s", newest.Label, newest.Fault)
	}
	if late := overdue(config.Backup); age > late {
		problem("the newest backup is %s old, more than %s", age.Round(time.Minute), late)
	}
}

// overdue is the age from which the newest backup is too old: two of them in a row have not come.
func overdue(b environment.Backup) time.Duration {
	if b.Diff > 0 {
		return 2 * b.Diff
	}
	return 2 * b.Full
}
