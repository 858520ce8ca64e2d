package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/postgres/bookrow"
)

// Export calls yield with every book, in the order of their IDs, as they all are at one moment: the rows of a single
// statement, which the server sends as fast as yield takes them. Neither side holds more than a few. The error of yield ends
// it and is returned as it is. It takes as long as yield does, and keeps a connection and a snapshot for that time: ctx has
// to bound it.
func (s *Store) Export(ctx context.Context, yield func(book.Book) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tx, err := s.pool.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
	if err != nil {
		return bookError("begin export", err, "")
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // there is nothing to undo
	// The limit of the serving login is made for short requests.
	if _, err := tx.Exec(ctx, `SET LOCAL statement_timeout = 0`); err != nil {
		return bookError("begin export", err, "")
	}
	rows, err := tx.Query(ctx, `SELECT `+bookrow.Columns+` FROM books ORDER BY id`)
	if err != nil {
		return bookError("export books", err, "")
	}
	defer rows.Close()
	for rows.Next() {
		b, err := bookrow.Scan(rows)
		if err != nil {
			return bookError("export books", err, "")
		}
		if err := yield(b); err != nil {
			cancel() // closing the rows would otherwise read them all to their end
			return err
		}
		// Rows that have arrived already are handed out whatever has become of the context.
		if err := ctx.Err(); err != nil {
			return bookError("export books", err, "")
		}
	}
	if err := rows.Err(); err != nil {
		return bookError("export books", err, "")
	}
	return nil
}
