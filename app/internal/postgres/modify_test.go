package postgres_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/postgres/pgtest"
)

// Everybody adds a word to the description, as patches do: read, change, store.
func TestNoModificationOverwritesAnother(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t).Store(t)
	b := mustCreate(t, s, book.Draft{Title: "Emma", Authors: []string{"Jane Austen"}})
	const writers = 12
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			_, err := s.Modify(t.Context(), b.ID, book.Condition{}, func(b book.Book) (book.Draft, error) {
				d := b.Draft()
				d.Description = strings.TrimSpace(fmt.Sprint(d.Description, " ", i))
				return d, nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got, err := s.Get(t.Context(), b.ID)
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(got.Description)
	slices.Sort(words)
	if got.Version != writers+1 || len(slices.Compact(words)) != writers {
		t.Errorf("version %d, description %q; want version %d and each of %d words", got.Version, got.Description, writers+1, writers)
	}
}

func TestAModificationThatFailsChangesNothing(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t).Store(t)
	taken := mustCreate(t, s, persuasion())
	b := mustCreate(t, s, book.Draft{Title: "Emma", Authors: []string{"Jane Austen"}})
	boom := errors.New("boom")
	change := func(d book.Draft, err error) func(book.Book) (book.Draft, error) {
		return func(book.Book) (book.Draft, error) { return d, err }
	}
	unwanted := func(book.Book) (book.Draft, error) {
		t.Error("a change that is not allowed was asked for")
		return book.Draft{}, nil
	}
	var conflict *book.ConflictError
	if _, err := s.Modify(t.Context(), b.ID, book.Condition{}, change(book.Draft{}, boom)); !errors.Is(err, boom) {
		t.Errorf("a change that fails: %v, want its error", err)
	}
	if _, err := s.Modify(t.Context(), b.ID, ofVersions(2), unwanted); !errors.Is(err, book.ErrStale) {
		t.Errorf("another version: %v, want ErrStale", err)
	}
	if _, err := s.Modify(t.Context(), 42, ofVersions(2), unwanted); !errors.Is(err, book.ErrNotFound) {
		t.Errorf("no book: %v, want ErrNotFound", err)
	}
	if _, err := s.Modify(t.Context(), b.ID, ofVersions(1), change(taken.Draft(), nil)); !errors.As(err, &conflict) {
		t.Errorf("the ISBN of another book: %v, want a ConflictError", err)
	}
	if got, err := s.Get(t.Context(), b.ID); err != nil || got.Version != 1 || got.Title != "Emma" {
		t.Errorf("the book is %+v, %v; want it unchanged", got, err)
	}
	if used := s.Pool().AcquiredConns(); used != 0 {
		t.Errorf("%d connections are still in use", used)
	}
}
