package postgres_test

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/postgres"
	"bookshelf/app/internal/postgres/pgtest"
)

var sorts = map[string]book.Sort{
	"by id":                 {Key: book.ByID},
	"by id descending":      {Key: book.ByID, Descending: true},
	"by title":              {Key: book.ByTitle},
	"by title descending":   {Key: book.ByTitle, Descending: true},
	"by year":               {Key: book.ByYear},
	"by year, newest first": {Key: book.ByYear, Descending: true},
}

// compare is the order that the documentation of book.Sort promises, in Go.
func compare(s book.Sort) func(a, b book.Book) int {
	return func(a, b book.Book) int {
		c := 0
		switch s.Key {
		case book.ByTitle:
			c = strings.Compare(a.Title, b.Title)
		case book.ByYear:
			switch {
			case a.PublishedYear == nil && b.PublishedYear == nil:
			case a.PublishedYear == nil:
				return 1
			case b.PublishedYear == nil:
				return -1
			default:
				c = cmp.Compare(*a.PublishedYear, *b.PublishedYear)
			}
		}
		c = cmp.Or(c, cmp.Compare(a.ID, b.ID))
		if s.Descending {
			return -c
		}
		return c
	}
}

// pages reads a whole list and calls between after each page.
func pages(t *testing.T, s *postgres.Store, q book.Query, between func()) []book.Book {
	t.Helper()
	var all []book.Book
	for {
		books, next, err := s.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if len(books) > q.Limit {
			t.Fatalf("a page of %d books, want at most %d", len(books), q.Limit)
		}
		all = append(all, books...)
		if next == nil {
			return all
		}
		if len(books) != q.Limit {
			t.Fatalf("a page of %d books is followed by another, want %d", len(books), q.Limit)
		}
		q.After = next
		between()
	}
}

// randomDraft draws from few titles and years, so that there are many ties.
func randomDraft(random *rand.Rand) book.Draft {
	titles := []string{"Emma", "emma", "Émile", "Zadig", "Ænigma", "É", "Emma ", "日本", "😀"}
	d := book.Draft{Title: strings.TrimSpace(titles[random.IntN(len(titles))]), Authors: []string{"A"}}
	if y := random.IntN(6); y > 0 {
		d.PublishedYear = new(y - 3)
	}
	return d
}

func TestPagesTogetherAreTheOrderedList(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t).Store(t)
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	var all []book.Book
	for range 60 {
		all = append(all, mustCreate(t, s, randomDraft(random)))
	}
	for name, sort := range sorts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := slices.SortedFunc(slices.Values(all), compare(sort))
			for _, limit := range []int{1, 7, 59, 60, 61} {
				got := pages(t, s, book.Query{Sort: sort, Limit: limit}, func() {})
				if diff := gocmp.Diff(want, got); diff != "" {
					t.Errorf("seed %d, pages of %d (-want +got):\n%s", seed, limit, diff)
				}
			}
		})
	}
}

// TestStableBooksAppearOnceWhileOthersChange inserts, moves and deletes books between two pages.
func TestStableBooksAppearOnceWhileOthersChange(t *testing.T) {
	t.Parallel()
	for name, sort := range sorts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := pgtest.New(t).Store(t)
			seed := rand.Uint64()
			random := rand.New(rand.NewPCG(seed, 0))
			var stable, restless []book.Book
			for i := range 60 {
				b := mustCreate(t, s, randomDraft(random))
				if i%2 == 0 {
					stable = append(stable, b)
				} else {
					restless = append(restless, b)
				}
			}
			isStable := map[int64]bool{}
			for _, b := range stable {
				isStable[b.ID] = true
			}
			got := pages(t, s, book.Query{Sort: sort, Limit: 3}, func() {
				if len(restless) == 0 {
					return
				}
				i := random.IntN(len(restless))
				if err := s.Delete(t.Context(), restless[i].ID, book.Condition{}); err != nil {
					t.Fatal(err)
				}
				restless = slices.Delete(restless, i, i+1)
				// One in, for one out: without it the list would end early. An insertion may appear or not.
				mustCreate(t, s, randomDraft(random))
				if len(restless) > 0 {
					_, err := s.Replace(t.Context(), restless[0].ID, randomDraft(random), book.Condition{})
					if err != nil {
						t.Fatal(err)
					}
				}
			})
			got = slices.DeleteFunc(got, func(b book.Book) bool { return !isStable[b.ID] })
			if diff := gocmp.Diff(slices.SortedFunc(slices.Values(stable), compare(sort)), got); diff != "" {
				t.Errorf("seed %d: books that did not change (-want +got):\n%s", seed, diff)
			}
		})
	}
}

func TestFiltersFindExactlyWhatTheyPromise(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	s := d.Store(t)
	for _, draft := range []book.Draft{
		{Title: "Émile", Authors: []string{"Jean-Jacques Rousseau"}, PublishedYear: new(1762), Language: "fr", ISBN: "9782080711175"},
		{Title: "100 % Wolf_e\\n", Authors: []string{"A. One", "ÖZGÜR Two"}, PublishedYear: new(0), Language: "en-US"},
		{Title: "Der Wolf", Authors: []string{"O'Neil"}, PublishedYear: new(-44), Language: "enm"},
		{Title: "Emma", Authors: []string{"Jane Austen"}, Language: "en"},
	} {
		mustCreate(t, s, draft)
	}
	for name, test := range map[string]struct {
		q    book.Query
		want []string
	}{
		"no filter":                         {book.Query{}, []string{"Émile", "100 % Wolf_e\\n", "Der Wolf", "Emma"}},
		"title in another case":             {book.Query{Title: "WOLF"}, []string{"100 % Wolf_e\\n", "Der Wolf"}},
		"title beyond ASCII":                {book.Query{Title: "éMILE"}, []string{"Émile"}},
		"an accent counts":                  {book.Query{Title: "Emile"}, nil},
		"a percent sign is no wildcard":     {book.Query{Title: "1%W"}, nil},
		"an underscore is no wildcard":      {book.Query{Title: "f_e"}, []string{"100 % Wolf_e\\n"}},
		"a backslash is a character":        {book.Query{Title: `\N`}, []string{"100 % Wolf_e\\n"}},
		"an empty match of only a wildcard": {book.Query{Title: "%%"}, nil},
		"any author":                        {book.Query{Author: "özgür"}, []string{"100 % Wolf_e\\n"}},
		"an apostrophe":                     {book.Query{Author: "o'n"}, []string{"Der Wolf"}},
		"not across two authors":            {book.Query{Author: "One ÖZ"}, nil},
		"ISBN with hyphens":                 {book.Query{ISBN: "978-2-08-071117-5"}, []string{"Émile"}},
		"ISBN-10":                           {book.Query{ISBN: "2080711172"}, []string{"Émile"}},
		"year":                              {book.Query{Year: new(-44)}, []string{"Der Wolf"}},
		"year 0 is not a missing year":      {book.Query{Year: new(0)}, []string{"100 % Wolf_e\\n"}},
		"language range":                    {book.Query{Language: "EN"}, []string{"100 % Wolf_e\\n", "Emma"}},
		"language with region":              {book.Query{Language: "en-us"}, []string{"100 % Wolf_e\\n"}},
		"all must hold":                     {book.Query{Title: "wolf", Language: "en"}, []string{"100 % Wolf_e\\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for sortName, sort := range sorts { // filters and positions share the numbering of arguments
				q := test.q
				q.Limit, q.Sort = 1, sort
				var got []string
				for _, b := range slices.SortedFunc(slices.Values(pages(t, s, q, func() {})), compare(book.Sort{})) {
					got = append(got, b.Title)
				}
				if diff := gocmp.Diff(test.want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", sortName, diff)
				}
			}
		})
	}
}

func TestListRefusesAnInvalidQuery(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t).Store(t)
	var invalid *book.InvalidError
	if _, _, err := s.List(t.Context(), book.Query{Title: "nul\x00", Limit: 1}); !errors.As(err, &invalid) {
		t.Errorf("list: %v, want an InvalidError", err)
	}
}

// TestEveryOrderIsReadFromAnIndex asks the planner, because a page that is sorted first gets slower with the catalogue.
func TestEveryOrderIsReadFromAnIndex(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	conn := d.Conn(t, d.Superuser)
	for _, sql := range []string{
		`INSERT INTO books (title, authors, published_year)
			SELECT md5(i::text), '{A}', nullif(i % 300, 0) FROM generate_series(1, 5000) AS i`,
		"ANALYZE books",
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	for name, sort := range sorts {
		for _, after := range []*book.Position{nil, {ID: 2500, Title: "8", Year: new(150)}, {ID: 2500}} {
			sql, args := postgres.ListStatement(book.Query{Sort: sort, Limit: 10, After: after})
			rows, err := conn.Query(t.Context(), "EXPLAIN "+sql, args...)
			if err != nil {
				t.Fatal(err)
			}
			var plan strings.Builder
			for rows.Next() {
				var line string
				if err := rows.Scan(&line); err != nil {
					t.Fatal(err)
				}
				fmt.Fprintln(&plan, line)
			}
			if err := rows.Err(); err != nil {
				t.Fatal(err)
			}
			usesIndex := strings.Contains(plan.String(), "Index Scan")
			startsThere := after == nil || strings.Contains(plan.String(), "Index Cond")
			if !usesIndex || !startsThere || strings.Contains(plan.String(), "Sort") || strings.Contains(plan.String(), "Filter") {
				t.Errorf("%s after %v:\n%s", name, after, plan.String())
			}
		}
	}
}
