package postgres_test

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/postgres"
	"bookshelf/app/internal/postgres/database"
	"bookshelf/app/internal/postgres/pgtest"
	"bookshelf/app/internal/postgres/schema"
)

// ignoreTimes compares books without the two values that the server's clock decides.
var ignoreTimes = cmpopts.IgnoreFields(book.Book{}, "CreatedAt", "UpdatedAt")

func persuasion() book.Draft {
	return book.Draft{
		Title: "Persuasion", Authors: []string{"Jane Austen"}, ISBN: "9780141439686",
		PublishedYear: new(1817), Language: "en", Description: "Anne Elliot\n\nA second chance.",
	}
}

func mustCreate(t *testing.T, s *postgres.Store, d book.Draft) book.Book {
	t.Helper()
	b, err := s.Create(t.Context(), d)
	if err != nil {
		t.Fatalf("create %q: %v", d.Title, err)
	}
	return b
}

func TestStoreKeepsWhatItWasGiven(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t).Store(t)

	full := mustCreate(t, s, persuasion())
	want := book.Book{
		ID: full.ID, Title: "Persuasion", Authors: []string{"Jane Austen"}, ISBN13: "9780141439686",
		PublishedYear: new(1817), Language: "en", Description: "Anne Elliot\n\nA second chance.", Version: 1,
	}
	if diff := cmp.Diff(want, full, ignoreTimes); diff != "" {
		t.Errorf("created book (-want +got):\n%s", diff)
	}
	if full.CreatedAt.IsZero() || full.CreatedAt.Location() != time.UTC || !full.CreatedAt.Equal(full.UpdatedAt) {
		t.Errorf("created at %v, updated at %v; want one moment in UTC", full.CreatedAt, full.UpdatedAt)
	}
	got, err := s.Get(t.Context(), full.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(full, got); diff != "" {
		t.Errorf("stored book (-created +got):\n%s", diff)
	}

	bare := mustCreate(t, s, book.Draft{Title: "Beowulf", Authors: []string{"unknown"}})
	if diff := cmp.Diff(book.Book{ID: bare.ID, Title: "Beowulf", Authors: []string{"unknown"}, Version: 1}, bare, ignoreTimes); diff != "" {
		t.Errorf("book without optional fields (-want +got):\n%s", diff)
	}
}

func TestReplaceOverwritesEveryFieldAndCountsTheVersion(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t).Store(t)
	before := mustCreate(t, s, persuasion())

	after, err := s.Replace(t.Context(), before.ID,
		book.Draft{Title: "Sanditon", Authors: []string{"Jane Austen", "Another Lady"}}, book.Condition{})
	if err != nil {
		t.Fatal(err)
	}
	want := book.Book{ID: before.ID, Title: "Sanditon", Authors: []string{"Jane Austen", "Another Lady"}, Version: 2}
	if diff := cmp.Diff(want, after, ignoreTimes); diff != "" {
		t.Errorf("replaced book (-want +got):\n%s", diff)
	}
	if !after.CreatedAt.Equal(before.CreatedAt) || !after.UpdatedAt.After(before.UpdatedAt) {
		t.Errorf("times went from %v, %v to %v, %v; want the first kept and the second later",
			before.CreatedAt, before.UpdatedAt, after.CreatedAt, after.UpdatedAt)
	}
}

func TestDeleteRemovesOneBook(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t).Store(t)
	gone, kept := mustCreate(t, s, persuasion()), mustCreate(t, s, book.Draft{Title: "Emma", Authors: []string{"Jane Austen"}})

	if err := s.Delete(t.Context(), gone.ID, book.Condition{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), gone.ID); !errors.Is(err, book.ErrNotFound) {
		t.Errorf("get of the deleted book: %v, want ErrNotFound", err)
	}
	if _, err := s.Get(t.Context(), kept.ID); err != nil {
		t.Errorf("get of the other book: %v", err)
	}
}

func TestUnknownIDsAreNotFound(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t).Store(t)
	for name, call := range map[string]func(context.Context) error{
		"get": func(ctx context.Context) error { _, err := s.Get(ctx, 42); return err },
		"replace": func(ctx context.Context) error {
			_, err := s.Replace(ctx, 42, persuasion(), book.Condition{Match: &book.Versions{List: []int64{1}}})
			return err
		},
		"delete": func(ctx context.Context) error {
			return s.Delete(ctx, 42, book.Condition{NoneMatch: &book.Versions{All: true}})
		},
	} {
		if err := call(t.Context()); !errors.Is(err, book.ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", name, err)
		}
	}
}

func TestASecondBookWithTheSameISBNIsAConflict(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t).Store(t)
	mustCreate(t, s, persuasion())
	other := mustCreate(t, s, book.Draft{Title: "Emma", Authors: []string{"Jane Austen"}})

	_, errCreate := s.Create(t.Context(), persuasion())
	_, errReplace := s.Replace(t.Context(), other.ID, persuasion(), book.Condition{})
	for name, err := range map[string]error{"create": errCreate, "replace": errReplace} {
		var conflict *book.ConflictError
		if !errors.As(err, &conflict) {
			t.Errorf("%s: %v, want a ConflictError", name, err)
			continue
		}
		if diff := cmp.Diff(&book.ConflictError{Field: "isbn13", Value: "9780141439686"}, conflict); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got, err := s.Get(t.Context(), other.ID); err != nil || got.Version != 1 {
		t.Errorf("after the refused replace the book is %+v, %v; want it unchanged", got, err)
	}
}

func TestReadySaysWhatIsMissing(t *testing.T) {
	t.Parallel()

	t.Run("a migrated database is ready", func(t *testing.T) {
		t.Parallel()
		if err := pgtest.New(t).Store(t).Ready(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("a newer schema is ready", func(t *testing.T) {
		t.Parallel()
		d := pgtest.New(t)
		exec(t, d, d.Owner, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)")
		if err := d.Store(t).Ready(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("a database without migrations is not", func(t *testing.T) {
		t.Parallel()
		files, err := fs.Glob(schema.Files(), "*.sql")
		if err != nil {
			t.Fatal(err)
		}
		want := int64(len(files))
		var older *schema.Error
		if err := pgtest.Empty(t).Store(t).Ready(t.Context()); !errors.As(err, &older) || older.Have != 0 || older.Want != want {
			t.Errorf("ready: %v, want a schema.Error from 0 to %d", err, want)
		}
	})
	t.Run("a server that does not answer is an error", func(t *testing.T) {
		t.Parallel()
		s, err := postgres.Open(t.Context(), postgres.Options{
			Options: database.Options{Host: t.TempDir(), Port: 5432, Name: "books", User: "app"},
		})
		if err != nil {
			t.Fatalf("open waits for the server: %v", err)
		}
		defer s.Close()
		if err := s.Ready(t.Context()); !errors.Is(err, book.ErrUnavailable) {
			t.Errorf("ready: %v, want ErrUnavailable", err)
		}
	})
}

func TestPasswordFileIsReadAtEveryNewConnection(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	opts, password := d.App, d.App.Password
	opts.Password, opts.PasswordFile = "", filepath.Join(t.TempDir(), "password")
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(opts.PasswordFile, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := postgres.Open(t.Context(), postgres.Options{Options: opts})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()

	if err := s.Ready(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before there is a file: %v, want a missing file", err)
	}
	write("\n")
	if err := s.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), opts.PasswordFile+" is empty") {
		t.Errorf("with an empty file: %v, want an error that names it", err)
	}
	write(password + "\r\n")
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("after the file was mended: %v", err)
	}
}

func TestOpenRefusesOptionsThatCannotWork(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		opts database.Options
		want []string
	}{
		"nothing is set": {database.Options{}, []string{"host", "name", "user", "port"}},
		"two passwords": {
			database.Options{Host: "db", Port: 1, Name: "n", User: "u", Password: "hush", PasswordFile: "f"}, []string{"both set"},
		},
		"a login beside a user": {
			database.Options{Host: "db", Port: 1, Name: "n", User: "u", Password: "hush", LoginFile: "f"}, []string{"in a file"},
		},
		"authorities that are not there": {
			database.Options{Host: "db", Port: 1, Name: "n", User: "u", Password: "hush", SSLMode: "verify-full", SSLRootCert: "/no/ca.crt"},
			[]string{"/no/ca.crt"},
		},
		"an unknown SSL mode": {
			database.Options{Host: "db", Port: 1, Name: "n", User: "u", Password: "hush", SSLMode: "maybe"}, []string{"sslmode"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := postgres.Open(t.Context(), postgres.Options{Options: test.opts})
			if err == nil {
				t.Fatal("opened")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not mention %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "hush") {
				t.Errorf("error %q shows the password", err)
			}
		})
	}
}

func TestOptionsReachTheServerUnaltered(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	// Each character has a meaning somewhere in a connection string.
	opts := d.Owner
	opts.Name = `it's "odd" \ % = ` + d.Owner.Name
	quoted := pgx.Identifier{opts.Name}.Sanitize()
	exec(t, d, d.Superuser, "CREATE DATABASE "+quoted)
	t.Cleanup(func() { exec(t, d, d.Superuser, "DROP DATABASE "+quoted+" WITH (FORCE)") })
	err := schema.Migrate(t.Context(), opts, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "there is no role "+pgx.Identifier{opts.Name + "_app"}.Sanitize()) {
		t.Errorf("migrate: %v, want the error of a database that was reached", err)
	}
}

// exec runs one statement with the login of opts.
func exec(t *testing.T, d *pgtest.Database, opts database.Options, sql string, args ...any) {
	t.Helper()
	if err := tryExec(t, d, opts, sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func tryExec(t *testing.T, d *pgtest.Database, opts database.Options, sql string, args ...any) error {
	t.Helper()
	_, err := d.Conn(t, opts).Exec(context.WithoutCancel(t.Context()), sql, args...)
	return err
}
