package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/postgres"
	"bookshelf/app/internal/postgres/pgtest"
)

// statements collects the sizes of the statements that a store sends to look books up.
type statements struct {
	mu    sync.Mutex
	sizes []int
}

func (s *statements) add(size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sizes = append(s.sizes, size)
}

// take returns what came since the last call, and their sum.
func (s *statements) take() (sizes []int, sum int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sizes, s.sizes = s.sizes, nil
	for _, size := range sizes {
		sum += size
	}
	return sizes, sum
}

// shelf is a store with books whose look-ups can be held up, so that others have to wait.
type shelf struct {
	*postgres.Store

	database *pgtest.Database
	seen     statements
	books    []book.Book
}

func newShelf(t *testing.T, books int) *shelf {
	t.Helper()
	s := &shelf{database: pgtest.New(t)}
	opts := postgres.Options{Options: s.database.App}
	opts.ObserveRead = s.seen.add
	store, err := postgres.Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	s.Store = store
	for i := range books {
		s.books = append(s.books, mustCreate(t, store, book.Draft{
			Title: fmt.Sprintf("Volume %d", i+1), Authors: []string{"Various", fmt.Sprintf("Editor %d", i+1)},
		}))
	}
	return s
}

// hold makes every statement on the table wait until the function that it returns is called.
func (s *shelf) hold(t *testing.T) (release func()) {
	t.Helper()
	conn := s.database.Conn(t, s.database.Owner)
	if _, err := conn.Exec(t.Context(), `BEGIN; LOCK TABLE books IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := conn.Exec(context.WithoutCancel(t.Context()), `ROLLBACK`); err != nil {
			t.Error(err)
		}
	}
}

// answer is what a look-up returned.
type answer struct {
	book book.Book
	err  error
}

// ask looks a book up on a goroutine of its own.
func (s *shelf) ask(ctx context.Context, id int64) <-chan answer {
	c := make(chan answer, 1)
	go func() {
		b, err := s.Get(ctx, id)
		c <- answer{b, err}
	}()
	return c
}

// occupy takes every place with look-ups of the first book, and returns their answers to come.
func (s *shelf) occupy(t *testing.T) []<-chan answer {
	t.Helper()
	var asked []<-chan answer
	for range s.Places() {
		asked = append(asked, s.ask(t.Context(), s.books[0].ID))
	}
	eventually(t, "every place is taken", func() bool { taken, _ := s.Reads(); return taken == s.Places() })
	return asked
}

// askAll looks all books up, and returns their answers to come when each of them waits.
func (s *shelf) askAll(t *testing.T) []<-chan answer {
	t.Helper()
	var asked []<-chan answer
	for _, b := range s.books {
		asked = append(asked, s.ask(t.Context(), b.ID))
	}
	eventually(t, "all wait", func() bool { _, n := s.Reads(); return n == len(s.books) })
	return asked
}

// eventually waits for a condition; only a failing test waits long.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	late := time.After(30 * time.Second)
	for !holds() {
		select {
		case <-ticker.C:
		case <-late:
			t.Fatalf("it is not so that %s", what)
		}
	}
}

func TestLookUpsThatWaitShareOneStatement(t *testing.T) {
	t.Parallel()
	s := newShelf(t, 20)
	release := s.hold(t)
	first := s.occupy(t)
	waiting := s.askAll(t)
	twice := s.ask(t.Context(), s.books[3].ID)
	missing := s.ask(t.Context(), 1<<40)
	eventually(t, "all others wait", func() bool { _, n := s.Reads(); return n == len(s.books)+2 })
	release()

	for i, c := range waiting {
		got := <-c
		if got.err != nil {
			t.Fatal(got.err)
		}
		if diff := cmp.Diff(s.books[i], got.book); diff != "" {
			t.Errorf("book %d (-created +got):\n%s", i, diff)
		}
	}
	if got := <-twice; got.err != nil || got.book.ID != s.books[3].ID {
		t.Errorf("the book that two asked for: %v, %v", got.book.ID, got.err)
	}
	if got := <-missing; !errors.Is(got.err, book.ErrNotFound) {
		t.Errorf("a book that does not exist: %v, want ErrNotFound", got.err)
	}
	for _, c := range first {
		if got := <-c; got.err != nil {
			t.Error(got.err)
		}
	}
	sizes, sum := s.seen.take()
	want := append(slices.Repeat([]int{1}, s.Places()), len(s.books)+2)
	if diff := cmp.Diff(want, sizes); diff != "" {
		t.Errorf("sizes of the statements, %d look-ups in all (-want +got):\n%s", sum, diff)
	}
}

func TestALookUpOnAnIdleStoreGoesAlone(t *testing.T) {
	t.Parallel()
	s := newShelf(t, 3)
	for range 5 {
		for _, b := range s.books {
			if _, err := s.Get(t.Context(), b.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	sizes, _ := s.seen.take()
	if diff := cmp.Diff(slices.Repeat([]int{1}, 15), sizes); diff != "" {
		t.Errorf("sizes of the statements (-want +got):\n%s", diff)
	}
}

func TestWhoLeavesABatchHarmsNobodyInIt(t *testing.T) {
	t.Parallel()
	s := newShelf(t, 3)
	release := s.hold(t)
	occupied := s.occupy(t)
	leaves, leave := context.WithCancel(t.Context())
	gone := s.ask(leaves, s.books[1].ID)
	stays := s.ask(t.Context(), s.books[2].ID)
	eventually(t, "both wait", func() bool { _, n := s.Reads(); return n == 2 })
	leave()
	// Its answer comes while the table is still locked: it waits for nothing any more.
	if got := <-gone; !errors.Is(got.err, context.Canceled) {
		t.Errorf("who left got %v, want that it was cancelled", got.err)
	}
	release()
	for _, c := range append(occupied, stays) {
		if got := <-c; got.err != nil {
			t.Errorf("who stayed got %v", got.err)
		}
	}
}

func TestWhoIsOutOfTimeInARunningBatchLeavesItsNeighbourTheAnswer(t *testing.T) {
	t.Parallel()
	s := newShelf(t, 3)
	release := s.hold(t)
	occupied := s.occupy(t)
	short, cancel := context.WithCancel(t.Context())
	gone := s.ask(short, s.books[1].ID)
	stays := s.ask(t.Context(), s.books[2].ID)
	eventually(t, "both wait", func() bool { _, n := s.Reads(); return n == 2 })
	release()
	for _, c := range occupied {
		if got := <-c; got.err != nil {
			t.Fatal(got.err)
		}
	}
	cancel() // before, while or after the batch runs: none of them may matter to the other
	if got := <-gone; got.err != nil && !errors.Is(got.err, context.Canceled) {
		t.Errorf("who left got %v", got.err)
	}
	if got := <-stays; got.err != nil || got.book.ID != s.books[2].ID {
		t.Errorf("who stayed got %v, %v", got.book.ID, got.err)
	}
}

// A row that cannot be read stands for whatever makes PostgreSQL refuse a statement because of one of its look-ups.
func TestARowThatCannotBeReadFailsAloneInItsBatch(t *testing.T) {
	t.Parallel()
	s := newShelf(t, 5)
	poison := s.books[2].ID
	owner := s.database.Conn(t, s.database.Owner)
	_, err := owner.Exec(t.Context(), fmt.Sprintf(`
		ALTER TABLE books RENAME TO stored;
		CREATE VIEW books AS SELECT id, title, authors, isbn13, published_year, language, description,
			version / CASE WHEN id = %d THEN 0 ELSE 1 END AS version, created_at, updated_at FROM stored;
		GRANT SELECT ON books TO PUBLIC`, poison))
	if err != nil {
		t.Fatal(err)
	}
	release := s.hold(t)
	occupied := s.occupy(t)
	asked := s.askAll(t)
	release()
	for i, c := range asked {
		got := <-c
		switch {
		case s.books[i].ID == poison && (got.err == nil || errors.Is(got.err, book.ErrUnavailable)):
			t.Errorf("the row that cannot be read: %v, want an error that is no one's who may try again", got.err)
		case s.books[i].ID != poison && got.err != nil:
			t.Errorf("book %d: %v", i, got.err)
		}
	}
	for _, c := range occupied {
		<-c
	}
}

func TestAServerThatGoesAwayIsUnavailableToAllOfABatch(t *testing.T) {
	t.Parallel()
	s := newShelf(t, 5)
	release := s.hold(t)
	occupied := s.occupy(t)
	asked := s.askAll(t)
	// As at a shutdown: connections are ended, and no new one is taken.
	super := s.database.Conn(t, s.database.Superuser)
	maintenance := s.database.Superuser
	maintenance.Name = "postgres"
	admin := s.database.Conn(t, maintenance)
	if _, err := admin.Exec(t.Context(), `ALTER DATABASE `+s.database.App.Name+` ALLOW_CONNECTIONS false`); err != nil {
		t.Fatal(err)
	}
	if _, err := super.Exec(t.Context(), `
		SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1 AND datname = current_database()`,
		s.database.App.User); err != nil {
		t.Fatal(err)
	}
	for i, c := range append(occupied, asked...) {
		if got := <-c; !errors.Is(got.err, book.ErrUnavailable) {
			t.Errorf("look-up %d: %v, want ErrUnavailable", i, got.err)
		}
	}
	release()
	if _, err := admin.Exec(t.Context(), `ALTER DATABASE `+s.database.App.Name+` ALLOW_CONNECTIONS true`); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), s.books[0].ID); err != nil {
		t.Errorf("after the server is back: %v", err)
	}
	eventually(t, "no place is taken when nobody asks", func() bool {
		taken, waiting := s.Reads()
		return taken == 0 && waiting == 0
	})
}

// Each reader knows the least version that it may see: the one it has seen stored before it asked.
func TestLookUpsAndChangesAtTheSameTimeShowNothingOlderThanTheirBeginning(t *testing.T) {
	t.Parallel()
	s := newShelf(t, 4)
	var mu sync.Mutex
	stored := map[int64]int64{}
	atLeast := func(id int64) int64 {
		mu.Lock()
		defer mu.Unlock()
		return stored[id]
	}
	var writers, readers sync.WaitGroup
	ended := make(chan struct{})
	for _, b := range s.books {
		writers.Go(func() {
			for range 50 {
				changed, err := s.Replace(t.Context(), b.ID, book.Draft{Title: b.Title, Authors: b.Authors}, book.Condition{})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				stored[b.ID] = changed.Version
				mu.Unlock()
			}
		})
	}
	for i := range 32 {
		readers.Go(func() {
			for n := i; ; n++ {
				select {
				case <-ended:
					return
				default:
				}
				ctx, cancel := context.WithCancel(t.Context())
				if n%7 == 0 {
					time.AfterFunc(time.Duration(n%5)*100*time.Microsecond, cancel)
				}
				id := s.books[n%len(s.books)].ID
				want := atLeast(id)
				got, err := s.Get(ctx, id)
				cancel()
				switch {
				case err != nil && n%7 != 0:
					t.Error(err)
				case err == nil && (got.ID != id || got.Version < want):
					t.Errorf("book %d of version %d, asked for %d of version %d or later", got.ID, got.Version, id, want)
				}
			}
		})
	}
	writers.Wait()
	close(ended)
	readers.Wait()
	sizes, sum := s.seen.take()
	if len(sizes) == sum {
		t.Errorf("%d look-ups of 32 readers, and no two shared a statement", sum)
	}
}
