// Package postgres keeps books in PostgreSQL 15 or later: the store that serves them, and the staging of imports. All SQL
// of the service is here and in the packages within, and only here are PostgreSQL's errors turned into those of
// package book.
package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/postgres/bookrow"
	"bookshelf/app/internal/postgres/database"
	"bookshelf/app/internal/postgres/schema"
)

// Options say how to connect, and who is told of what the store does.
type Options struct {
	database.Options

	// ObserveRead is called for each statement that looks books up by ID, with the number of look-ups that it answers. It
	// is called by several goroutines at once. nil: nobody wants to know.
	ObserveRead func(size int)

	// Changes is told of the changes that this store makes, and by Follow of all others. nil: nobody wants to know.
	Changes Changes
}

// Store keeps books. Its methods may be called at the same time.
type Store struct {
	opts  Options
	pool  *database.Pool
	reads *reads
}

// Open prepares a store with the login of opts. It does not wait for the server: the service may start before its
// database, and Ready tells when it is there.
func Open(ctx context.Context, opts Options) (*Store, error) {
	pool, err := database.Open(ctx, opts.Options)
	if err != nil {
		return nil, err
	}
	return &Store{opts: opts, pool: pool, reads: newReads(pool.Pool, opts.ObserveRead)}, nil
}

// Close waits for the connections in use and closes all.
func (s *Store) Close() { s.pool.Close() }

// Pool returns a snapshot of the connection pool's counters.
func (s *Store) Pool() *pgxpool.Stat { return s.pool.Stat() }

// Create stores a new book. The draft must come from book.Draft.Normalize. It returns a *book.ConflictError when another
// book has the ISBN.
func (s *Store) Create(ctx context.Context, d book.Draft) (book.Book, error) {
	return s.change(ctx, "insert book", d.ISBN, insertBook, insertArguments(d)...)
}

const insertBook = `
	INSERT INTO books (title, authors, isbn13, published_year, language, description)
	VALUES ($1, $2, nullif($3, ''), $4, nullif($5, ''), $6)` + returning

func insertArguments(d book.Draft) []any {
	return []any{d.Title, d.Authors, d.ISBN, d.PublishedYear, d.Language, d.Description}
}

// Get returns the book with the ID, or book.ErrNotFound. Its authors may be shared with the answer to another call.
func (s *Store) Get(ctx context.Context, id int64) (book.Book, error) {
	b, err := s.reads.get(ctx, id)
	if err != nil {
		return book.Book{}, bookError("select book", err, "")
	}
	return b, nil
}

// Replace overwrites every field of the book with the ID and counts its version up, if the book has a version that c
// allows. The draft must come from book.Draft.Normalize. It returns book.ErrNotFound, book.ErrStale, or a
// *book.ConflictError when another book has the ISBN.
func (s *Store) Replace(ctx context.Context, id int64, d book.Draft, c book.Condition) (book.Book, error) {
	defer s.changing(id)()
	match, none := versionLists(c)
	replaced, err := s.change(ctx, "update book", d.ISBN, replaceBook, append(updateArguments(id, d), match, none)...)
	return replaced, s.staleOrMissing(ctx, id, err)
}

// Modify replaces the book with the ID by what change makes of it, if it has a version that c allows. The book is locked
// from before change sees it until it is stored, so nothing that others do meanwhile is overwritten; change has to be quick.
// Its error ends the attempt and is returned as it is; the errors of Replace are possible too.
func (s *Store) Modify(
	ctx context.Context, id int64, c book.Condition, change func(book.Book) (book.Draft, error),
) (book.Book, error) {
	defer s.changing(id)()
	tx, err := s.beginChange(ctx)
	if err != nil {
		return book.Book{}, bookError("begin change of book", err, "")
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // after a commit there is nothing to roll back
	stored, err := one(ctx, tx, "lock book", "", selectBook+`$1 FOR UPDATE`, id)
	if err != nil {
		return book.Book{}, err
	}
	if !c.Allows(stored.Version) {
		return book.Book{}, book.ErrStale
	}
	d, err := change(stored)
	if err != nil {
		return book.Book{}, err
	}
	modified, err := one(ctx, tx, "update book", d.ISBN, updateBook+returning, updateArguments(id, d)...)
	if err != nil {
		return book.Book{}, err
	}
	if err := tx.Commit(ctx); err != nil {
		return book.Book{}, bookError("commit change of book", err, "")
	}
	return modified, nil
}

const updateBook = `
	UPDATE books
	SET title = $2, authors = $3, isbn13 = nullif($4, ''), published_year = $5, language = nullif($6, ''), description = $7,
		version = version + 1, updated_at = now()
	WHERE id = $1`

// updateArguments are those of updateBook.
func updateArguments(id int64, d book.Draft) []any { return append([]any{id}, insertArguments(d)...) }

const (
	selectBook = `SELECT ` + bookrow.Columns + ` FROM books WHERE id = ` // and which
	returning  = ` RETURNING ` + bookrow.Columns
)

// Condition and change are one statement: whoever changes the book meanwhile is waited for, and then the condition is judged
// by what that one has left.
var (
	replaceBook = updateBook + allowed("$8", "$9") + returning
	deleteBook  = `DELETE FROM books WHERE id = $1` + allowed("$2", "$3")
)

// Delete removes the book with the ID if it has a version that c allows, or returns book.ErrNotFound or book.ErrStale.
func (s *Store) Delete(ctx context.Context, id int64, c book.Condition) error {
	defer s.changing(id)()
	match, none := versionLists(c)
	err := s.write(ctx, deleteBook, []any{id, match, none}, func(results pgx.BatchResults) error {
		tag, err := results.Exec()
		if err == nil && tag.RowsAffected() == 0 {
			return pgx.ErrNoRows
		}
		return err
	})
	if err != nil {
		return s.staleOrMissing(ctx, id, bookError("delete book", err, ""))
	}
	return nil
}

// change runs a statement that changes one book and returns it.
func (s *Store) change(ctx context.Context, operation, isbn, sql string, args ...any) (book.Book, error) {
	var b book.Book
	err := s.write(ctx, sql, args, func(results pgx.BatchResults) error {
		rows, err := results.Query()
		if err == nil {
			b, err = pgx.CollectExactlyOneRow(rows, bookrow.Scan)
		}
		return err
	})
	if err != nil {
		return book.Book{}, bookError(operation, err, isbn)
	}
	return b, nil
}

// allowed is the SQL of book.Condition.Allows, for the placeholders of what versionLists returns.
func allowed(match, none string) string {
	return fmt.Sprintf(`
		AND (%[1]s::bigint[] IS NULL OR version = ANY (%[1]s)) AND version <> ALL (coalesce(%[2]s::bigint[], '{}'))`, match, none)
}

// versionLists writes a condition as two lists. A nil match allows every version, an empty one none.
func versionLists(c book.Condition) (match, none []int64) {
	if c.Match != nil && !c.Match.All {
		match = append([]int64{}, c.Match.List...)
	}
	switch {
	case c.NoneMatch == nil:
	case c.NoneMatch.All:
		match = []int64{}
	default:
		none = c.NoneMatch.List
	}
	return match, none
}

// staleOrMissing says why a conditional statement met no row. IDs are not reused, so what it sees a moment later is true of
// then as well: a book that is there now was there, and refused the condition. Other errors it passes on.
func (s *Store) staleOrMissing(ctx context.Context, id int64, err error) error {
	if !errors.Is(err, book.ErrNotFound) {
		return err
	}
	var exists bool
	if err := s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM books WHERE id = $1)`, id).Scan(&exists); err != nil {
		return bookError("select book", err, "")
	}
	if exists {
		return book.ErrStale
	}
	return book.ErrNotFound
}

// querier is the pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// one runs a statement that returns one book.
func one(ctx context.Context, on querier, operation, isbn, sql string, args ...any) (book.Book, error) {
	rows, err := on.Query(ctx, sql, args...)
	if err != nil {
		return book.Book{}, bookError(operation, err, isbn)
	}
	b, err := pgx.CollectExactlyOneRow(rows, bookrow.Scan)
	if err != nil {
		return book.Book{}, bookError(operation, err, isbn)
	}
	return b, nil
}

// Ping tells whether the server answers at all, on a connection of the pool.
func (s *Store) Ping(ctx context.Context) error { return s.pool.Ping(ctx) }

// Ready returns nil when the server answers and its schema has at least the version that this program needs. A newer one
// is fine, because migrations only expand: that is what lets a release be taken back. It returns a *schema.Error when the
// schema is older.
func (s *Store) Ready(ctx context.Context) error {
	err := schema.Check(ctx, s.pool.Pool)
	if _, older := errors.AsType[*schema.Error](err); err == nil || older {
		return err
	}
	return bookError("check readiness", err, "")
}
