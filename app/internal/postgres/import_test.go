package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/postgres"
	"bookshelf/app/internal/postgres/pgtest"
)

// TestMatchingGrowsWithTheRowsNotTheirSquare asks the planner: a loop over the books for every row of a large file would
// not end within a day.
func TestMatchingGrowsWithTheRowsNotTheirSquare(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	exec(t, d, d.Owner, `INSERT INTO books (title, authors, published_year)
		SELECT 'Volume ' || i, '{A}', nullif(i % 50, 0) FROM generate_series(1, 5000) AS i`)
	exec(t, d, d.Owner, "ANALYZE books")
	imp, err := d.Store(t).BeginImport(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer imp.Rollback(t.Context())
	var rows []postgres.ImportRow
	for i := range 5000 {
		rows = append(rows, postgres.ImportRow{Line: int64(i), Draft: book.Draft{Title: fmt.Sprint("Volume ", i), Authors: []string{"A"}}})
	}
	if err := imp.Stage(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	plan, err := imp.Plan(t.Context(), postgres.MatchWithoutISBN)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(plan, "\n")
	if strings.Contains(text, "SubPlan") || strings.Contains(text, "Nested Loop") {
		t.Errorf("the plan loops:\n%s", text)
	}
}

func TestCommitAndRollbackMayFollowEachOther(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t).Store(t)
	imp, err := s.BeginImport(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := imp.Stage(t.Context(), []postgres.ImportRow{{Line: 1, Draft: persuasion()}}); err != nil {
		t.Fatal(err)
	}
	merged, err := imp.Merge(t.Context(), postgres.Skip, func(d postgres.Duplicate) error {
		t.Errorf("%+v is taken for a duplicate", d)
		return nil
	})
	if err != nil || merged.Inserted != 1 {
		t.Fatalf("merged %+v, %v; want one book", merged, err)
	}
	if err := imp.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := imp.Rollback(t.Context()); err != nil {
		t.Errorf("rollback after the commit: %v", err)
	}
	if books, _, err := s.List(t.Context(), book.Query{Limit: 2}); err != nil || len(books) != 1 {
		t.Errorf("%d books, %v; want the one that was committed", len(books), err)
	}
}
