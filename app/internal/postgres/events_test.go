package postgres_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/idempotency"
	"bookshelf/app/internal/postgres"
	"bookshelf/app/internal/postgres/pgtest"
)

// happened writes a book's history, the newest first, as one line for each event.
func happened(t *testing.T, s *postgres.Store, id int64) []string {
	t.Helper()
	events, more, err := s.History(t.Context(), id, 0, book.MaxHistoryLimit)
	if err != nil || more {
		t.Fatalf("history of book %d: more %v, %v", id, more, err)
	}
	var lines []string
	for _, e := range events {
		lines = append(lines, fmt.Sprintf("%s %d by %s %s: %s -> %s", e.Action, e.Version, e.Actor, e.TokenID,
			compact(t, e.Before), compact(t, e.After)))
	}
	return lines
}

// compact writes JSON with its members in order.
func compact(t *testing.T, raw json.RawMessage) string {
	t.Helper()
	if raw == nil {
		return "nil"
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestEveryChangeIsRecordedWithWhoMadeIt(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	s := d.Store(t)
	as := func(name string) *actor { return &actor{t: t, s: s, name: name} }
	b := as("ada").create(book.Draft{Title: "Emma", Authors: []string{"Austen"}, PublishedYear: new(1815)})
	other := as("ada").create(book.Draft{Title: "Other", Authors: []string{"X"}})
	as(
		"bob",
	).replace(b.ID, book.Draft{Title: "Emma", Authors: []string{"Jane Austen"}, Language: "en", PublishedYear: new(1815)})
	if _, err := s.Replace(t.Context(), b.ID, book.Draft{
		Title: "Emma", Authors: []string{"Jane Austen"}, Language: "en", PublishedYear: new(1815),
	}, book.Condition{}); err != nil { // by nobody in particular, and nothing but the version changes
		t.Fatal(err)
	}
	exec(t, d, d.Owner, "UPDATE books SET description = 'fixed by hand' WHERE id = $1", b.ID)
	as("ada").delete(b.ID)

	emma := func(authors, description, language string) string {
		return fmt.Sprintf(
			`{"authors":[%q],"description":%s,"isbn13":null,"language":%s,"published_year":1815,"title":"Emma"}`,
			authors,
			description,
			language,
		)
	}
	want := []string{
		`delete 3 by token:ada bks_ada: ` + emma("Jane Austen", `"fixed by hand"`, `"en"`) + ` -> nil`,
		`update 3 by login:` + d.Owner.User + ` : {"description":null} -> {"description":"fixed by hand"}`,
		`update 3 by anonymous : {} -> {}`,
		`update 2 by token:bob bks_bob: {"authors":["Austen"],"language":null} -> {"authors":["Jane Austen"],"language":"en"}`,
		`create 1 by token:ada bks_ada: nil -> ` + emma("Austen", "null", "null"),
	}
	if diff := cmp.Diff(want, happened(t, s, b.ID)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := happened(t, s, other.ID); len(got) != 1 {
		t.Errorf("the history of another book: %v", got)
	}
}

// actor changes books in a name.
type actor struct {
	t    *testing.T
	s    *postgres.Store
	name string
}

func (a *actor) identity() book.Actor {
	return book.Actor{Name: "token:" + a.name, TokenID: "bks_" + a.name}
}

func (a *actor) create(d book.Draft) book.Book {
	a.t.Helper()
	b, err := a.s.Create(book.WithActor(a.t.Context(), a.identity()), d)
	if err != nil {
		a.t.Fatal(err)
	}
	return b
}

func (a *actor) replace(id int64, d book.Draft) {
	a.t.Helper()
	if _, err := a.s.Replace(book.WithActor(a.t.Context(), a.identity()), id, d, book.Condition{}); err != nil {
		a.t.Fatal(err)
	}
}

func (a *actor) delete(id int64) {
	a.t.Helper()
	if err := a.s.Delete(book.WithActor(a.t.Context(), a.identity()), id, book.Condition{}); err != nil {
		a.t.Fatal(err)
	}
}

// These have transactions of their own, in which the actor must be named as well.
func TestPatchesAndRepeatableCreationsAreRecordedToo(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t).Store(t)
	ctx := book.WithActor(t.Context(), (&actor{name: "ada"}).identity())
	var b book.Book
	_, _, err := s.CreateOnce(ctx, book.Draft{Title: "Emma", Authors: []string{"Austen"}},
		idempotency.Request{Scope: "bks_ada", Key: "k", Retention: time.Hour},
		func(created book.Book) (idempotency.Response, error) {
			b = created
			return idempotency.Response{Status: 201, Header: http.Header{}, Body: []byte("{}")}, nil
		})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Modify(ctx, b.ID, book.Condition{}, func(b book.Book) (book.Draft, error) {
		d := b.Draft()
		d.Language = "en"
		return d, nil
	}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`update 2 by token:ada bks_ada: {"language":null} -> {"language":"en"}`,
		`create 1 by token:ada bks_ada: nil -> {"authors":["Austen"],"description":null,"isbn13":null,"language":null,` +
			`"published_year":null,"title":"Emma"}`,
	}
	if diff := cmp.Diff(want, happened(t, s, b.ID)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The name must not stay with the connection: the next request on it may be somebody else's.
func TestTheActorDoesNotOutliveItsChange(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	opts := postgres.Options{Options: d.App}
	opts.MaxConns = 1
	s, err := postgres.Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	(&actor{t: t, s: s, name: "ada"}).create(book.Draft{Title: "A", Authors: []string{"X"}})
	next := mustCreate(t, s, book.Draft{Title: "B", Authors: []string{"X"}})
	if got := happened(t, s, next.ID); len(got) != 1 || !strings.Contains(got[0], "by anonymous :") {
		t.Errorf("the next change on the connection: %v", got)
	}
}

// draftA is of a book of which nothing else matters.
func draftA() book.Draft { return book.Draft{Title: "A", Authors: []string{"X"}} }

// A change that fails leaves no trace.
func TestWhatDidNotHappenIsNotRecorded(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	s := d.Store(t)
	mustCreate(t, s, persuasion())
	if _, err := s.Create(t.Context(), persuasion()); err == nil {
		t.Fatal("the same ISBN again: no error")
	}
	if _, err := s.Replace(t.Context(), 42, draftA(), book.Condition{}); !errors.Is(
		err,
		book.ErrNotFound,
	) {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), 42, book.Condition{}); !errors.Is(err, book.ErrNotFound) {
		t.Fatal(err)
	}
	var n int
	if err := d.Conn(t, d.App).QueryRow(t.Context(), "SELECT count(*) FROM book_events").Scan(&n); err != nil ||
		n != 1 {
		t.Errorf("%d events (%v), want the one of the book that is stored", n, err)
	}
}

func TestAnImportIsRecordedBookByBook(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	s := d.Store(t)
	old := mustCreate(t, s, persuasion())
	i, err := s.BeginImport(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer i.Rollback(t.Context())
	changed := persuasion()
	changed.Title = "Persuasion, annotated"
	rows := []postgres.ImportRow{{Line: 1, Draft: changed}}
	for line := range int64(100) {
		rows = append(
			rows,
			postgres.ImportRow{
				Line:  line + 2,
				Draft: book.Draft{Title: fmt.Sprint("Book ", line), Authors: []string{"X"}},
			},
		)
	}
	if err := i.Stage(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	if _, err := i.Merge(t.Context(), postgres.Update, func(postgres.Duplicate) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := i.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := `update 2 by command:import : {"title":"Persuasion"} -> {"title":"Persuasion, annotated"}`
	if got := happened(t, s, old.ID); len(got) != 2 || got[0] != want {
		t.Errorf("history: %q, want %q first", got, want)
	}
	var n int
	err = d.Conn(t, d.App).QueryRow(t.Context(), `
		SELECT count(*) FROM book_events e JOIN books b ON b.id = e.book_id AND e.after ->> 'title' = b.title
		WHERE action = 'create' AND actor = 'command:import'`).Scan(&n)
	if err != nil || n != 100 {
		t.Errorf("%d books are recorded as created (%v), want 100", n, err)
	}
}

func TestHistoryIsPagedNewestFirst(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t).Store(t)
	b := mustCreate(t, s, book.Draft{Title: "A", Authors: []string{"X"}})
	for range 4 {
		if _, err := s.Replace(t.Context(), b.ID, draftA(), book.Condition{}); err != nil {
			t.Fatal(err)
		}
	}
	var versions []int64
	before := int64(0)
	for page := range 3 {
		events, more, err := s.History(t.Context(), b.ID, before, 2)
		if err != nil || more != (page < 2) {
			t.Fatalf("page %d: more %v, %v", page, more, err)
		}
		for _, e := range events {
			versions = append(versions, e.Version)
		}
		before = events[len(events)-1].ID
		if page == 0 { // what happens meanwhile is newer than every page to come
			if _, err := s.Replace(t.Context(), b.ID, draftA(), book.Condition{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if diff := cmp.Diff([]int64{5, 4, 3, 2, 1}, versions); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestABookFromBeforeTheHistoryHasAnEmptyOne(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	s := d.Store(t)
	b := mustCreate(t, s, book.Draft{Title: "A", Authors: []string{"X"}})
	exec(t, d, d.Owner, "TRUNCATE book_events")
	if events, _, err := s.History(t.Context(), b.ID, 0, 10); err != nil || len(events) != 0 {
		t.Errorf("history: %v, %v, want it empty", events, err)
	}
	if _, _, err := s.History(t.Context(), b.ID+1, 0, 10); !errors.Is(err, book.ErrNotFound) {
		t.Errorf("history of no book: %v, want ErrNotFound", err)
	}
}

// The serving role may make temporary tables, which must not stand in for the real ones in what runs as the owner.
func TestATemporaryTableDoesNotDivertTheHistory(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	conn := d.Conn(t, d.App)
	for _, sql := range []string{
		"CREATE TEMPORARY TABLE book_events (LIKE book_events)",
		"SET search_path = pg_temp, public",
		"INSERT INTO books (title, authors) VALUES ('Emma', '{Jane Austen}')",
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	var n int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM public.book_events").Scan(&n); err != nil || n != 1 {
		t.Errorf("%d events (%v), want 1", n, err)
	}
}
