package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Archive is how archiving goes. Its JSON form is part of what `pgbackrest-agent status` prints.
type Archive struct {
	// Working says that what was written lately is in the repository; Problem says why not.
	Working bool   `json:"working"`
	Problem string `json:"problem,omitempty"`
	// Archived and Failed count segments and attempts since PostgreSQL's statistics were reset.
	Archived int64      `json:"archived"`
	Failed   int64      `json:"failed"`
	LastWAL  string     `json:"last_wal,omitempty"`
	LastAt   *time.Time `json:"last_at,omitempty"`
	FailedAt *time.Time `json:"failed_at,omitempty"`
	// Pending counts segments that wait to be archived; OldestPending is when the first of them was ready.
	Pending       int        `json:"pending"`
	OldestPending *time.Time `json:"oldest_pending,omitempty"`
}

// patience is how long a segment may wait before archiving counts as broken: one attempt may meet a repository that is busy.
const patience = 2 * time.Minute

// connect opens a connection to the service's database over the socket; the rest of what it takes is in PostgreSQL's own variables.
func (s settings) connect(ctx context.Context) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig("")
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	config.Host, config.Database, config.User = s.Sockets, s.Database, s.User
	config.RuntimeParams["application_name"] = "backup"
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	return conn, nil
}

// archive asks PostgreSQL how archiving goes, and looks at what waits.
func (s settings) archive(ctx context.Context, now time.Time) (Archive, error) {
	conn, err := s.connect(ctx)
	if err != nil {
		return Archive{Problem: err.Error()}, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var a Archive
	var mode string
	err = conn.QueryRow(ctx, `SELECT current_setting('archive_mode'), archived_count, coalesce(last_archived_wal, ''), last_archived_time, failed_count, last_failed_time
  FROM pg_stat_archiver`).Scan(&mode, &a.Archived, &a.LastWAL, &a.LastAt, &a.Failed, &a.FailedAt)
	if err != nil {
		return a, fmt.Errorf("ask how archiving goes: %w", err)
	}
	if a.Pending, a.OldestPending, err = pending(filepath.Join(s.Data, "pg_wal", "archive_status")); err != nil {
		return a, err
	}
	a.judge(mode, now)
	return a, nil
}

// judge decides by what waits: a failure that the next attempt has made good is none.
func (a *Archive) judge(mode string, now time.Time) {
	switch {
	case mode != "on":
		a.Problem = "archive_mode is " + mode
	case a.OldestPending != nil && now.Sub(*a.OldestPending) > patience:
		a.Problem = fmt.Sprintf("%d segments wait, the first since %s", a.Pending, a.OldestPending.UTC().Format(time.RFC3339))
		if a.FailedAt != nil {
			a.Problem += fmt.Sprintf("; the last attempt failed at %s", a.FailedAt.UTC().Format(time.RFC3339))
		}
	default:
		a.Working = true
	}
}

// pending counts the files that PostgreSQL has marked as ready to be archived.
func pending(folder string) (count int, oldest *time.Time, err error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return 0, nil, fmt.Errorf("look for what waits to be archived: %w", err)
	}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".ready") {
			continue
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // archived between the two looks
		}
		if err != nil {
			return 0, nil, fmt.Errorf("look for what waits to be archived: %w", err)
		}
		count++
		if at := info.ModTime().UTC(); oldest == nil || at.Before(*oldest) {
			oldest = &at
		}
	}
	return count, oldest, nil
}
