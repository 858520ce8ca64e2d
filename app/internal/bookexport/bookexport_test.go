package bookexport_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/bookexport"
	"bookshelf/app/internal/bookimport"
	"bookshelf/app/internal/postgres"
	"bookshelf/app/internal/postgres/pgtest"
)

// formats are the ways to write a file, by the name that the import has for each.
var formats = map[bookimport.Format]func(io.Writer) (bookexport.Writer, error){
	bookimport.CSV:       bookexport.NewCSV,
	bookimport.JSONLines: func(out io.Writer) (bookexport.Writer, error) { return bookexport.NewJSONLines(out), nil },
}

// export returns the whole catalogue as a file.
func export(t *testing.T, s *postgres.Store, format bookimport.Format) string {
	t.Helper()
	var out bytes.Buffer
	w, err := formats[format](&out)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Export(t.Context(), w.Write); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func load(t *testing.T, s *postgres.Store, opts bookimport.Options, content string) bookimport.Report {
	t.Helper()
	report, err := bookimport.Run(t.Context(), opts, strings.NewReader(content), s, func(bookimport.Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func all(t *testing.T, s *postgres.Store) []book.Book {
	t.Helper()
	var books []book.Book
	if err := s.Export(t.Context(), func(b book.Book) error { books = append(books, b); return nil }); err != nil {
		t.Fatal(err)
	}
	return books
}

var ignoreServer = cmpopts.IgnoreFields(book.Book{}, "ID", "Version", "CreatedAt", "UpdatedAt")

// roundTrip exports s, imports the file into an empty catalogue and again into s, and wants nothing to change.
func roundTrip(t *testing.T, s *postgres.Store, opts bookimport.Options) {
	t.Helper()
	want := all(t, s)
	for format := range formats {
		content := export(t, s, format)
		opts.Format = format
		empty := pgtest.New(t).Store(t)
		report := load(t, empty, opts, content)
		if report.Inserted != int64(len(want)) || len(report.Findings) > 0 || len(report.Repairs) > 0 {
			t.Errorf("%s: of %d books the import took %+v", format, len(want), report)
		}
		if diff := cmp.Diff(want, all(t, empty), ignoreServer); diff != "" {
			t.Errorf("%s (-exported +imported):\n%s", format, diff)
		}
		opts := opts
		opts.OnConflict = postgres.Update
		if report := load(t, s, opts, content); report.Unchanged != int64(len(want)) {
			t.Errorf("%s: imported where it came from, it is %+v; want all unchanged", format, report)
		}
	}
}

// text draws from what files stumble over.
func text(random *rand.Rand, maxLen int, alphabet []string) string {
	var b strings.Builder
	b.WriteString("x") // so that it is not blank
	for b.Len() < 1+random.IntN(maxLen) {
		b.WriteString(alphabet[random.IntN(len(alphabet))])
	}
	return b.String()
}

func TestAnExportIsImportedWithoutChange(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t).Store(t)
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	line := []string{`"`, `""`, ",", ";", "'", "[", "]", "{", `\`, `\.`, `\n`, "  ", "\u00a0", "=1+1", "é", "😀", "\ufeff", "\u2028", "<&>", "a"}
	multi := append([]string{"\n", "\n\n", "\t"}, line...)
	for i := range 300 {
		d := book.Draft{Title: text(random, 40, line) + fmt.Sprint(i), Description: text(random, 60, multi)}
		for range 1 + random.IntN(3) {
			d.Authors = append(d.Authors, text(random, 12, line))
		}
		if random.IntN(3) == 0 { // a name twice, and one that looks like a list
			d.Authors = append(d.Authors, d.Authors[0], `["x"]`)
			d.Authors[0] = "[" + d.Authors[0]
		}
		if random.IntN(2) == 0 {
			d.PublishedYear, d.Language = new(random.IntN(5000)-3000), []string{"en", "de-AT", "zh-Hant"}[random.IntN(3)]
		}
		normal, err := d.Normalize(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Create(t.Context(), normal); err != nil {
			t.Fatal(err)
		}
	}
	roundTrip(t, s, bookimport.Options{Exact: true})
}

// Books as libraries have them need no option.
func TestTheSampleIsExportedAndImportedWithoutChange(t *testing.T) {
	t.Parallel()
	sample, err := os.ReadFile(filepath.Join("..", "..", "data", "books.csv"))
	if err != nil {
		t.Fatal(err)
	}
	s := pgtest.New(t).Store(t)
	if report := load(t, s, bookimport.Options{Format: bookimport.CSV}, string(sample)); report.Inserted < 100 {
		t.Fatalf("the sample has only %d books", report.Inserted)
	}
	roundTrip(t, s, bookimport.Options{})
}

func TestFilesLookAsPeopleExpect(t *testing.T) {
	t.Parallel()
	books := []book.Book{
		{ID: 1, Title: "Good Omens", Authors: []string{"Terry Pratchett", "Neil Gaiman"}, ISBN13: "9780060853976",
			PublishedYear: new(1990), Language: "en", Description: "The end <is> nigh."},
		{ID: 2, Title: `"A", said B`, Authors: []string{"Smith; Sons"}},
	}
	for format, want := range map[bookimport.Format]string{
		bookimport.CSV: `title,authors,isbn13,published_year,language,description
Good Omens,Terry Pratchett;Neil Gaiman,9780060853976,1990,en,The end <is> nigh.
"""A"", said B","[""Smith; Sons""]",,,,
`,
		bookimport.JSONLines: `{"title":"Good Omens","authors":["Terry Pratchett","Neil Gaiman"],"isbn13":"9780060853976",` +
			`"published_year":1990,"language":"en","description":"The end <is> nigh."}
{"title":"\"A\", said B","authors":["Smith; Sons"],"isbn13":null,"published_year":null,"language":null,"description":null}
`,
	} {
		var out bytes.Buffer
		w, err := formats[format](&out)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range books {
			if err := w.Write(b); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", format, diff)
		}
	}
}

var errFull = errors.New("no space left")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestAFileThatCannotBeWrittenIsAnError(t *testing.T) {
	t.Parallel()
	for format, open := range formats {
		w, err := open(full{})
		for range 2000 { // more than any buffer holds
			if err != nil {
				break
			}
			err = w.Write(book.Book{Title: strings.Repeat("x", 500), Authors: []string{"A"}})
		}
		if err == nil {
			err = w.Close()
		}
		if !errors.Is(err, errFull) {
			t.Errorf("%s: %v, want the error of what it was written to", format, err)
		}
	}
}
