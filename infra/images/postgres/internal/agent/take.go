package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"bookshelf/postgres/internal/content"
	"bookshelf/postgres/internal/pgbackrest"
	"bookshelf/postgres/internal/schedule"
)

// What is written to each backup in the repository, under pgBackRest's own annotations.
const (
	annotationMarker   = "marker"   // a content.Marker as JSON
	annotationVerified = "verified" // when it was verified without finding anything wrong (RFC 3339), or "failed: " and what was wrong
)

// Backup is one backup. Its JSON form is part of what `pgbackrest-agent status` prints.
type Backup struct {
	Label    string    `json:"label"`
	Type     string    `json:"type"`
	Started  time.Time `json:"started"`
	Stopped  time.Time `json:"stopped"`
	StartWAL string    `json:"start_wal"`
	StopWAL  string    `json:"stop_wal"`
	// DatabaseBytes is what the database had, RepositoryBytes what the backup added to the repository.
	DatabaseBytes   int64 `json:"database_bytes"`
	RepositoryBytes int64 `json:"repository_bytes"`
	// Verified says when every file of the backup was read again and found whole; Fault what was wrong.
	Verified *time.Time `json:"verified,omitempty"`
	Fault    string     `json:"fault,omitempty"`
	// Marker is what the database held at a restore point after the backup, nil where there is none yet.
	Marker *content.Marker `json:"marker,omitempty"`
}

func shown(b pgbackrest.Backup) Backup {
	shown := Backup{
		Label: b.Label, Type: b.Type, Started: b.Started, Stopped: b.Stopped, StartWAL: b.StartWAL, StopWAL: b.StopWAL,
		DatabaseBytes: b.Size, RepositoryBytes: b.Stored,
	}
	if text := b.Annotations[annotationMarker]; text != "" {
		var marker content.Marker
		if err := json.Unmarshal([]byte(text), &marker); err != nil {
			shown.Fault = fmt.Sprintf("its marker cannot be read: %v", err)
		} else {
			shown.Marker = &marker
		}
	}
	verified := b.Annotations[annotationVerified]
	if at, err := time.Parse(time.RFC3339, verified); err == nil {
		shown.Verified = &at
	} else if verified != "" {
		shown.Fault = verified
	}
	if b.Faulty {
		shown.Fault = "the database's pages had wrong checksums when it was taken"
	}
	return shown
}

// backups lists what there is, the oldest first.
func (a *agent) backups(ctx context.Context) ([]Backup, error) {
	found, err := a.tool.Backups(ctx)
	if err != nil {
		return nil, err
	}
	list := []Backup{}
	for _, b := range found {
		list = append(list, shown(b))
	}
	return list, nil
}

// alone waits until nobody else in this container takes a backup. The lock ends with its process.
func (a *agent) alone(ctx context.Context) (release func(), err error) {
	file, err := os.OpenFile(filepath.Join(os.TempDir(), "pgbackrest-agent.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock: %w", err), file.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), file.Close())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// take makes a backup, verifies it, and notes what the database holds at a restore point after it.
func (a *agent) take(ctx context.Context, kind string) (Backup, error) {
	release, err := a.alone(ctx)
	if err != nil {
		return Backup{}, err
	}
	defer release()
	return a.takeLocked(ctx, kind)
}

func (a *agent) takeLocked(ctx context.Context, kind string) (Backup, error) {
	if _, err := a.tool.Run(ctx, "backup", "--type="+kind); err != nil {
		return Backup{}, err
	}
	return a.complete(ctx)
}

// complete verifies and marks the newest backup, as far as that was not done: an agent that was killed has left it open.
func (a *agent) complete(ctx context.Context) (Backup, error) {
	list, err := a.backups(ctx)
	if err != nil || len(list) == 0 {
		return Backup{}, err
	}
	newest := list[len(list)-1]
	if newest.Verified == nil && newest.Fault == "" {
		if err := a.verify(ctx, newest.Label); err != nil {
			return newest, err
		}
	}
	if newest.Marker == nil {
		if err := a.mark(ctx, newest.Label); err != nil {
			return newest, err
		}
	}
	if list, err = a.backups(ctx); err != nil {
		return newest, err
	}
	return list[len(list)-1], nil
}

// verify reads every file of a backup again and notes the outcome.
func (a *agent) verify(ctx context.Context, label string) error {
	outcome := time.Now().UTC().Format(time.RFC3339)
	out, err := a.tool.Run(ctx, "verify", "--set="+label, "--output=text")
	switch failed, ok := errors.AsType[*pgbackrest.Error](err); {
	case ok:
		outcome = "failed: " + failed.Said
	case err != nil:
		return err
	case strings.Contains(string(out), "status: error"):
		outcome = "failed: " + strings.Join(strings.Fields(string(out)), " ")
	}
	return a.annotate(ctx, label, annotationVerified, outcome)
}

func (a *agent) mark(ctx context.Context, label string) error {
	marker, err := content.Mark(ctx, a.settings.connect, "backup-"+label)
	if err != nil {
		return err
	}
	text, err := json.Marshal(marker)
	if err != nil {
		return err
	}
	if err := a.annotate(ctx, label, annotationMarker, string(text)); err != nil {
		return err
	}
	return a.archived(ctx, markLimit)
}

func (a *agent) annotate(ctx context.Context, label, key, value string) error {
	_, err := a.tool.Run(ctx, "annotate", "--set="+label, "--annotation="+key+"="+value)
	return err
}

// archived returns when everything written up to now is in the repository: pgBackRest has PostgreSQL begin another segment, and looks
// for the one that ended.
func (a *agent) archived(ctx context.Context, limit time.Duration) error {
	_, err := a.tool.Run(ctx, "check", fmt.Sprintf("--archive-timeout=%d", int(limit.Seconds())))
	return err
}

// How long a segment may take to be in the repository: a person, or a release, waits for a restore point.
const (
	markLimit  = time.Minute
	pointLimit = 30 * time.Second
)

// Point is a restore point. Its JSON form is what `pgbackrest-agent point` prints.
type Point struct {
	Name string    `json:"name"`
	LSN  string    `json:"lsn"`
	At   time.Time `json:"at"`
}

// point makes a restore point and returns when it is in the repository.
func (a *agent) point(ctx context.Context, name string) (Point, error) {
	p := Point{Name: name}
	conn, err := a.settings.connect(ctx)
	if err != nil {
		return p, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := conn.QueryRow(ctx, `SELECT pg_create_restore_point($1)::text, clock_timestamp()`, name).Scan(&p.LSN, &p.At); err != nil {
		return p, fmt.Errorf("make the restore point: %w", err)
	}
	return p, a.archived(ctx, pointLimit)
}

// validType reports whether pgBackRest knows backups of that type.
func validType(kind string) bool {
	return kind == schedule.Full || kind == schedule.Differential || kind == schedule.Incremental
}
