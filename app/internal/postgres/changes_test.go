package postgres_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/postgres"
	"bookshelf/app/internal/postgres/database"
	"bookshelf/app/internal/postgres/pgtest"
	"bookshelf/app/internal/postgres/schema"
)

// told is a postgres.Changes that writes down what it is told.
type told struct {
	mu        sync.Mutex
	heard     []string
	following bool
	until     time.Time
	losses    int
}

func (h *told) add(text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.heard = append(h.heard, text)
}

func (h *told) Changing(id int64) func() {
	h.add(fmt.Sprint("own ", id))
	return func() { h.add(fmt.Sprint("own ", id, " done")) }
}

func (h *told) ChangingAll() func() {
	h.add("own all")
	return func() { h.add("own all done") }
}

func (h *told) Changed(ids []int64) {
	slices.Sort(ids)
	h.add(fmt.Sprint("changed ", ids))
}

func (h *told) ChangedAll() { h.add("changed all") }

func (h *told) Following(until time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.following, h.until = true, until
}

func (h *told) Lost() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.following {
		h.losses++
	}
	h.following = false
}

// state tells whether changes are followed, until when, and how often they were lost.
func (h *told) state() (following bool, until time.Time, losses int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.following, h.until, h.losses
}

// take returns what was heard up to a change that somebody makes of the book with the ID, the last thing to be heard.
func (h *told) take(t *testing.T, conn *pgx.Conn, marker int64) []string {
	t.Helper()
	if _, err := conn.Exec(t.Context(), `UPDATE books SET version = version + 1 WHERE id = $1`, marker); err != nil {
		t.Fatal(err)
	}
	last := fmt.Sprintf("changed [%d]", marker)
	eventually(t, "the change of the marker is heard of", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return slices.Contains(h.heard, last)
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	heard := h.heard
	h.heard = nil
	return slices.DeleteFunc(heard, func(s string) bool { return s == last })
}

// follow follows changes with opts until the test ends or stop is called; log is what was logged.
func follow(t *testing.T, opts database.Options) (store *postgres.Store, h *told, log func() string, stop func()) {
	t.Helper()
	h = &told{}
	store, err := postgres.Open(t.Context(), postgres.Options{Options: opts, Changes: h})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	var mu sync.Mutex
	var lines bytes.Buffer
	logger := slog.New(slog.NewTextHandler(writer(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return lines.Write(p)
	}), nil))
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		store.Follow(ctx, logger)
	}()
	stop = func() {
		cancel()
		<-ended
	}
	t.Cleanup(stop)
	return store, h, func() string {
		mu.Lock()
		defer mu.Unlock()
		return lines.String()
	}, stop
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// titled is a book of which nothing else matters.
func titled(title string) book.Draft { return book.Draft{Title: title, Authors: []string{"Some Body"}} }

func isFollowing(h *told) func() bool {
	return func() bool { following, _, _ := h.state(); return following }
}

func TestEveryChangeOfAStoredBookIsToldOf(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	other := d.Store(t) // another instance, or the version before
	owner := d.Conn(t, d.Owner)
	marker := mustCreate(t, other, titled("marker")).ID
	b := mustCreate(t, other, titled("b")).ID
	past := d.Conn(t, d.Owner)
	if _, err := past.Exec(t.Context(), `BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT id FROM books`); err != nil {
		t.Fatal(err)
	}
	_, h, _, _ := follow(t, d.App)
	eventually(t, "changes are followed", isFollowing(h))
	sql := func(text string, args ...any) func() error {
		return func() error { _, err := owner.Exec(t.Context(), text, args...); return err }
	}
	changed := []string{fmt.Sprintf("changed [%d]", b)}
	tests := []struct {
		name   string
		change func() error
		want   []string
	}{
		{"nothing", func() error { return nil }, nil},
		{"a transaction that looks at the time before anybody followed", func() error {
			_, err := past.Exec(t.Context(), `UPDATE books SET version = version + 1 WHERE id = `+fmt.Sprint(b)+`; COMMIT`)
			return err
		}, changed},
		{"a new book, which nobody can have kept", func() error {
			_, err := other.Create(t.Context(), titled("new"))
			return err
		}, nil},
		{"a replacement", func() error {
			_, err := other.Replace(t.Context(), b, titled("replaced"), book.Condition{})
			return err
		}, changed},
		{"a replacement that the condition refuses", func() error {
			_, err := other.Replace(t.Context(), b, titled("x"), book.Condition{Match: &book.Versions{List: []int64{99}}})
			if err == nil {
				return fmt.Errorf("it was not refused")
			}
			return nil
		}, nil},
		{"a modification", func() error {
			_, err := other.Modify(t.Context(), b, book.Condition{}, func(b book.Book) (book.Draft, error) { return b.Draft(), nil })
			return err
		}, changed},
		{"a transaction that is rolled back", sql(`BEGIN; UPDATE books SET version = version + 1; ROLLBACK`), nil},
		{"a savepoint that is rolled back", sql(`BEGIN; SAVEPOINT s; DELETE FROM books; ROLLBACK TO s; COMMIT`), nil},
		{"several books", sql(`UPDATE books SET version = version + 1 WHERE id <= $1`, b),
			[]string{fmt.Sprintf("changed [%d %d]", marker, b)}},
		{"many books", sql(`
			WITH added AS (INSERT INTO books (title, authors) SELECT 'Volume ' || i, '{A}' FROM generate_series(1, 150) i)
			SELECT`), nil},
		{"a change of many books", sql(`UPDATE books SET version = version + 1`), []string{"changed all"}},
		{"a deletion", func() error { return other.Delete(t.Context(), b, book.Condition{}) }, changed},
		{"a deletion of many", sql(`DELETE FROM books WHERE id > $1`, marker), []string{"changed all"}},
	}
	for _, test := range tests {
		if err := test.change(); err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if heard := h.take(t, owner, marker); !slices.Equal(heard, test.want) {
			t.Errorf("%s: heard %q, want %q", test.name, heard, test.want)
		}
	}
	if _, err := owner.Exec(t.Context(), `TRUNCATE books`); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is heard that the table was emptied", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return slices.Equal(h.heard, []string{"changed all"})
	})
}

func TestAStoreTellsOfItsOwnChangesAroundThem(t *testing.T) {
	t.Parallel()
	h := &told{}
	opts := postgres.Options{Options: pgtest.New(t).App}
	opts.Changes = h
	s, err := postgres.Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	b := mustCreate(t, s, titled("b")).ID
	if _, err := s.Replace(t.Context(), b, titled("c"), book.Condition{}); err != nil {
		t.Fatal(err)
	}
	_, err = s.Modify(t.Context(), b, book.Condition{}, func(b book.Book) (book.Draft, error) {
		h.add("inside")
		return b.Draft(), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	i, err := s.BeginImport(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), b, book.Condition{}); err != nil {
		t.Fatal(err)
	}
	own, done := fmt.Sprint("own ", b), fmt.Sprint("own ", b, " done")
	want := []string{own, done, own, "inside", done, "own all", "own all done", own, done}
	if diff := cmp.Diff(want, h.heard); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// announced tells whether a change of all books sends a notification.
func announced(t *testing.T, d *pgtest.Database) bool {
	t.Helper()
	conn := d.Conn(t, d.Owner)
	for _, sql := range []string{`LISTEN bookshelf_books`, `UPDATE books SET version = version + 1`} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	// What a transaction announces arrives with the answer to its statement.
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := conn.WaitForNotification(ctx)
	return err == nil
}

func TestNothingIsAnnouncedWhileNobodyFollows(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	mustCreate(t, d.Store(t), titled("b"))
	if announced(t, d) {
		t.Error("a change was announced before anybody followed")
	}
	_, h, _, stop := follow(t, d.App)
	eventually(t, "changes are followed", isFollowing(h))
	if !announced(t, d) {
		t.Error("a change was not announced")
	}
	stop()
	if isFollowing(h)() {
		t.Error("it is not told that changes are not followed any more")
	}
	if announced(t, d) {
		t.Error("a change was announced when nobody followed any more")
	}
}

// A change that was made before the registration is not announced, and can be committed after it.
func TestFollowingBeginsAfterEveryTransactionThatCouldNotKnow(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	b := mustCreate(t, d.Store(t), titled("b")).ID
	old := d.Conn(t, d.Owner)
	if _, err := old.Exec(t.Context(), `BEGIN; UPDATE books SET version = version + 1 WHERE id = `+fmt.Sprint(b)); err != nil {
		t.Fatal(err)
	}
	_, h, _, _ := follow(t, d.App)
	look := d.Conn(t, d.Owner)
	registered := func() (renewals int) {
		// Each renewal is a transaction of its own, so this counts them.
		if err := look.QueryRow(t.Context(), `SELECT count(*) FROM read_caches WHERE until > clock_timestamp()`).Scan(&renewals); err != nil {
			t.Fatal(err)
		}
		return renewals
	}
	eventually(t, "a follower is registered", func() bool { return registered() == 1 })
	var first, now time.Time
	read := func(dst *time.Time) {
		if err := look.QueryRow(t.Context(), `SELECT until FROM read_caches`).Scan(dst); err != nil {
			t.Fatal(err)
		}
	}
	read(&first)
	eventually(t, "it has tried several times", func() bool { read(&now); return now.Sub(first) > 300*time.Millisecond })
	if isFollowing(h)() {
		t.Fatal("changes are said to be followed while one is under way that will not be heard of")
	}
	if _, err := old.Exec(t.Context(), `COMMIT`); err != nil {
		t.Fatal(err)
	}
	eventually(t, "changes are followed", isFollowing(h))
}

func TestALostConnectionIsToldOfAndReplaced(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"the connection is killed": `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name LIKE '%(changes)'`,
		"the registration has expired": `UPDATE read_caches SET until = now() - interval '1 second'`,
		"the registration is gone":     `DELETE FROM read_caches`,
	}
	for name, sql := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := pgtest.New(t)
			_, h, log, _ := follow(t, d.App)
			eventually(t, "changes are followed", isFollowing(h))
			if _, err := d.Conn(t, d.Superuser).Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
			eventually(t, "it is lost and followed again", func() bool {
				following, _, losses := h.state()
				return following && losses == 1
			})
			if text := log(); strings.Count(text, "level=WARN") != 1 || strings.Count(text, "level=INFO") != 2 {
				t.Errorf("log:\n%s", text)
			}
		})
	}
}

// Otherwise the login of before a rotation would be used for ever.
func TestAConnectionThatIsOldIsReplacedWithoutAWord(t *testing.T) {
	t.Parallel()
	opts := pgtest.New(t).App
	opts.MaxConnLifetime = 100 * time.Millisecond
	_, h, log, _ := follow(t, opts)
	eventually(t, "it was replaced twice", func() bool {
		following, _, losses := h.state()
		return following && losses == 2
	})
	if text := log(); strings.Contains(text, "level=WARN") {
		t.Errorf("log:\n%s", text)
	}
}

// silence passes connections on to a server until it is told to swallow what they carry.
type silence struct {
	addr  *net.TCPAddr
	quiet chan struct{} // closed: nothing passes any more
}

func newSilence(t *testing.T, opts database.Options) *silence {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := &silence{addr: l.Addr().(*net.TCPAddr), quiet: make(chan struct{})}
	target := net.JoinHostPort(opts.Host, fmt.Sprint(opts.Port))
	if strings.HasPrefix(opts.Host, "/") {
		t.Skip("the server for tests is reached through a socket; nothing can stand in between")
	}
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", target)
			if err != nil {
				in.Close()
				continue
			}
			t.Cleanup(func() { in.Close(); out.Close() })
			for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
				go io.Copy(writer(func(p []byte) (int, error) {
					select {
					case <-s.quiet:
						return len(p), nil
					default:
						return way[0].Write(p)
					}
				}), way[1])
			}
		}
	}()
	return s
}

func TestAConnectionThatFallsSilentIsNotTrusted(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	s := newSilence(t, d.App)
	opts := d.App
	opts.Host, opts.Port = "127.0.0.1", uint16(s.addr.Port)
	_, h, log, stop := follow(t, opts)
	eventually(t, "changes are followed", isFollowing(h))
	close(s.quiet)
	silent := time.Now()
	eventually(t, "it is said that they are not", func() bool { return !isFollowing(h)() })
	if _, until, _ := h.state(); until.Sub(silent) > 3*time.Second {
		t.Errorf("what is kept could be used for %v after the connection fell silent, more than the documented 3 s", until.Sub(silent))
	}
	if !strings.Contains(log(), "the read cache is bypassed") {
		t.Errorf("log: %s", log())
	}
	stop()
}

func TestFollowingASchemaThatIsTooOldSaysWhatToDo(t *testing.T) {
	t.Parallel()
	d := pgtest.Empty(t)
	if err := schema.To(t.Context(), d.Owner, 6, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	store, h, log, _ := follow(t, d.App)
	migrations, err := fs.Glob(schema.Files(), "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("the database schema has version 6, this program needs %d: run the migrate command", len(migrations))
	eventually(t, "the log says so", func() bool { return strings.Contains(log(), want) })
	if err := store.Ready(t.Context()); err == nil || err.Error() != want {
		t.Errorf("readiness: %v", err)
	}
	if isFollowing(h)() {
		t.Error("changes are said to be followed")
	}
	if err := schema.Migrate(t.Context(), d.Owner, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "changes are followed after the migration, without a restart", isFollowing(h))
}
