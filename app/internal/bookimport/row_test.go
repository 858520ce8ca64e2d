package bookimport

import (
	"bufio"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bookshelf/app/internal/book"
)

var today = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

func TestYearsAsFilesWriteThem(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]*int{
		"": nil, "  ": nil, "1997": new(1997), " 1997 ": new(1997), "1997.0": new(1997), "1997.": new(1997), "1997.000": new(1997),
		"-750.0": new(-750), "0": new(0), "+8": new(8), "0119": new(119),
	} {
		got, err := parseYear(in)
		if err != nil {
			t.Errorf("parseYear(%q): %v", in, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("parseYear(%q) (-want +got):\n%s", in, diff)
		}
	}
	for _, in := range []string{"1997.5", "c. 1850", "1850?", "MDCCC", "1997-01-01", "1.997e3", "99999999999999999999", "750 BC", "--5", "."} {
		if got, err := parseYear(in); err == nil {
			t.Errorf("parseYear(%q) = %d, want an error", in, *got)
		}
	}
}

func TestISBNsAsFilesWriteThem(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		isbn13, isbn10 string
		want           string
		repairs        []Reason
		reason         Reason // of the rejection
	}{
		"none":                              {"", " ", "", nil, ""},
		"both good":                         {"9780439023481", "0439023483", "9780439023481", nil, ""},
		"only an ISBN-10":                   {"", "0-439-02348-3", "9780439023481", nil, ""},
		"an ISBN-13 in the other column":    {"", "978-0-439-02348-1", "9780439023481", nil, ""},
		"an ISBN-10 without its zero":       {"", "439023483", "9780439023481", []Reason{RepairISBNZeros}, ""},
		"zeros would not make it one":       {"", "7203116.0", "", nil, ReasonISBN},
		"an ISBN-13 as a float":             {"9780439023481.0", "", "9780439023481", nil, ""},
		"an exact scientific notation":      {"9.780439023481e+12", "", "9780439023481", nil, ""},
		"a rounded one, and an ISBN-10":     {"9.78043902348e+12", "439023483", "9780439023481", []Reason{RepairISBNZeros, RepairISBN13Unusable}, ""},
		"a rounded one alone":               {"9.78043902348e+12", "", "", nil, ReasonISBNScientific},
		"a rounded one in capitals":         {"9.78E12", "", "", nil, ReasonISBNScientific},
		"a rounded one and a bad ISBN-10":   {"9.78043902348e+12", "439023484", "", nil, ReasonISBN},
		"a bad ISBN-13 and a good ISBN-10":  {"9780439023482", "0439023483", "9780439023481", []Reason{RepairISBN13Unusable}, ""},
		"a good ISBN-13 and a bad ISBN-10":  {"9780439023481", "0439023484", "9780439023481", nil, ""},
		"two different books":               {"9780439023481", "0306406152", "", nil, ReasonISBN},
		"too short to be filled with zeros": {"", "123", "", nil, ReasonISBN},
		"a number that happens to be one":   {"", "123456789", "9780123456786", []Reason{RepairISBNZeros}, ""},
		"text":                              {"n/a", "", "", nil, ReasonISBN},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			isbn, repairs, bad := chooseISBN(test.isbn13, test.isbn10)
			if isbn != test.want {
				t.Errorf("ISBN %q, want %q", isbn, test.want)
			}
			if diff := cmp.Diff(test.repairs, repairs); diff != "" {
				t.Errorf("repairs (-want +got):\n%s", diff)
			}
			switch {
			case test.reason == "" && bad != nil:
				t.Errorf("rejected: %+v", bad)
			case test.reason != "" && (bad == nil || bad.reason != test.reason):
				t.Errorf("rejected for %+v, want %s", bad, test.reason)
			}
		})
	}
}

func TestDraftsOfRows(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		line    string // of JSON, which shows what is in each field
		opts    Options
		want    book.Draft
		repairs []Reason
		reason  Reason
		detail  string
	}{
		"everything": {
			line: `{"title":"T","authors":["A","B"],"isbn13":"9780439023481","published_year":1997.0,"language":"eng","description":"D"}`,
			want: book.Draft{Title: "T", Authors: []string{"A", "B"}, ISBN: "9780439023481", PublishedYear: new(1997), Language: "en", Description: "D"},
		},
		"authors in one field": {
			line: `{"title":"T","author":" A ;; B;"}`,
			want: book.Draft{Title: "T", Authors: []string{"A", "B"}},
		},
		"another separator": {
			line: `{"title":"T","authors":"A & B & A"}`, opts: Options{AuthorSeparator: " & "},
			want: book.Draft{Title: "T", Authors: []string{"A", "B"}}, repairs: []Reason{RepairAuthorRepeated},
		},
		"a list is not split": {
			line: `{"title":"T","authors":["A; B"]}`,
			want: book.Draft{Title: "T", Authors: []string{"A; B"}},
		},
		"a list written into one field": {
			line: `{"title":"T","authors":"[\"A; B\",\"[C]\"]"}`,
			want: book.Draft{Title: "T", Authors: []string{"A; B", "[C]"}},
		},
		"a bracket in front of a name": {
			line: `{"title":"T","authors":"[A]; [B"}`,
			want: book.Draft{Title: "T", Authors: []string{"[A]", "[B"}},
		},
		"exactly": {
			line: `{"title":"The  Raven","authors":["A  B","A  B"]}`, opts: Options{Exact: true},
			want: book.Draft{Title: "The  Raven", Authors: []string{"A  B", "A  B"}},
		},
		"exactly, names in one field": {
			line: `{"title":"T","authors":"A  B;A  B"}`, opts: Options{Exact: true},
			want: book.Draft{Title: "T", Authors: []string{"A  B", "A  B"}},
		},
		"exactly, and still no book": {
			line: `{"title":"a\tb","authors":["A"]}`, opts: Options{Exact: true}, reason: ReasonTitle, detail: "U+0009",
		},
		"white space within": {
			line: `{"title":" The\n  Raven ","authors":["Edgar\tAllan Poe"]}`,
			want: book.Draft{Title: "The Raven", Authors: []string{"Edgar Allan Poe"}},
		},
		"a locale as language, nulls": {
			line: `{"title":"T","authors":["A"],"language":"pt_BR","isbn13":null,"published_year":null,"description":null}`,
			want: book.Draft{Title: "T", Authors: []string{"A"}, Language: "pt-BR"},
		},
		"numbers as text": {
			line: `{"title":"T","authors":["A"],"isbn10":439023483,"published_year":"-750"}`,
			want: book.Draft{Title: "T", Authors: []string{"A"}, ISBN: "9780439023481", PublishedYear: new(-750)}, repairs: []Reason{RepairISBNZeros},
		},
		"mapped": {
			line: `{"name":"T","title":"no","by":["A"]}`, opts: Options{Mapping: Mapping{"title": "name", "authors": "by"}},
			want: book.Draft{Title: "T", Authors: []string{"A"}},
		},
		"without its bad ISBN": {
			line: `{"title":"T","authors":["A"],"isbn13":"9.78E12"}`, opts: Options{DropBadISBN: true},
			want: book.Draft{Title: "T", Authors: []string{"A"}}, repairs: []Reason{RepairISBNDropped},
		},
		"a bad ISBN":     {line: `{"title":"T","authors":["A"],"isbn":"1"}`, reason: ReasonISBN, detail: `isbn10: "1" must be an ISBN`},
		"no title":       {line: `{"authors":["A"]}`, reason: ReasonTitle, detail: "title: must not be blank"},
		"no authors":     {line: `{"title":"T","authors":" ; "}`, reason: ReasonAuthors, detail: "authors: must name at least one"},
		"several faults": {line: `{"title":"","authors":[]}`, reason: ReasonTitle, detail: "authors: must name"},
		"not a year":     {line: `{"title":"T","authors":["A"],"year":"soon"}`, reason: ReasonYear, detail: `is "soon"`},
		"too early":      {line: `{"title":"T","authors":["A"],"year":-4000}`, reason: ReasonYear, detail: "from -3000 to 2027"},
		"not a language": {line: `{"title":"T","authors":["A"],"language":"?"}`, reason: ReasonLanguage, detail: "RFC 5646"},
		"an author too long": {
			line: `{"title":"T","authors":["` + strings.Repeat("a", 201) + `"]}`, reason: ReasonAuthors, detail: "authors/0: must not be longer"},
		"a control in the description": {
			line: `{"title":"T","authors":["A"],"description":"\u0000"}`, reason: ReasonDescription, detail: "U+0000"},
		"a number as title":  {line: `{"title":7,"authors":["A"]}`, reason: ReasonTitle, detail: "title: must be a string"},
		"a nested author":    {line: `{"title":"T","authors":[["A"]]}`, reason: ReasonAuthors, detail: "must be a list of strings"},
		"an author object":   {line: `{"title":"T","authors":{}}`, reason: ReasonAuthors, detail: "must be a list of strings"},
		"a list of books":    {line: `[{"title":"T"}]`, reason: ReasonUnreadable, detail: "not a JSON object"},
		"null":               {line: `null`, reason: ReasonUnreadable, detail: "not a JSON object"},
		"cut off":            {line: `{"title":"T"`, reason: ReasonUnreadable, detail: "unexpected end"},
		"two on a line":      {line: `{} {}`, reason: ReasonUnreadable, detail: "not a JSON object"},
		"not UTF-8":          {line: "{\"title\":\"\xff\"}", reason: ReasonUnreadable, detail: "not valid UTF-8"},
		"longer than a line": {line: `{"title":"` + strings.Repeat("x", maxRecord) + `"}`, reason: ReasonUnreadable, detail: "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.opts.Format = JSONLines
			opts := test.opts.withDefaults()
			rows, _, err := openSource(bufio.NewReader(strings.NewReader("\n"+test.line+"\r\n")), opts)
			if err != nil {
				t.Fatal(err)
			}
			r, err := rows.next()
			if err != nil || r.line != 2 {
				t.Fatalf("row %+v, %v; want one of line 2", r, err)
			}
			got, repairs, rejected := r.draft(opts, today)
			if test.reason != "" {
				if rejected == nil || rejected.reason != test.reason || !strings.Contains(rejected.detail, test.detail) {
					t.Fatalf("rejected for %+v, want %s: … %s", rejected, test.reason, test.detail)
				}
				return
			}
			if rejected != nil {
				t.Fatalf("rejected for %+v", rejected)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("draft (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.repairs, repairs); diff != "" {
				t.Errorf("repairs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheFormatIsFoundOut(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		file, content string
		given, want   Format
	}{
		"CSV by extension":           {"a.CSV", "{title,authors", "", CSV},
		"JSON lines by extension":    {"a.ndjson", "title", "", JSONLines},
		"JSON lines by content":      {"standard input", "\ufeff\n {\"title\"", "", JSONLines},
		"CSV by content":             {"books", "title,authors\n", "", CSV},
		"what is asked for wins":     {"a.csv", "{}", JSONLines, JSONLines},
		"an unknown extension":       {"books.txt", "{}", "", JSONLines},
		"a short file of an unknown": {"x", "{", "", JSONLines},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := Options{Name: test.file, Format: test.given}.withDefaults()
			_, got, _ := openSource(bufio.NewReader(strings.NewReader(test.content)), opts) // a header may be wrong, the format is not
			if got != test.want {
				t.Errorf("format %q, want %q", got, test.want)
			}
		})
	}
}

func TestAnEmptyJSONFileIsAnError(t *testing.T) {
	t.Parallel()
	rows, _, err := openSource(bufio.NewReader(strings.NewReader("\n \n")), Options{Format: JSONLines}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rows.next(); err == nil || !strings.Contains(err.Error(), "the file is empty") {
		t.Errorf("%v, want the file to be empty", err)
	}
}
