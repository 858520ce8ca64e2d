package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"bookshelf/app/internal/book"
)

// setActor says for the rest of a transaction who changes books. The triggers that record it are in the migrations.
const setActor = `SELECT set_config('bookshelf.actor', $1, true), set_config('bookshelf.token_id', $2, true)`

// write runs a statement that changes books in the name of the actor in ctx. Both statements travel together, in the
// one transaction that a batch is; nothing of the name stays with the connection. read takes the result.
func (s *Store) write(ctx context.Context, sql string, args []any, read func(pgx.BatchResults) error) (err error) {
	actor := book.ActorFrom(ctx, book.Anonymous)
	var batch pgx.Batch
	batch.Queue(setActor, actor.Name, actor.TokenID)
	batch.Queue(sql, args...)
	results := s.pool.SendBatch(ctx, &batch)
	// The transaction ends with the batch, so an error of that is one of the statement.
	defer func() {
		if closeErr := results.Close(); err == nil {
			err = closeErr
		}
	}()
	if _, err := results.Exec(); err != nil {
		return err
	}
	return read(results)
}

// beginChange starts a transaction in which the actor in ctx changes books.
func (s *Store) beginChange(ctx context.Context) (pgx.Tx, error) {
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		return nil, err
	}
	actor := book.ActorFrom(ctx, book.Anonymous)
	if _, err := tx.Exec(ctx, setActor, actor.Name, actor.TokenID); err != nil {
		return nil, errors.Join(err, tx.Rollback(context.WithoutCancel(ctx)))
	}
	return tx, nil
}

// eventRow is a row of the table, without the book's ID.
type eventRow struct {
	ID            int64
	Action        string
	At            time.Time
	Actor         string
	TokenID       *string
	Version       int64
	Before, After []byte
}

// History returns at most limit changes of a book, the newest first: those older than the event before, or the last
// when that is 0. more tells whether there are older ones. A book that was deleted keeps its history; one without any
// is book.ErrNotFound unless it is stored, which it is when it was last changed before changes were recorded.
func (s *Store) History(ctx context.Context, id, before int64, limit int) (events []book.Event, more bool, err error) {
	rows, err := s.pool.Query(ctx, `
		SELECT id, action, at, actor, token_id, version, before, after FROM book_events
		WHERE book_id = $1 AND ($2 = 0 OR id < $2) ORDER BY id DESC LIMIT $3`, id, before, limit+1)
	if err != nil {
		return nil, false, bookError("select history", err, "")
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[eventRow])
	if err != nil {
		return nil, false, bookError("select history", err, "")
	}
	if len(found) == 0 && before == 0 {
		if _, err := s.Get(ctx, id); err != nil {
			return nil, false, err
		}
	}
	if more = len(found) > limit; more {
		found = found[:limit]
	}
	for _, row := range found {
		events = append(events, book.Event{
			ID: row.ID, Action: row.Action, At: row.At.UTC(), Actor: row.Actor, TokenID: orEmpty(row.TokenID),
			Version: row.Version, Before: json.RawMessage(row.Before), After: json.RawMessage(row.After),
		})
	}
	return events, more, nil
}

// orEmpty reads a NULL as "".
func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
