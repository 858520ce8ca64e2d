package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"bookshelf/app/internal/book"
)

// Import is one transaction that brings many books in: rows are staged in a temporary table and merged into the catalogue
// at the end. Until Commit nothing of it can be seen, and whatever ends the process or the connection undoes all of it.
// Rollback must be called in the end, and an Import is not for concurrent use.
type Import struct {
	store *Store
	conn  *pgxpool.Conn
	tx    pgx.Tx
}

// ImportRow is a book to bring in. Line tells rows apart and orders them; the draft must come from book.Draft.Normalize.
type ImportRow struct {
	Line  int64
	Draft book.Draft
}

// OnConflict says what becomes of a row whose book is in the catalogue already.
type OnConflict string

// Skip leaves the stored book alone. Update overwrites it with what the row knows; a field that is empty in the row keeps
// its stored value. Fail merges nothing at all.
const (
	Skip   OnConflict = "skip"
	Update OnConflict = "update"
	Fail   OnConflict = "fail"
)

// Duplicate is a row that was not merged because its book is there already: two books are the same when their ISBN is, or
// without an ISBN, when title, authors and year are.
type Duplicate struct {
	Line      int64
	BookID    int64  // the stored book; 0 when the row repeats an earlier one
	FirstLine int64  // the earlier row; 0 when the book is stored
	ISBN13    string // "" when the books have none
}

// MergeResult counts rows.
type MergeResult struct {
	Inserted   int64
	Updated    int64
	Unchanged  int64 // with Update: the stored book has all of the row's values already
	Duplicates int64
}

// BeginImport starts an import on a connection of its own.
func (s *Store) BeginImport(ctx context.Context) (*Import, error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, bookError("begin import", err, "")
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		conn.Release()
		return nil, bookError("begin import", err, "")
	}
	i := &Import{store: s, conn: conn, tx: tx}
	// The limits of the serving login are made for short requests; an import takes as long as its input.
	_, err = tx.Exec(ctx, `
		SET LOCAL statement_timeout = 0;
		SET LOCAL idle_in_transaction_session_timeout = 0;
		CREATE TEMPORARY TABLE staged_books (
			line bigint NOT NULL, title text NOT NULL, authors text[] NOT NULL, isbn13 text, published_year smallint,
			language text, description text NOT NULL,
			first_line bigint, -- the earlier row that is the same book
			book_id    bigint  -- the stored book that is the same
		) ON COMMIT DROP`)
	if err == nil {
		actor := book.ActorFrom(ctx, "command:import")
		_, err = tx.Exec(ctx, setActor, actor.Name, actor.TokenID)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("begin import: %w", err), i.Rollback(ctx))
	}
	return i, nil
}

// Stage copies rows into the staging table.
func (i *Import) Stage(ctx context.Context, rows []ImportRow) error {
	_, err := i.tx.CopyFrom(ctx, pgx.Identifier{"staged_books"},
		[]string{"line", "title", "authors", "isbn13", "published_year", "language", "description"},
		pgx.CopyFromSlice(len(rows), func(n int) ([]any, error) {
			d := rows[n].Draft
			return []any{
				rows[n].Line, d.Title, d.Authors, book.OrNil(d.ISBN), d.PublishedYear, book.OrNil(d.Language), d.Description,
			}, nil
		}))
	if err != nil {
		return bookError("stage rows", err, "")
	}
	return nil
}

// The statements of a merge, in the order in which they run.
const (
	// Two imports at once could each find a book without an ISBN missing and both add it, or lock the same books in
	// different orders. Reading and staging go on in parallel; only merges wait for each other.
	oneMergeAtATime = `SELECT pg_advisory_xact_lock(hashtextextended('bookshelf import', 0))`

	markRepeats = `
		UPDATE staged_books s SET first_line = same.first_line
		FROM (
			SELECT line, min(line) OVER (
				PARTITION BY isbn13, CASE WHEN isbn13 IS NULL THEN title END, CASE WHEN isbn13 IS NULL THEN authors END,
					CASE WHEN isbn13 IS NULL THEN published_year END) AS first_line
			FROM staged_books
		) same
		WHERE same.line = s.line AND same.first_line < s.line`

	// Rows of this very transaction are not "stored already": the statement runs again after the insertion, for books that
	// a client added in between.
	matchISBN = `
		UPDATE staged_books s SET book_id = b.id
		FROM books b
		WHERE s.first_line IS NULL AND s.book_id IS NULL AND b.isbn13 = s.isbn13 AND b.xmin <> pg_current_xact_id()::xid`

	// Several stored books can be the same without an ISBN; the oldest stands for them. A join of the two tables, because a
	// subquery for each row may be planned as a walk along the IDs, which takes the square of the rows.
	matchWithoutISBN = `
		UPDATE staged_books s SET book_id = oldest.id
		FROM (
			SELECT s.line, min(b.id) AS id
			FROM staged_books s
			JOIN books b ON b.title = s.title AND b.authors = s.authors
				AND coalesce(b.published_year, 32767) = coalesce(s.published_year, 32767)
			WHERE s.first_line IS NULL AND s.isbn13 IS NULL AND b.isbn13 IS NULL
			GROUP BY s.line
		) oldest
		WHERE oldest.line = s.line`

	insertRest = `
		INSERT INTO books (title, authors, isbn13, published_year, language, description)
		SELECT title, authors, isbn13, published_year, language, description
		FROM staged_books WHERE first_line IS NULL AND book_id IS NULL
		ORDER BY line
		ON CONFLICT (isbn13) DO NOTHING`

	updateMatches = `
		UPDATE books b
		SET title = s.title, authors = s.authors, published_year = coalesce(s.published_year, b.published_year),
			language = coalesce(s.language, b.language), description = coalesce(nullif(s.description, ''), b.description),
			version = b.version + 1, updated_at = now()
		FROM staged_books s
		WHERE s.book_id = b.id AND (s.title, s.authors, coalesce(s.published_year, b.published_year),
				coalesce(s.language, b.language), coalesce(nullif(s.description, ''), b.description))
			IS DISTINCT FROM (b.title, b.authors, b.published_year, b.language, b.description)`

	countMatches = `SELECT count(book_id) FROM staged_books`

	selectDuplicates = `
		SELECT line, coalesce(book_id, 0), coalesce(first_line, 0), coalesce(isbn13, '')
		FROM staged_books WHERE first_line IS NOT NULL OR (book_id IS NOT NULL AND $1)
		ORDER BY line`
)

// Merge moves the staged rows into the catalogue and calls duplicate for each row that it leaves out, in the order of
// lines. Of rows that are the same book the first counts, whatever onConflict says. With Fail and any duplicate, nothing
// is merged: the caller sees it by the count and rolls back.
func (i *Import) Merge(ctx context.Context, onConflict OnConflict, duplicate func(Duplicate) error) (MergeResult, error) {
	var result MergeResult
	for _, sql := range []string{oneMergeAtATime, "ANALYZE staged_books", markRepeats, matchISBN, matchWithoutISBN} {
		if _, err := i.tx.Exec(ctx, sql); err != nil {
			return result, bookError("merge", err, "")
		}
	}
	if onConflict == Fail {
		if err := i.duplicates(ctx, true, &result, duplicate); err != nil || result.Duplicates > 0 {
			return result, err
		}
	}
	inserted, err := i.tx.Exec(ctx, insertRest)
	if err != nil {
		return result, bookError("merge: insert books", err, "")
	}
	result.Inserted = inserted.RowsAffected()
	if _, err := i.tx.Exec(ctx, matchISBN); err != nil {
		return result, bookError("merge", err, "")
	}
	if onConflict == Update {
		if err := i.update(ctx, &result); err != nil {
			return result, err
		}
	}
	return result, i.duplicates(ctx, onConflict != Update, &result, duplicate)
}

func (i *Import) update(ctx context.Context, result *MergeResult) error {
	var matches int64
	if err := i.tx.QueryRow(ctx, countMatches).Scan(&matches); err != nil {
		return bookError("merge", err, "")
	}
	updated, err := i.tx.Exec(ctx, updateMatches)
	if err != nil {
		return bookError("merge: update books", err, "")
	}
	result.Updated = updated.RowsAffected()
	result.Unchanged = matches - result.Updated
	return nil
}

// duplicates counts and reports the rows that repeat an earlier one, and with stored also those whose book is stored.
func (i *Import) duplicates(ctx context.Context, stored bool, result *MergeResult, report func(Duplicate) error) error {
	rows, err := i.tx.Query(ctx, selectDuplicates, stored)
	if err != nil {
		return bookError("merge: select duplicates", err, "")
	}
	var d Duplicate
	_, err = pgx.ForEachRow(rows, []any{&d.Line, &d.BookID, &d.FirstLine, &d.ISBN13}, func() error {
		result.Duplicates++
		return report(d)
	})
	if err != nil {
		return bookError("merge: select duplicates", err, "")
	}
	return nil
}

// Commit makes the import visible, all at once.
func (i *Import) Commit(ctx context.Context) error {
	defer i.conn.Release()
	defer i.store.changingAll()()
	if err := i.tx.Commit(ctx); err != nil {
		return bookError("commit import", err, "")
	}
	return nil
}

// Rollback undoes everything, also when ctx has ended; after Commit it does nothing. When the connection is gone, the server
// has rolled back already.
func (i *Import) Rollback(ctx context.Context) error {
	defer i.conn.Release()
	err := i.tx.Rollback(context.WithoutCancel(ctx))
	if err != nil && !errors.Is(err, pgx.ErrTxClosed) && !i.tx.Conn().IsClosed() {
		return fmt.Errorf("roll back import: %w", err)
	}
	return nil
}
