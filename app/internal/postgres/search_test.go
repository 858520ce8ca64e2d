package postgres_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/postgres"
	"bookshelf/app/internal/postgres/pgtest"
	"bookshelf/app/internal/postgres/schema"
)

// search returns the titles that q finds, best first, read in pages of one.
func search(t *testing.T, s *postgres.Store, q book.Query) []string {
	t.Helper()
	q.Limit = 1
	if q.Text != "" {
		q.Sort = book.Sort{Key: book.ByRelevance}
	}
	var titles []string
	for _, b := range pages(t, s, q, func() {}) {
		titles = append(titles, b.Title)
	}
	return titles
}

func TestSearchFindsWordsWhereverTheyAre(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t).Store(t)
	for _, d := range []book.Draft{
		{Title: "The Whale", Authors: []string{"Herman Melville"}, Language: "en", PublishedYear: new(1851),
			Description: "A captain hunts Moby-Dick, the white whale."},
		{Title: "Der weiße Wal", Authors: []string{"ÖZGÜR Ahab"}, Language: "de", Description: "Don't panic."},
		{Title: "Ahab's Wife", Authors: []string{"Sena Naslund"}, Language: "en-US", PublishedYear: new(1999)},
		{Title: "War and Peace", Authors: []string{"Leo Tolstoy"}, Language: "en", Description: "Война и мир"},
		{Title: "日本 Émile", Authors: []string{"O'Neil", "A b"}},
	} {
		mustCreate(t, s, d)
	}
	for name, test := range map[string]struct {
		q    book.Query
		want []string
	}{
		"a word of the title":                  {book.Query{Text: "peace"}, []string{"War and Peace"}},
		"a word of an author":                  {book.Query{Text: "melville"}, []string{"The Whale"}},
		"a word of the description":            {book.Query{Text: "captain"}, []string{"The Whale"}},
		"words of different places":            {book.Query{Text: "tolstoy war"}, []string{"War and Peace"}},
		"in any case":                          {book.Query{Text: "PEACE"}, []string{"War and Peace"}},
		"in any case beyond ASCII":             {book.Query{Text: "özgür"}, []string{"Der weiße Wal"}},
		"in any case in Cyrillic":              {book.Query{Text: "МИР"}, []string{"War and Peace"}},
		"the title counts more than an author": {book.Query{Text: "ahab"}, []string{"Ahab's Wife", "Der weiße Wal"}},
		"words that other searches leave out":  {book.Query{Text: "and the"}, nil},
		"the and whale":                        {book.Query{Text: "the whale"}, []string{"The Whale"}},
		"only whole words":                     {book.Query{Text: "wha"}, nil},
		"no stems":                             {book.Query{Text: "whales"}, nil},
		"an accent counts":                     {book.Query{Text: "emile"}, nil},
		"with its accent":                      {book.Query{Text: "émile"}, []string{"日本 Émile"}},
		"a part of a compound":                 {book.Query{Text: "moby"}, []string{"The Whale"}},
		"a compound":                           {book.Query{Text: "moby-dick"}, []string{"The Whale"}},
		"words in a row":                       {book.Query{Text: `"white whale"`}, []string{"The Whale"}},
		"not in this row":                      {book.Query{Text: `"whale white"`}, nil},
		"alternatives":                         {book.Query{Text: "peace or whale"}, []string{"The Whale", "War and Peace"}},
		"all but one":                          {book.Query{Text: "ahab -wife"}, []string{"Der weiße Wal"}},
		"a quote that never closes":            {book.Query{Text: `"white whale`}, []string{"The Whale"}},
		"operators are characters":             {book.Query{Text: "whale & | ! ( ) : * <-> \\"}, []string{"The Whale"}},
		"an apostrophe":                        {book.Query{Text: "don't"}, []string{"Der weiße Wal"}},
		"with a filter":                        {book.Query{Text: "ahab", Language: "en"}, []string{"Ahab's Wife"}},
		"with two filters":                     {book.Query{Text: "ahab", Language: "en", Year: new(1851)}, nil},
		"with part of an author":               {book.Query{Text: "whale", Author: "elvill"}, []string{"The Whale"}},

		"the beginning of a name":               {book.Query{AuthorPrefix: "herm"}, []string{"The Whale"}},
		"the whole name":                        {book.Query{AuthorPrefix: "Herman Melville"}, []string{"The Whale"}},
		"more than the name":                    {book.Query{AuthorPrefix: "Herman Melville x"}, nil},
		"not the beginning of a later word":     {book.Query{AuthorPrefix: "melv"}, nil},
		"beyond ASCII":                          {book.Query{AuthorPrefix: "özg"}, []string{"Der weiße Wal"}},
		"the second author":                     {book.Query{AuthorPrefix: "a B"}, []string{"日本 Émile"}},
		"a quote in the name":                   {book.Query{AuthorPrefix: "o'n"}, []string{"日本 Émile"}},
		"a quote where there is none":           {book.Query{AuthorPrefix: "o'x"}, nil},
		"an operator":                           {book.Query{AuthorPrefix: "leo' | 'herman"}, nil},
		"a backslash":                           {book.Query{AuthorPrefix: `\`}, nil},
		"a backslash at the end":                {book.Query{AuthorPrefix: `leo\`}, nil},
		"a wildcard":                            {book.Query{AuthorPrefix: "l*"}, nil},
		"a prefix and a search":                 {book.Query{Text: "whale", AuthorPrefix: "her"}, []string{"The Whale"}},
		"a prefix and a search without overlap": {book.Query{Text: "whale", AuthorPrefix: "leo"}, nil},
	} {
		if diff := gocmp.Diff(test.want, search(t, s, test.q)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestSearchFollowsChanges(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	s := d.Store(t)
	b := mustCreate(t, s, book.Draft{Title: "Emma", Authors: []string{"Jane Austen"}})
	if _, err := s.Replace(t.Context(), b.ID, book.Draft{Title: "Sanditon", Authors: []string{"Another Lady"}}, book.Condition{}); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string][]string{"emma": nil, "austen": nil, "sanditon": {"Sanditon"}, "lady": {"Sanditon"}} {
		if diff := gocmp.Diff(want, search(t, s, book.Query{Text: text})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
	imp, err := s.BeginImport(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer imp.Rollback(t.Context())
	if err := imp.Stage(t.Context(), []postgres.ImportRow{{Line: 1, Draft: persuasion()}}); err != nil {
		t.Fatal(err)
	}
	if _, err := imp.Merge(t.Context(), postgres.Skip, func(postgres.Duplicate) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := imp.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff([]string{"Persuasion"}, search(t, s, book.Query{Text: "elliot"})); diff != "" {
		t.Errorf("an imported book (-want +got):\n%s", diff)
	}
}

// The largest book that there can be must still be found by its words.
func TestTheLargestBookCanBeSearchedFor(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t).Store(t)
	words := func(n int) string { // of three characters and a space, all different
		var b strings.Builder
		for i := range n / 4 {
			fmt.Fprintf(&b, "%c%c%c ", rune(0x10400+i%40), rune(0x10400+i/40%40), rune(0x10400+i/1600))
		}
		return b.String() + "last"
	}
	d := book.Draft{Title: words(480), Description: words(9990)}
	for i := range book.MaxAuthors {
		d.Authors = append(d.Authors, strings.TrimSpace(words(180)+fmt.Sprint(" author", i)))
	}
	normal, err := d.Normalize(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	mustCreate(t, s, normal)
	for _, text := range []string{"last", "author49", words(190)} {
		if got := search(t, s, book.Query{Text: text}); len(got) != 1 {
			t.Errorf("%q finds %d books, want the one", text, len(got))
		}
	}
	if got := search(t, s, book.Query{AuthorPrefix: d.Authors[7]}); len(got) != 1 {
		t.Errorf("the longest name finds %d books, want the one", len(got))
	}
}

// Clients insert, change and delete books while others read all pages of a list, in every order.
func TestPagesAreStableUnderConcurrentChanges(t *testing.T) {
	t.Parallel()
	orders := map[string]book.Query{
		"by relevance": {Text: "emma or zadig or 日本", Sort: book.Sort{Key: book.ByRelevance}},
	}
	for name, sort := range sorts {
		orders[name] = book.Query{Sort: sort}
	}
	d := pgtest.New(t)
	opts := postgres.Options{Options: d.App}
	opts.MaxConns = 12
	s, err := postgres.Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	titles := []string{"Emma", "Zadig", "日本", "Emma and Zadig", "日本 日本"}
	stable := map[int64]bool{}
	for range 50 {
		draft := randomDraft(random)
		draft.Title, draft.Description = titles[random.IntN(len(titles))], strings.Repeat("zadig ", random.IntN(3))
		stable[mustCreate(t, s, draft).ID] = true
	}

	ctx, stop := context.WithCancel(t.Context())
	var changes sync.WaitGroup
	for writer := range uint64(3) {
		changes.Go(func() { disturb(ctx, t, s, rand.New(rand.NewPCG(seed, writer+1))) })
	}
	var reading sync.WaitGroup
	for name, q := range orders {
		reading.Go(func() {
			for _, q.Limit = range []int{2, 7} {
				seen := map[int64]int{}
				for _, b := range pages(t, s, q, func() {}) {
					seen[b.ID]++
				}
				for id := range stable {
					if seen[id] != 1 {
						t.Errorf("seed %d, %s, pages of %d: book %d, which was there all the while, was read %d times",
							seed, name, q.Limit, id, seen[id])
					}
				}
			}
		})
	}
	reading.Wait()
	stop()
	changes.Wait()
}

// disturb inserts, changes and deletes books of its own until ctx ends, never more than a few at a time.
func disturb(ctx context.Context, t *testing.T, s *postgres.Store, random *rand.Rand) {
	t.Helper()
	var own []int64
	for ctx.Err() == nil {
		var err error
		switch i := random.IntN(max(len(own), 1)); {
		case len(own) < 10 || random.IntN(3) == 0 && len(own) < 20:
			var b book.Book
			b, err = s.Create(ctx, randomDraft(random))
			own = append(own, b.ID)
		case random.IntN(2) == 0:
			_, err = s.Replace(ctx, own[i], randomDraft(random), book.Condition{})
		default:
			err = s.Delete(ctx, own[i], book.Condition{})
			own = slices.Delete(own, i, i+1)
		}
		if err != nil && ctx.Err() == nil {
			t.Error(err)
			return
		}
	}
}

// TestSearchUsesItsIndices asks the planner: without them every search reads the whole catalogue.
func TestSearchUsesItsIndices(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	conn := d.Conn(t, d.Superuser)
	for _, sql := range []string{
		`INSERT INTO books (title, authors) SELECT md5(i::text), ARRAY[md5((i + 1)::text)] FROM generate_series(1, 5000) AS i`,
		"VACUUM ANALYZE books", // new entries wait in a list beside the index, which the planner counts against it
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	for index, q := range map[string]book.Query{
		"books_search_idx":       {Text: "c4ca4238a0b923820dcc509a6f75849b", Sort: book.Sort{Key: book.ByRelevance}, Limit: 10},
		"books_author_names_idx": {AuthorPrefix: "c81e728d9", Limit: 10},
	} {
		sql, args := postgres.ListStatement(q)
		var plan []string
		rows, err := conn.Query(t.Context(), "EXPLAIN "+sql, args...)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				t.Fatal(err)
			}
			plan = append(plan, line)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		if text := strings.Join(plan, "\n"); !strings.Contains(text, "Bitmap Index Scan on "+index) {
			t.Errorf("%s is not used:\n%s", index, text)
		}
	}
}

// A migration that meets books, and one that failed half way, both end with every book found.
func TestBooksFromBeforeTheSearchAreFound(t *testing.T) {
	t.Parallel()
	for name, before := range map[string][]string{
		"the first attempt": nil,
		"after an attempt that failed": {
			"ALTER TABLE books ADD COLUMN search tsvector, ADD COLUMN author_names tsvector",
			"UPDATE books SET search = '', author_names = '' WHERE title = 'none'",
			"CREATE INDEX books_search_idx ON books (id)", // stands for one that is not valid
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := pgtest.Empty(t)
			if err := schema.To(t.Context(), d.Owner, 3, quiet); err != nil {
				t.Fatal(err)
			}
			// More than a batch, and with a gap in the IDs.
			exec(t, d, d.Owner, `INSERT INTO books (title, authors) SELECT 'Volume ' || i, '{Jane Austen}' FROM generate_series(1, 2500) AS i`)
			exec(t, d, d.Owner, `DELETE FROM books WHERE id BETWEEN 500 AND 1700`)
			for _, sql := range before {
				exec(t, d, d.Owner, sql)
			}
			if err := schema.Migrate(t.Context(), d.Owner, quiet); err != nil {
				t.Fatal(err)
			}
			s := d.Store(t)
			if got := search(t, s, book.Query{Text: "austen 2400"}); len(got) != 1 {
				t.Errorf("a book from before is found %d times", len(got))
			}
			var missing, changed int
			err := d.Conn(t, d.Owner).QueryRow(t.Context(), `
				SELECT count(*) FILTER (WHERE search IS NULL OR author_names IS NULL), count(*) FILTER (WHERE version <> 1) FROM books`,
			).Scan(&missing, &changed)
			if err != nil || missing != 0 || changed != 0 {
				t.Errorf("%d books were left out, %d have another version, %v", missing, changed, err)
			}
			// What the version before writes.
			exec(t, d, d.App, `INSERT INTO books (title, authors, isbn13, published_year, language, description)
				VALUES ('Sanditon', '{Jane Austen}', NULL, NULL, NULL, '')`)
			if got := search(t, s, book.Query{Text: "sanditon", AuthorPrefix: "jane"}); len(got) != 1 {
				t.Errorf("a book of the version before is found %d times", len(got))
			}
		})
	}
}

var quiet = slog.New(slog.DiscardHandler)
