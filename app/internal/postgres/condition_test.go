package postgres_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/postgres/pgtest"
)

// ofVersions is a condition that one of the versions must be stored.
func ofVersions(versions ...int64) book.Condition {
	return book.Condition{Match: &book.Versions{List: versions}}
}

// The statement and the domain's rule judge every condition alike.
func TestChangesObeyTheirCondition(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t).Store(t)
	lists := []*book.Versions{nil, {All: true}, {}, {List: []int64{1}}, {List: []int64{7}}, {List: []int64{7, 1}}}
	for _, match := range lists {
		for _, none := range lists {
			c := book.Condition{Match: match, NoneMatch: none}
			name := fmt.Sprintf("match %+v, none match %+v", match, none)
			var want error
			if !c.Allows(1) {
				want = book.ErrStale
			}
			b := mustCreate(t, s, book.Draft{Title: "Emma", Authors: []string{"Jane Austen"}})
			if replaced, err := s.Replace(t.Context(), b.ID, persuasion(), c); !errors.Is(err, want) || (err == nil) != (replaced.Version == 2) {
				t.Errorf("%s: replaced with %+v, %v; want %v", name, replaced, err, want)
			}
			if err := s.Delete(t.Context(), b.ID, book.Condition{}); err != nil {
				t.Fatal(err)
			}
			b = mustCreate(t, s, book.Draft{Title: "Emma", Authors: []string{"Jane Austen"}})
			if err := s.Delete(t.Context(), b.ID, c); !errors.Is(err, want) {
				t.Errorf("%s: deleted with %v, want %v", name, err, want)
			}
			if _, err := s.Get(t.Context(), b.ID); (err == nil) != (want != nil) {
				t.Errorf("%s: afterwards the book is read with %v", name, err)
			}
		}
	}
}

// Everybody has read version 1 and wants to replace just that.
func TestOfChangesMeantForOneVersionOneIsMade(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t).Store(t)
	for range 10 {
		b := mustCreate(t, s, book.Draft{Title: "Emma", Authors: []string{"Jane Austen"}})
		var made, stale atomic.Int64
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				draft := book.Draft{Title: fmt.Sprint("Emma ", i), Authors: []string{"Jane Austen"}}
				switch _, err := s.Replace(t.Context(), b.ID, draft, ofVersions(1)); {
				case err == nil:
					made.Add(1)
				case errors.Is(err, book.ErrStale):
					stale.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if made.Load() != 1 || stale.Load() != 7 {
			t.Errorf("%d changes were made and %d refused, want 1 and 7", made.Load(), stale.Load())
		}
		if got, err := s.Get(t.Context(), b.ID); err != nil || got.Version != 2 {
			t.Errorf("the book is %+v, %v; want version 2", got, err)
		}
	}
}
