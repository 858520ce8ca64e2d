package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"bookshelf/app/internal/token"
)

const tokenNameKey = "api_tokens_name_key"

const tokenColumns = `id, name, scopes, created_at, expires_at, rotated_at, previous_until, revoked_at, last_used_at,
	secret_hash, previous_hash`

// tokenRow is a row of the table, its columns in the order of tokenColumns.
type tokenRow struct {
	ID, Name                                                   string
	Scopes                                                     []string
	CreatedAt                                                  time.Time
	ExpiresAt, RotatedAt, PreviousUntil, RevokedAt, LastUsedAt *time.Time
	SecretHash, PreviousHash                                   []byte
}

func (r tokenRow) record() token.Record {
	record := token.Record{
		Token: token.Token{
			ID: r.ID, Name: r.Name, CreatedAt: r.CreatedAt.UTC(),
			ExpiresAt: inUTC(r.ExpiresAt), RotatedAt: inUTC(r.RotatedAt), PreviousUntil: inUTC(r.PreviousUntil),
			RevokedAt: inUTC(r.RevokedAt), LastUsedAt: inUTC(r.LastUsedAt),
		},
		Hash: token.Hash(r.SecretHash), // the schema has checked the length of both
	}
	for _, s := range r.Scopes {
		record.Scopes = append(record.Scopes, token.Scope(s))
	}
	if r.PreviousHash != nil {
		record.Previous = new(token.Hash(r.PreviousHash))
	}
	return record
}

func inUTC(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	return new(t.UTC())
}

// CreateToken stores a token. The draft must have been validated. It returns a *token.NameTakenError when a token that
// is not revoked has the name.
func (s *Store) CreateToken(ctx context.Context, id string, hash token.Hash, d token.Draft) (token.Token, error) {
	record, err := s.tokenRecord(ctx, "insert token", `
		INSERT INTO api_tokens (id, name, scopes, secret_hash, expires_at) VALUES ($1, $2, $3, $4, $5)
		RETURNING `+tokenColumns, id, d.Name, d.Scopes, hash[:], d.ExpiresAt)
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.ConstraintName == tokenNameKey {
		return token.Token{}, &token.NameTakenError{Name: d.Name}
	}
	return record.Token, err
}

// Token returns the token with the identifier, revoked or not, or token.ErrUnknown.
func (s *Store) Token(ctx context.Context, id string) (token.Record, error) {
	return s.tokenRecord(ctx, "select token", `SELECT `+tokenColumns+` FROM api_tokens WHERE id = $1`, id)
}

// FindToken returns the token with the identifier or, if it is not revoked, with the name; or token.ErrUnknown.
func (s *Store) FindToken(ctx context.Context, idOrName string) (token.Token, error) {
	record, err := s.tokenRecord(ctx, "find token", `SELECT `+tokenColumns+` FROM api_tokens
		WHERE $2 || id = $1 OR (name = $1 AND revoked_at IS NULL)`, idOrName, token.Prefix)
	return record.Token, err
}

// Tokens returns every token, in the order in which they were made.
func (s *Store) Tokens(ctx context.Context) ([]token.Token, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+tokenColumns+` FROM api_tokens ORDER BY created_at, id`)
	if err != nil {
		return nil, bookError("list tokens", err, "")
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[tokenRow])
	if err != nil {
		return nil, bookError("list tokens", err, "")
	}
	tokens := make([]token.Token, len(list))
	for i, row := range list {
		tokens[i] = row.record().Token
	}
	return tokens, nil
}

// RevokeToken ends a token for good and returns it. A token that was revoked already keeps the time of that.
func (s *Store) RevokeToken(ctx context.Context, id string) (token.Token, error) {
	record, err := s.tokenRecord(ctx, "revoke token", `
		UPDATE api_tokens SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1 RETURNING `+tokenColumns, id)
	return record.Token, err
}

// RotateToken gives a token that is not revoked another secret and returns it, or token.ErrUnknown. The secret that it
// had is good for the grace, but never longer than it would have been; the one before that ends at once. The new secret
// is good until expiresAt or, when that is nil, for as long as the last one was.
func (s *Store) RotateToken(
	ctx context.Context, id string, hash token.Hash, grace time.Duration, expiresAt *time.Time,
) (token.Token, error) {
	record, err := s.tokenRecord(ctx, "rotate token", `
		UPDATE api_tokens
		SET secret_hash = $2, rotated_at = now(), previous_hash = secret_hash,
			previous_until = least(now() + $3::interval, expires_at),
			expires_at = coalesce($4, now() + (expires_at - coalesce(rotated_at, created_at)))
		WHERE id = $1 AND revoked_at IS NULL
		RETURNING `+tokenColumns, id, hash[:], grace, expiresAt)
	return record.Token, err
}

// TokensUsed stores when tokens were last used, by identifier. A row that another process is writing is passed over:
// what it writes is as good.
func (s *Store) TokensUsed(ctx context.Context, used map[string]time.Time) error {
	ids := slices.Sorted(maps.Keys(used))
	times := make([]time.Time, len(ids))
	for i, id := range ids {
		times[i] = used[id]
	}
	_, err := s.pool.Exec(ctx, `
		WITH used AS (
			SELECT t.id, u.used_at
			FROM unnest($1::text[], $2::timestamptz[]) AS u (id, used_at)
			JOIN api_tokens t ON t.id = u.id AND (t.last_used_at IS NULL OR t.last_used_at < u.used_at)
			FOR NO KEY UPDATE OF t SKIP LOCKED
		)
		UPDATE api_tokens t SET last_used_at = used.used_at FROM used WHERE used.id = t.id`, ids, times)
	if err != nil {
		return bookError("store the last uses of tokens", err, "")
	}
	return nil
}

// tokenRecord runs a statement that returns at most one token.
func (s *Store) tokenRecord(ctx context.Context, operation, sql string, args ...any) (token.Record, error) {
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return token.Record{}, bookError(operation, err, "")
	}
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[tokenRow])
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return token.Record{}, fmt.Errorf("%s: %w", operation, token.ErrUnknown)
	case err != nil:
		return token.Record{}, bookError(operation, err, "")
	}
	return row.record(), nil
}
