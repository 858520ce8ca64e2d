package query

import (
	"encoding/base64"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/httpapi/problem"
)

func TestCursorComesBackAsItWas(t *testing.T) {
	t.Parallel()
	byTitle := book.Query{Limit: 1, Sort: book.Sort{Key: book.ByTitle}}
	byYear := book.Query{Limit: 1, Sort: book.Sort{Key: book.ByYear, Descending: true}, Author: "x"}
	byRank := book.Query{Limit: 1, Sort: book.Sort{Key: book.ByRelevance}, Text: "x"}
	tests := []struct {
		query    book.Query
		position book.Position
	}{
		{book.Query{Limit: 1}, book.Position{ID: 1}},
		{book.Query{Limit: 1}, book.Position{ID: math.MaxInt64}},
		{byTitle, book.Position{ID: 2, Title: `"<é>" \ 😀`}},
		{byTitle, book.Position{ID: 2, Title: strings.Repeat("😀", book.MaxTitleLen)}},
		{byYear, book.Position{ID: 3, Year: new(-3000)}},
		{byYear, book.Position{ID: 3, Year: new(0)}},
		{byYear, book.Position{ID: 3}},
		{byRank, book.Position{ID: 4, Rank: 0.6079271}},
		{byRank, book.Position{ID: 4, Rank: math.SmallestNonzeroFloat32}},
		{byRank, book.Position{ID: 4, Rank: math.MaxFloat32}},
		{byRank, book.Position{ID: 4}},
	}
	for _, test := range tests {
		text := Cursor(test.query, test.position)
		if url.QueryEscape(text) != text {
			t.Errorf("cursor %q would have to be escaped in a URL", text)
		}
		got, err := decodeCursor(test.query, text)
		if err != nil {
			t.Errorf("%+v: %v", test.position, err)
			continue
		}
		if diff := gocmp.Diff(&test.position, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestCursorIsBoundToItsList(t *testing.T) {
	t.Parallel()
	base := func() book.Query {
		return book.Query{Limit: 5, Author: "a", Title: "b", ISBN: "9780441172719", Year: new(1965), Language: "en"}
	}
	text := Cursor(base(), book.Position{ID: 1})
	same := base()
	same.Limit = 7
	if _, err := decodeCursor(same, text); err != nil {
		t.Errorf("with another limit: %v, want it accepted", err)
	}
	for name, change := range map[string]func(*book.Query){
		"another sort":                    func(q *book.Query) { q.Sort.Key = book.ByTitle },
		"the other direction":             func(q *book.Query) { q.Sort.Descending = true },
		"another author":                  func(q *book.Query) { q.Author = "b" },
		"author and title the other way":  func(q *book.Query) { q.Author, q.Title = q.Title, q.Author },
		"author and title written as one": func(q *book.Query) { q.Author, q.Title = "ab", "" },
		"no ISBN":                         func(q *book.Query) { q.ISBN = "" },
		"no year":                         func(q *book.Query) { q.Year = nil },
		"year 0":                          func(q *book.Query) { q.Year = new(0) },
		"another language":                func(q *book.Query) { q.Language = "de" },
		"a text to search for":            func(q *book.Query) { q.Text = "x" },
		"the beginning of a name":         func(q *book.Query) { q.AuthorPrefix = "x" },
	} {
		q := base()
		change(&q)
		if _, err := decodeCursor(q, text); err == nil || !strings.Contains(err.Error(), "another sort or other filters") {
			t.Errorf("with %s: error = %v, want it to say what is wrong", name, err)
		}
	}
}

func TestForgedCursorsAreRefused(t *testing.T) {
	t.Parallel()
	q := book.Query{Limit: 1, Sort: book.Sort{Key: book.ByTitle}}
	list := fingerprint(q)
	seal := func(format string, args ...any) string {
		return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, format, args...))
	}
	for name, text := range map[string]string{
		"no base64":               "!",
		"padding":                 seal(`{"v":1,"l":%q,"i":1}`, list) + "=",
		"no JSON":                 seal("x"),
		"another version":         seal(`{"v":2,"l":%q,"i":1}`, list),
		"no version":              seal(`{"l":%q,"i":1}`, list),
		"white space":             seal(`{"v":1,"l":%q, "i":1}`, list),
		"an unknown member":       seal(`{"v":1,"l":%q,"i":1,"x":1}`, list),
		"a member twice":          seal(`{"v":1,"l":%q,"i":1,"i":1}`, list),
		"an ID too large":         seal(`{"v":1,"l":%q,"i":9223372036854775808}`, list),
		"a title too long":        seal(`{"v":1,"l":%q,"i":1,"t":%q}`, list, strings.Repeat("x", book.MaxTitleLen+1)),
		"a NUL in the title":      seal(`{"v":1,"l":%q,"i":1,"t":"\u0000"}`, list),
		"a title that is no text": seal("{\"v\":1,\"l\":%q,\"i\":1,\"t\":\"\xff\"}", list),
		"a negative rank":         seal(`{"v":1,"l":%q,"i":1,"r":-1}`, list),
		"a rank beyond 32 bits":   seal(`{"v":1,"l":%q,"i":1,"r":1e39}`, list),
		"a year out of range":     seal(`{"v":1,"l":%q,"i":1,"y":10000}`, list),
	} {
		if p, err := decodeCursor(q, text); err == nil {
			t.Errorf("%s: read as %+v, want an error", name, p)
		}
	}
}

// Any text is either refused, or exactly the cursor that the position it gives is written as.
func FuzzDecodeCursor(f *testing.F) {
	for _, sort := range sorts {
		q := book.Query{Limit: 1, Sort: sort.sort}
		if sort.sort.Key == book.ByRelevance {
			q.Text = "x"
		}
		f.Add(Cursor(q, book.Position{ID: 1}), "", sort.name)
		f.Add(Cursor(q, book.Position{ID: 1, Title: "x", Year: new(3), Rank: 0.5}), "a", sort.name)
	}
	f.Add("e30", "", "id")
	f.Fuzz(func(t *testing.T, text, author, sort string) {
		values := url.Values{"cursor": {text}, "sort": {sort}}
		if author != "" {
			values.Set("author", author)
		}
		if sort == "relevance" {
			values.Set("q", "x")
		}
		q, err := List(values.Encode())
		if err != nil {
			if answer := problem.Of(t.Context(), err); answer.Kind.Status != http.StatusBadRequest {
				t.Fatalf("error = %v, want a 400", err)
			}
			return
		}
		if q.After == nil {
			t.Fatal("a cursor was passed over")
		}
		after := *q.After
		q.After = nil
		if got := Cursor(q, after); got != text {
			t.Errorf("read %+v, which is written %q, not %q", after, got, text)
		}
	})
}

// Any query is either refused with a 400 that names each parameter, or a list that package book accepts as it is.
func FuzzParseListQuery(f *testing.F) {
	for _, seed := range []string{
		"", "limit=1", "limit=0&sort=-year&year=-3000", "author=a&author=b", "title=%ff", "title=%00",
		"isbn=0-441-17271-7", "language=EN-us", "limit=99999999999999999999", "a=1;b=2", "%zz", "=", "&&",
		"sort=id'--", "year=１", "cursor=e30",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := List(raw)
		if err != nil {
			answer := problem.Of(t.Context(), err)
			if answer.Kind.Status != http.StatusBadRequest || answer.Detail == "" {
				t.Fatalf("error = %v, want a 400", err)
			}
			for _, e := range answer.Fields {
				if e.Detail == "" {
					t.Errorf("the mistake in %q is not explained", e.Parameter)
				}
			}
			return
		}
		again, err := q.Normalize()
		if err != nil {
			t.Fatalf("accepted %+v, which breaks a rule: %v", q, err)
		}
		if diff := gocmp.Diff(q, again); diff != "" {
			t.Errorf("not in canonical form (-got +canonical):\n%s", diff)
		}
	})
}
