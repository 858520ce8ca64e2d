package content

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Marker is what a database held at a restore point.
type Marker struct {
	// Name is the restore point's: recovery that ends there gives this content, no transaction more and none less.
	Name string    `json:"name"`
	At   time.Time `json:"at"`
	LSN  string    `json:"lsn"`
	Content
}

// Bounds of what a marker costs those who write: each attempt keeps them waiting for lockTimeout at most, and there are this many.
const (
	lockTimeout = "300ms"
	attempts    = 60
	pause       = 2 * time.Second
)

// errMoved says that a table appeared or went between two looks.
var errMoved = errors.New("tables were made or dropped meanwhile")

// Mark makes a restore point and says what the database holds there.
//
// For a moment no table can be written to: a share lock waits for the writers that there are, and keeps out others. In that moment a
// snapshot and the restore point are taken; whatever is committed before is in both, whatever comes after in neither. Then the locks go,
// and the snapshot is read for as long as that takes. Connect opens a connection to the database; two are needed.
func Mark(ctx context.Context, connect func(context.Context) (*pgx.Conn, error), name string) (Marker, error) {
	locking, err := connect(ctx)
	if err != nil {
		return Marker{}, err
	}
	defer locking.Close(context.WithoutCancel(ctx))
	reading, err := connect(ctx)
	if err != nil {
		return Marker{}, err
	}
	defer reading.Close(context.WithoutCancel(ctx))
	for n := 1; ; n++ {
		marker, err := mark(ctx, locking, reading, name)
		if err == nil || !passes(err) || n == attempts {
			return marker, err
		}
		select {
		case <-ctx.Done():
			return Marker{}, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// passes reports whether another attempt may succeed: somebody held a table for long, or tables came and went.
func passes(err error) bool {
	problem, fromServer := errors.AsType[*pgconn.PgError](err)
	const lockNotAvailable, undefinedTable = "55P03", "42P01"
	return errors.Is(err, errMoved) || fromServer && (problem.Code == lockNotAvailable || problem.Code == undefinedTable)
}

func mark(ctx context.Context, locking, reading *pgx.Conn, name string) (Marker, error) {
	m := Marker{Name: name}
	list, err := tables(ctx, locking)
	if err != nil {
		return m, err
	}
	lock, err := locking.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		return m, fmt.Errorf("begin: %w", err)
	}
	defer lock.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // it changes nothing
	snapshot, err := freeze(ctx, lock, list, &m)
	if err != nil {
		return m, err
	}
	err = pgx.BeginTxFunc(ctx, reading, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET TRANSACTION SNAPSHOT '`+snapshot+`'`); err != nil {
			return fmt.Errorf("share the snapshot: %w", err)
		}
		if err := lock.Commit(ctx); err != nil { // the writers go on
			return fmt.Errorf("let writers go on: %w", err)
		}
		m.Content, err = read(ctx, tx)
		return err
	})
	if err == nil && len(m.Tables) != len(list) {
		err = errMoved
	}
	return m, err
}

// freeze keeps writers out of the tables until the transaction ends, and takes a snapshot and a restore point meanwhile. Locking takes no
// snapshot by itself, so what was committed while it waited is seen.
func freeze(ctx context.Context, tx pgx.Tx, list []table, m *Marker) (snapshot string, err error) {
	var names []string
	for _, t := range list {
		names = append(names, t.Name)
	}
	if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '`+lockTimeout+`'`); err != nil {
		return "", fmt.Errorf("bound the wait: %w", err)
	}
	if len(names) > 0 {
		if _, err := tx.Exec(ctx, `LOCK TABLE ONLY `+strings.Join(names, `, ONLY `)+` IN SHARE MODE`); err != nil {
			return "", fmt.Errorf("keep writers out for a moment: %w", err)
		}
	}
	err = tx.QueryRow(ctx, `SELECT pg_export_snapshot(), pg_create_restore_point($1)::text, clock_timestamp()`, m.Name).Scan(&snapshot, &m.LSN, &m.At)
	if err != nil {
		return "", fmt.Errorf("make the restore point: %w", err)
	}
	return snapshot, nil
}
