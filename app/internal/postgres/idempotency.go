package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/jackc/pgx/v5"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/idempotency"
)

const (
	// The lock lives as long as the transaction, and that as long as the connection: a process that dies leaves none
	// behind. It says "in flight" to every instance at once, without waiting.
	lockKey = `
		SELECT pg_try_advisory_xact_lock(
			hashtextextended('bookshelf idempotency key ' || $2, hashtextextended($1, 0)))`

	selectResponse = `
		SELECT fingerprint, status, header, body FROM idempotency_keys
		WHERE scope = $1 AND key = $2 AND expires_at > now()`

	// A row that is there already has expired, or selectResponse would have found it.
	insertResponse = `
		INSERT INTO idempotency_keys (scope, key, fingerprint, status, header, body, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7))
		ON CONFLICT (scope, key) DO UPDATE SET fingerprint = EXCLUDED.fingerprint, status = EXCLUDED.status,
			header = EXCLUDED.header, body = EXCLUDED.body, created_at = now(), expires_at = EXCLUDED.expires_at`

	// Instances that clean up at once share the work, and nobody waits for a key in use.
	deleteExpired = `
		DELETE FROM idempotency_keys WHERE (scope, key) IN (
			SELECT scope, key FROM idempotency_keys WHERE expires_at <= now() ORDER BY expires_at LIMIT $1
			FOR UPDATE SKIP LOCKED)`
)

// CreateOnce stores a new book as Create does, and in the same transaction what respond makes of it. When a response to the
// request is stored already, it returns that instead, with replayed true. It returns idempotency.ErrInFlight while another
// request with the key is under way anywhere, idempotency.ErrReused when the key came with another body, and the errors of
// Create, after which the key is free again.
func (s *Store) CreateOnce(
	ctx context.Context, d book.Draft, r idempotency.Request, respond func(book.Book) (idempotency.Response, error),
) (response idempotency.Response, replayed bool, err error) {
	tx, err := s.beginChange(ctx)
	if err != nil {
		return idempotency.Response{}, false, bookError("begin creation", err, "")
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // after a commit there is nothing to roll back
	response, replayed, err = storedResponse(ctx, tx, r)
	if err != nil || replayed {
		return response, replayed, err
	}
	created, err := one(ctx, tx, "insert book", d.ISBN, insertBook, insertArguments(d)...)
	if err != nil {
		return idempotency.Response{}, false, err
	}
	if response, err = respond(created); err != nil {
		return idempotency.Response{}, false, err
	}
	_, err = tx.Exec(ctx, insertResponse, r.Scope, r.Key, r.Fingerprint[:],
		response.Status, response.Header, response.Body, r.Retention.Seconds())
	if err != nil {
		return idempotency.Response{}, false, bookError("insert response", err, "")
	}
	// A connection that is lost here leaves open whether the book is stored. The client is told so, sends the request again,
	// and then finds either both or nothing.
	if err := tx.Commit(ctx); err != nil {
		return idempotency.Response{}, false, bookError("commit creation", err, "")
	}
	return response, false, nil
}

// storedResponse locks the key for the transaction and looks for the response to an earlier request.
func storedResponse(ctx context.Context, tx pgx.Tx, r idempotency.Request) (idempotency.Response, bool, error) {
	var locked bool
	if err := tx.QueryRow(ctx, lockKey, r.Scope, r.Key).Scan(&locked); err != nil {
		return idempotency.Response{}, false, bookError("lock idempotency key", err, "")
	}
	if !locked {
		return idempotency.Response{}, false, idempotency.ErrInFlight
	}
	var fingerprint []byte
	stored := idempotency.Response{Header: http.Header{}}
	// A statement of its own: its snapshot is taken when the lock is held, so it sees what the holder before has committed.
	row := tx.QueryRow(ctx, selectResponse, r.Scope, r.Key)
	err := row.Scan(&fingerprint, &stored.Status, &stored.Header, &stored.Body)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return idempotency.Response{}, false, nil
	case err != nil:
		return idempotency.Response{}, false, bookError("select response", err, "")
	case string(fingerprint) != string(r.Fingerprint[:]):
		return idempotency.Response{}, false, idempotency.ErrReused
	}
	return stored, true, nil
}

// expiredBatch bounds how many rows one statement of the clean-up locks.
const expiredBatch = 1000

// ForgetExpired removes the responses that are not given again any more, and returns how many there were.
func (s *Store) ForgetExpired(ctx context.Context) (int64, error) {
	var total int64
	for {
		tag, err := s.pool.Exec(ctx, deleteExpired, expiredBatch)
		if err != nil {
			return total, fmt.Errorf("forget expired idempotency keys: %w", err)
		}
		total += tag.RowsAffected()
		if tag.RowsAffected() < expiredBatch {
			return total, nil
		}
	}
}
