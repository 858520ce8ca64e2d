package postgres_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/postgres/pgtest"
)

func TestAnExportIsOneMomentOfTheCatalogue(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	s := d.Store(t)
	// More than the buffers between server and client hold, so that the statement is under way for all of the test.
	exec(t, d, d.Owner, `INSERT INTO books (title, authors, description)
		SELECT 'Volume ' || i, '{A}', repeat('x', 9000) FROM generate_series(1, 3000) AS i`)
	var got []book.Book
	err := s.Export(t.Context(), func(b book.Book) error {
		if len(got) == 0 {
			exec(t, d, d.App, `UPDATE books SET title = 'changed', version = 2`)
			exec(t, d, d.App, `DELETE FROM books WHERE id > 2000`)
			exec(t, d, d.App, `INSERT INTO books (title, authors) VALUES ('new', '{A}')`)
		}
		b.Description = ""
		got = append(got, b)
		return nil
	})
	if err != nil || len(got) != 3000 {
		t.Fatalf("%d books, %v; want the 3000 of the beginning", len(got), err)
	}
	for i, b := range got {
		if b.ID != int64(i+1) || b.Version != 1 {
			t.Fatalf("book %d is %d in version %d, want all in the order of their IDs as they were", i, b.ID, b.Version)
		}
	}
}

func TestAnExportThatIsGivenUpLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	s := d.Store(t)
	exec(t, d, d.Owner, `INSERT INTO books (title, authors) SELECT 'Volume ' || i, '{A}' FROM generate_series(1, 5000) AS i`)
	boom := errors.New("boom")
	if err := s.Export(t.Context(), func(book.Book) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("when nobody takes the books: %v, want that error", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := s.Export(ctx, func(book.Book) error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("when it is cancelled: %v", err)
	}
	// The pool takes a moment to see that a connection was given up.
	for deadline := time.Now().Add(20 * time.Second); s.Pool().AcquiredConns() > 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are still in use", s.Pool().AcquiredConns())
		}
	}
	if err := s.Export(t.Context(), func(book.Book) error { return nil }); err != nil {
		t.Errorf("the next export: %v", err)
	}
}
