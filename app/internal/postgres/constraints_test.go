package postgres_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/postgres/pgtest"
)

// farFuture is a clock that leaves the year to the constraint's own limit.
var farFuture = time.Date(book.MaxYear, 1, 1, 0, 0, 0, 0, time.UTC)

// constraintCases try each CHECK constraint from both sides: with accepts, both the domain and the database take the
// draft; with refuses, the domain names the pointer and the database the constraint.
var constraintCases = map[string]struct {
	pointer string
	accepts []func(*book.Draft)
	refuses []func(*book.Draft)
}{
	"books_title_length": {
		"/title",
		[]func(*book.Draft){func(d *book.Draft) { d.Title = strings.Repeat("é", book.MaxTitleLen) }},
		[]func(*book.Draft){func(d *book.Draft) { d.Title = strings.Repeat("é", book.MaxTitleLen+1) }},
	},
	"books_title_blank": {
		"/title",
		[]func(*book.Draft){func(d *book.Draft) { d.Title = "1" }},
		[]func(*book.Draft){func(d *book.Draft) { d.Title = "" }, func(d *book.Draft) { d.Title = "  " }},
	},
	"books_title_control": {
		"/title",
		[]func(*book.Draft){func(d *book.Draft) { d.Title = "soft\u00adhyphen, \u202fnarrow space" }},
		controls(func(d *book.Draft, s string) { d.Title = s }, "\n", "\t", "\x01", "\x7f", "\u0085", "\u009f"),
	},
	"books_authors_count": {
		"/authors",
		[]func(*book.Draft){func(d *book.Draft) { d.Authors = slices.Repeat([]string{"Dumas"}, book.MaxAuthors) }},
		[]func(*book.Draft){
			func(d *book.Draft) { d.Authors = []string{} },
			func(d *book.Draft) { d.Authors = slices.Repeat([]string{"Dumas"}, book.MaxAuthors+1) },
		},
	},
	"books_authors_length": {
		"/authors/1",
		[]func(*book.Draft){func(d *book.Draft) { d.Authors = []string{"a", strings.Repeat("ß", book.MaxAuthorLen)} }},
		[]func(*book.Draft){func(d *book.Draft) { d.Authors = []string{"a", strings.Repeat("ß", book.MaxAuthorLen+1)} }},
	},
	"books_authors_blank": {
		"/authors/1",
		[]func(*book.Draft){func(d *book.Draft) { d.Authors = []string{"Q", "R"} }},
		[]func(*book.Draft){
			func(d *book.Draft) { d.Authors = []string{"Q", ""} },
			func(d *book.Draft) { d.Authors = []string{"Q", " ", "R"} },
		},
	},
	"books_authors_control": {
		"/authors/1",
		[]func(*book.Draft){func(d *book.Draft) { d.Authors = []string{"Jean\u2011Paul", "김만중"} }},
		controls(func(d *book.Draft, s string) { d.Authors = []string{"Q", s} }, "\n", "\t", "\x1f", "\u0080"),
	},
	"books_isbn13_checksum": {
		"/isbn13",
		[]func(*book.Draft){
			func(d *book.Draft) { d.ISBN = "9780141439686" },
			func(d *book.Draft) { d.ISBN = "9791034304967" },
			func(d *book.Draft) { d.ISBN = "" },
		},
		[]func(*book.Draft){
			func(d *book.Draft) { d.ISBN = "9780141439687" },
			func(d *book.Draft) { d.ISBN = "9770141439687" },
			func(d *book.Draft) { d.ISBN = "978014143968" },
			func(d *book.Draft) { d.ISBN = "97801414396866" },
			func(d *book.Draft) { d.ISBN = "978014143968X" },
		},
	},
	"books_published_year_range": {
		"/published_year",
		[]func(*book.Draft){
			func(d *book.Draft) { d.PublishedYear = new(book.MinYear) },
			func(d *book.Draft) { d.PublishedYear = new(0) },
			func(d *book.Draft) { d.PublishedYear = new(book.MaxYear) },
		},
		[]func(*book.Draft){
			func(d *book.Draft) { d.PublishedYear = new(book.MinYear - 1) },
			func(d *book.Draft) { d.PublishedYear = new(book.MaxYear + 1) },
		},
	},
	"books_language_form": {
		"/language",
		languages("en", "gsw", "pt-BR", "zh-Hant-TW", "es-419", "sl-rozaj-biske-1994", "en-a-bbb-x-a-ccc", "x-elvish",
			"i-klingon", "en-GB-oed", "sgn-BE-FR", "art-lojban", "zh-cmn-Hans-CN", "de-CH-1901", "en-"+strings.Repeat("abcdefgh-", 3)+"abcde"),
		languages("e", "verylongname", "en_US", "en-", "-en", "en--US", "en-x", "deutsch-land-xx-y", "i-quenya", "1en", "\u212Aa",
			"en-"+strings.Repeat("abcdefgh-", 3)+"abcdef"),
	},
	"books_description_length": {
		"/description",
		[]func(*book.Draft){func(d *book.Draft) { d.Description = strings.Repeat("語", book.MaxDescriptionLen) }},
		[]func(*book.Draft){func(d *book.Draft) { d.Description = strings.Repeat("語", book.MaxDescriptionLen+1) }},
	},
	"books_description_control": {
		"/description",
		[]func(*book.Draft){func(d *book.Draft) { d.Description = "one\n\ttwo" }, func(d *book.Draft) { d.Description = "" }},
		controls(func(d *book.Draft, s string) { d.Description = s }, "\r", "\x0b", "\x1b", "\x7f", "\u0099"),
	},
}

func controls(set func(*book.Draft, string), characters ...string) []func(*book.Draft) {
	var changes []func(*book.Draft)
	for _, c := range characters {
		changes = append(changes, func(d *book.Draft) { set(d, "be"+c+"fore") })
	}
	return changes
}

func languages(tags ...string) []func(*book.Draft) {
	var changes []func(*book.Draft)
	for _, tag := range tags {
		changes = append(changes, func(d *book.Draft) { d.Language = tag })
	}
	return changes
}

func TestConstraintsAgreeWithTheDomain(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	conn := d.Conn(t, d.App)

	rows, err := conn.Query(t.Context(), `
		SELECT conname FROM pg_constraint WHERE conrelid = 'books'::regclass AND contype = 'c' ORDER BY conname`)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"books_version_positive"} // the one that no draft can break
	for name := range constraintCases {
		want = append(want, name)
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, names); diff != "" {
		t.Fatalf("CHECK constraints (-tried here +in the database):\n%s", diff)
	}

	for name, test := range constraintCases {
		for _, change := range test.accepts {
			draft := book.Draft{Title: "T", Authors: []string{"A"}}
			change(&draft)
			if _, err := draft.Normalize(farFuture); err != nil {
				t.Errorf("%s: the domain refuses %s: %v", name, shown(draft), err)
			}
			if err := insertRaw(t, conn, draft); err != nil {
				t.Errorf("%s: the database refuses %s: %v", name, shown(draft), err)
			}
		}
		for _, change := range test.refuses {
			draft := book.Draft{Title: "T", Authors: []string{"A"}}
			change(&draft)
			var invalid *book.InvalidError
			_, err := draft.Normalize(farFuture)
			if !errors.As(err, &invalid) || len(invalid.Violations) != 1 || invalid.Violations[0].Pointer != test.pointer {
				t.Errorf("%s: the domain says %v to %s, want one violation at %s", name, err, shown(draft), test.pointer)
			}
			var pgErr *pgconn.PgError
			if err := insertRaw(t, conn, draft); !errors.As(err, &pgErr) || pgErr.Code != "23514" || pgErr.ConstraintName != name {
				t.Errorf("%s: the database says %v to %s, want this constraint", name, err, shown(draft))
			}
		}
	}
}

// shown keeps failures readable.
func shown(d book.Draft) string { return fmt.Sprintf("%.200s", fmt.Sprintf("%+q", fmt.Sprint(d))) }

// insertRaw stores the draft as it is, past the domain, and takes it back.
func insertRaw(t *testing.T, conn *pgx.Conn, d book.Draft) error {
	t.Helper()
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	_, err = tx.Exec(t.Context(), `
		INSERT INTO books (title, authors, isbn13, published_year, language, description)
		VALUES ($1, $2, nullif($3, ''), $4, nullif($5, ''), $6)`,
		d.Title, d.Authors, d.ISBN, d.PublishedYear, d.Language, d.Description)
	return err
}

// TestEveryNormalizedDraftCanBeStored tries drafts of random characters: what the domain accepts, the database must take.
func TestEveryNormalizedDraftCanBeStored(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	conn := d.Conn(t, d.App)
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	alphabet := []rune("aZ09 -_'\"\\%{},;\u00a0\u00ad\u200b\u2028\u3000é語😀\ufeff\U000e0001\n\t\r\x01\u0085\ufffd")
	text := func() string {
		runes := make([]rune, random.IntN(6))
		for i := range runes {
			runes[i] = alphabet[random.IntN(len(alphabet))]
		}
		return string(runes)
	}
	accepted := 0
	for range 2000 {
		draft, err := book.Draft{Title: text(), Authors: []string{text(), text()}, Description: text()}.Normalize(farFuture)
		if err != nil {
			continue
		}
		accepted++
		if err := insertRaw(t, conn, draft); err != nil {
			t.Fatalf("seed %d: the domain accepts %s, the database does not: %v", seed, shown(draft), err)
		}
	}
	if accepted == 0 {
		t.Errorf("seed %d: no random draft was acceptable, nothing was tried", seed)
	}
}

func TestABrokenConstraintIsAnInvalidBook(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t).Store(t)
	// A draft that did not come from Normalize stands for a fault in the service.
	_, err := s.Create(t.Context(), book.Draft{Title: "a\nb", Authors: []string{"A"}})
	var invalid *book.InvalidError
	if !errors.As(err, &invalid) || invalid.Violations[0].Pointer != "/title" {
		t.Errorf("create: %v, want an InvalidError at /title", err)
	}
}
