// Package backup asks an environment's backup container what backups there are, whether what is written reaches the repository, and has
// it take another one. It does so by running the container's own agent in it: see infra/images/postgres.
package backup

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"bookshelf/infra/runtime"
)

// Component is what the backup container is labelled as, Volume the last part of the name of the volume with the backups.
const (
	Component = "backup"
	Volume    = "postgres-backups"
)

// Types of backups: everything, what has changed since the last full one, what has changed since the last of any type.
const (
	Full         = "full"
	Differential = "diff"
	Incremental  = "incr"
)

// Status is how the backups of an environment are.
type Status struct {
	Archive Archive  `json:"archive"`
	Backups []Backup `json:"backups"` // the oldest first
	// RepositoryBytes is what the repository takes; Problem why it could not be read, "" when it could.
	RepositoryBytes int64  `json:"repository_bytes"`
	Problem         string `json:"problem,omitempty"`
}

// Newest is the newest backup, nil where there is none.
func (s Status) Newest() *Backup {
	if len(s.Backups) == 0 {
		return nil
	}
	return &s.Backups[len(s.Backups)-1]
}

// Find returns the backup of a label, nil where there is none.
func (s Status) Find(label string) *Backup {
	for i := range s.Backups {
		if s.Backups[i].Label == label {
			return &s.Backups[i]
		}
	}
	return nil
}

// Archive is how archiving goes: whether the write-ahead log reaches the repository.
type Archive struct {
	Working bool   `json:"working"`
	Problem string `json:"problem,omitempty"`
	// Archived and Failed count segments, and attempts, since PostgreSQL's statistics were reset.
	Archived int64      `json:"archived"`
	Failed   int64      `json:"failed"`
	LastWAL  string     `json:"last_wal,omitempty"`
	LastAt   *time.Time `json:"last_at,omitempty"`
	FailedAt *time.Time `json:"failed_at,omitempty"`
	// Pending counts segments that wait; OldestPending is since when the first of them does.
	Pending       int        `json:"pending"`
	OldestPending *time.Time `json:"oldest_pending,omitempty"`
}

// Backup is one backup in the repository.
type Backup struct {
	Label   string    `json:"label"`
	Type    string    `json:"type"`
	Started time.Time `json:"started"`
	Stopped time.Time `json:"stopped"`
	// StartWAL and StopWAL are the segments that it needs at least; with those that follow, it leads to any later moment.
	StartWAL string `json:"start_wal"`
	StopWAL  string `json:"stop_wal"`
	// DatabaseBytes is what the database had, RepositoryBytes what the backup added to the repository.
	DatabaseBytes   int64 `json:"database_bytes"`
	RepositoryBytes int64 `json:"repository_bytes"`
	// Verified is when every file of it was read again and found whole, nil before that; Fault what was wrong.
	Verified *time.Time `json:"verified,omitempty"`
	Fault    string     `json:"fault,omitempty"`
	// Marker is what the database held at a restore point after the backup.
	Marker *Marker `json:"marker,omitempty"`
}

// Marker is what a database held at a restore point: recovery that ends there gives this content, no transaction more and none less.
type Marker struct {
	Name string    `json:"name"`
	At   time.Time `json:"at"`
	LSN  string    `json:"lsn"`
	Content
}

// Content is what a database holds at one moment.
type Content struct {
	// System is the cluster's identifier, which it keeps through backup and restore and shares with no other.
	System   string  `json:"system"`
	Database string  `json:"database"`
	Tables   []Table `json:"tables"` // by name
}

// Table is what one table holds.
type Table struct {
	Name string `json:"name"`
	Rows int64  `json:"rows"`
	// Hash is the sum of a hash of each row.
	Hash string `json:"hash"`
	// Newest is the latest time in the columns that are filled with the current time by default; nil where there is none.
	Newest *time.Time `json:"newest,omitempty"`
}

// Rows is how many rows there are in all tables.
func (c Content) Rows() int64 {
	var total int64
	for _, table := range c.Tables {
		total += table.Rows
	}
	return total
}

// Newest is the latest time of any row, nil where there is none.
func (c Content) Newest() *time.Time {
	var newest *time.Time
	for _, table := range c.Tables {
		if table.Newest != nil && (newest == nil || table.Newest.After(*newest)) {
			newest = table.Newest
		}
	}
	return newest
}

// Point is a restore point that is in the repository.
type Point struct {
	Name string    `json:"name"`
	LSN  string    `json:"lsn"`
	At   time.Time `json:"at"`
}

// Client talks to the backup container of one environment.
type Client struct {
	platform runtime.Platform
	env      runtime.Environment
	log      io.Writer
}

// New returns a client. What the container says while it works goes to log, nil for nobody.
func New(platform runtime.Platform, env runtime.Environment, log io.Writer) *Client {
	if log == nil {
		log = io.Discard
	}
	return &Client{platform: platform, env: env, log: log}
}

// Status asks for what there is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	return s, c.ask(ctx, &s, "status")
}

// Take takes a backup of a type, verifies it and marks it; it waits where another one is being taken.
func (c *Client) Take(ctx context.Context, kind string) (Backup, error) {
	var b Backup
	return b, c.ask(ctx, &b, "backup", kind)
}

// Check returns when what has been written to the database up to now is in the repository.
func (c *Client) Check(ctx context.Context) error { return c.ask(ctx, nil, "check") }

// Point makes a restore point, and returns when it is in the repository.
func (c *Client) Point(ctx context.Context, name string) (Point, error) {
	var p Point
	return p, c.ask(ctx, &p, "point", name)
}

// ask runs a command of the agent and reads the JSON that it prints, if it is to print any.
func (c *Client) ask(ctx context.Context, answer any, command ...string) error {
	instance, found, err := runtime.FindServing(ctx, c.platform, c.env, Component)
	if err != nil {
		return err
	}
	if found {
		return Ask(ctx, c.platform, instance.ID, answer, c.log, command...)
	}
	return fmt.Errorf("the backup container of %s does not run: `deliver up -e %s` starts it", c.env.Name, c.env.Name)
}

// Ask runs a command of the agent in a container that has one, and reads the JSON that it prints into answer; nil for none.
func Ask(ctx context.Context, platform runtime.Platform, id string, answer any, log io.Writer, command ...string) error {
	var out bytes.Buffer
	complaint := &tail{}
	code, err := platform.Exec(ctx, id, append([]string{"pgbackrest-agent"}, command...), nil, &out, io.MultiWriter(log, complaint))
	if err != nil {
		return err
	}
	if code != 0 {
		return fmt.Errorf("%s failed: %s", command[0], complaint)
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(out.Bytes(), answer); err != nil {
		return fmt.Errorf("read the answer to %s: %w", command[0], err)
	}
	return nil
}

// tail keeps the end of what is written to it: that is where programs say what went wrong.
type tail struct{ text []byte }

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	const most = 1500
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-most):]
	return len(p), nil
}

func (t *tail) String() string {
	return strings.TrimPrefix(strings.Join(strings.Fields(string(t.text)), " "), "pgbackrest-agent: ")
}
