package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/idempotency"
	"bookshelf/app/internal/postgres"
	"bookshelf/app/internal/postgres/pgtest"
)

// keyed is a request of one client with a body.
func keyed(scope, key, body string) idempotency.Request {
	return idempotency.Request{Scope: scope, Key: key, Fingerprint: idempotency.Fingerprint([]byte(body)), Retention: time.Hour}
}

// respond answers with what the store made.
func respond(b book.Book) (idempotency.Response, error) {
	return idempotency.Response{
		Status: 201, Header: http.Header{"Location": {fmt.Sprint("/", b.ID)}, "X-Two": {"a", "b"}}, Body: []byte(b.Title + "\x00\xff"),
	}, nil
}

// count returns how many books there are.
func count(t *testing.T, s *postgres.Store) int {
	t.Helper()
	books, next, err := s.List(t.Context(), book.Query{Limit: book.MaxPageLimit})
	if err != nil || next != nil {
		t.Fatalf("list: more than a page: %t, %v", next != nil, err)
	}
	return len(books)
}

func TestARepeatedRequestGetsTheFirstResponse(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	s := d.Store(t)
	first, replayed, err := s.CreateOnce(t.Context(), persuasion(), keyed("", "k", "body"), respond)
	if err != nil || replayed {
		t.Fatalf("the first request: replayed %t, %v", replayed, err)
	}
	unwanted := func(book.Book) (idempotency.Response, error) {
		t.Error("a second response was made")
		return idempotency.Response{}, nil
	}
	for _, instance := range []*postgres.Store{s, d.Store(t)} {
		again, replayed, err := instance.CreateOnce(t.Context(), persuasion(), keyed("", "k", "body"), unwanted)
		if err != nil || !replayed {
			t.Errorf("the second request: replayed %t, %v", replayed, err)
		}
		if diff := cmp.Diff(first, again); diff != "" {
			t.Errorf("(-first +again):\n%s", diff)
		}
	}
	if _, _, err := s.CreateOnce(t.Context(), persuasion(), keyed("", "k", "another"), unwanted); !errors.Is(err, idempotency.ErrReused) {
		t.Errorf("another body: %v, want ErrReused", err)
	}
	if n := count(t, s); n != 1 {
		t.Errorf("there are %d books, want one", n)
	}
}

func TestKeysOfTwoCallersAreDifferentKeys(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t).Store(t)
	emma := book.Draft{Title: "Emma", Authors: []string{"Jane Austen"}}
	for _, r := range []idempotency.Request{keyed("", "k", "a"), keyed("ann", "k", "b"), keyed("bob", "k", "c"), keyed("an", "nk", "d")} {
		if _, replayed, err := s.CreateOnce(t.Context(), emma, r, respond); err != nil || replayed {
			t.Errorf("%s of %q: replayed %t, %v", r.Key, r.Scope, replayed, err)
		}
	}
	if n := count(t, s); n != 4 {
		t.Errorf("there are %d books, want 4", n)
	}
}

// Many send the same at once, through two instances. Those that come too early are told so and come again.
func TestOfTheSameRequestAtOnceOneCreatesTheBook(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	stores := []*postgres.Store{d.Store(t), d.Store(t)}
	emma := book.Draft{Title: "Emma", Authors: []string{"Jane Austen"}}
	var created, replays, early atomic.Int64
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			for {
				_, replayed, err := stores[i%2].CreateOnce(t.Context(), emma, keyed("", "k", "body"), respond)
				switch {
				case errors.Is(err, idempotency.ErrInFlight):
					early.Add(1)
					continue
				case err != nil:
					t.Error(err)
				case replayed:
					replays.Add(1)
				default:
					created.Add(1)
				}
				return
			}
		})
	}
	wg.Wait()
	if created.Load() != 1 || replays.Load() != 11 || count(t, stores[0]) != 1 {
		t.Errorf("%d created, %d replayed, %d books; want 1, 11 and 1", created.Load(), replays.Load(), count(t, stores[0]))
	}
	t.Logf("%d came while the first was under way", early.Load())
}

func TestARequestUnderWayIsSeenByOtherInstances(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	s, other := d.Store(t), d.Store(t)
	emma := book.Draft{Title: "Emma", Authors: []string{"Jane Austen"}}
	_, _, err := s.CreateOnce(t.Context(), emma, keyed("", "k", "body"), func(b book.Book) (idempotency.Response, error) {
		if _, _, err := other.CreateOnce(t.Context(), emma, keyed("", "k", "body"), respond); !errors.Is(err, idempotency.ErrInFlight) {
			t.Errorf("the same key: %v, want ErrInFlight", err)
		}
		if _, _, err := other.CreateOnce(t.Context(), emma, keyed("", "l", "body"), respond); err != nil {
			t.Errorf("another key: %v", err)
		}
		return respond(b)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestARequestThatFailsLeavesItsKeyFree(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	s := d.Store(t)
	taken := mustCreate(t, s, persuasion())
	boom := errors.New("boom")
	var conflict *book.ConflictError
	if _, _, err := s.CreateOnce(t.Context(), persuasion(), keyed("", "k", "a"), respond); !errors.As(err, &conflict) {
		t.Errorf("a taken ISBN: %v, want a ConflictError", err)
	}
	if err := s.Delete(t.Context(), taken.ID, book.Condition{}); err != nil {
		t.Fatal(err)
	}
	failing := func(book.Book) (idempotency.Response, error) { return idempotency.Response{}, boom }
	if _, _, err := s.CreateOnce(t.Context(), persuasion(), keyed("", "k", "b"), failing); !errors.Is(err, boom) {
		t.Errorf("a response that cannot be made: %v, want its error", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, _, err := s.CreateOnce(ctx, persuasion(), keyed("", "k", "c"), func(b book.Book) (idempotency.Response, error) {
		cancel()
		return respond(b)
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a client that left: %v, want a cancellation", err)
	}
	if n := count(t, s); n != 0 {
		t.Errorf("there are %d books, want none", n)
	}
	if _, replayed, err := s.CreateOnce(t.Context(), persuasion(), keyed("", "k", "d"), respond); err != nil || replayed {
		t.Errorf("once more: replayed %t, %v; want the book", replayed, err)
	}
}

func TestKeysAreForgottenWhenTheirTimeIsOver(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	s := d.Store(t)
	emma := book.Draft{Title: "Emma", Authors: []string{"Jane Austen"}}
	for _, key := range []string{"old", "older", "fresh"} {
		if _, _, err := s.CreateOnce(t.Context(), emma, keyed("", key, "body"), respond); err != nil {
			t.Fatal(err)
		}
	}
	exec(t, d, d.Owner, `UPDATE idempotency_keys SET expires_at = now() - interval '1 second' WHERE key <> 'fresh'`)
	if _, replayed, err := s.CreateOnce(t.Context(), emma, keyed("", "old", "another"), respond); err != nil || replayed {
		t.Errorf("an expired key: replayed %t, %v; want a new book", replayed, err)
	}
	if _, replayed, err := s.CreateOnce(t.Context(), emma, keyed("", "old", "another"), respond); err != nil || !replayed {
		t.Errorf("the same key again: replayed %t, %v; want the new response", replayed, err)
	}
	if n, err := s.ForgetExpired(t.Context()); err != nil || n != 1 {
		t.Errorf("forgot %d keys, %v; want the one that is expired", n, err)
	}
	if _, replayed, err := s.CreateOnce(t.Context(), emma, keyed("", "fresh", "body"), respond); err != nil || !replayed {
		t.Errorf("a fresh key: replayed %t, %v; want it kept", replayed, err)
	}
	exec(t, d, d.Owner, `INSERT INTO idempotency_keys (key, fingerprint, status, header, body, expires_at)
		SELECT 'k' || i, sha256('x'), 201, '{}', '', now() FROM generate_series(1, 2500) AS i`)
	if n, err := s.ForgetExpired(t.Context()); err != nil || n != 2500 {
		t.Errorf("forgot %d keys, %v; want all 2500", n, err)
	}
}
