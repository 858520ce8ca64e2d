package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/postgres/pgtest"
)

// Rows are decoded from their bytes here; PostgreSQL's own JSON of the same rows shows whether they are understood.
func TestRowsAreDecodedAsPostgreSQLMeansThem(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	s := d.Store(t)
	drafts := []book.Draft{
		{Title: "E", Authors: []string{"A"}},
		{
			Title: "Les Misérables 😀", Authors: []string{"Victor Hugo", "村上春樹", "O'Brien, \"Flann\", {x}", `back\slash`}, ISBN: "9780141439686",
			PublishedYear: new(1862), Language: "fr", Description: "long\n" + strings.Repeat("é", 9000),
		},
		{Title: "Odyssey", Authors: []string{"Homer"}, PublishedYear: new(-800), Description: "x"},
		{Title: "Year nought", Authors: []string{"Nobody"}, PublishedYear: new(0), Language: "en-GB"},
	}
	for i := range 49 {
		drafts[0].Authors = append(drafts[0].Authors, fmt.Sprint(i))
	}
	var created []book.Book
	for _, draft := range drafts {
		created = append(created, mustCreate(t, s, draft))
	}
	conn := d.Conn(t, d.Owner)
	for i, want := range created {
		var row struct {
			book.Book

			ISBN, Language *string
		}
		err := conn.QueryRow(t.Context(), `SELECT id, title, authors, isbn13, published_year, language, description, version,
			created_at, updated_at FROM books WHERE id = $1`, want.ID).Scan(&row.ID, &row.Title, &row.Authors, &row.ISBN,
			&row.PublishedYear, &row.Language, &row.Description, &row.Version, &row.CreatedAt, &row.UpdatedAt)
		if err != nil {
			t.Fatal(err)
		}
		row.CreatedAt, row.UpdatedAt = row.CreatedAt.UTC(), row.UpdatedAt.UTC()
		if row.ISBN != nil {
			row.ISBN13 = *row.ISBN
		}
		if row.Language != nil {
			row.Book.Language = *row.Language
		}
		if diff := cmp.Diff(row.Book, want); diff != "" {
			t.Errorf("book %d (-as the driver reads it +as created):\n%s", i, diff)
		}
		got, err := s.Get(t.Context(), want.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(row.Book, got); diff != "" {
			t.Errorf("book %d (-as the driver reads it +as read):\n%s", i, diff)
		}
	}
	listed, _, err := s.List(t.Context(), book.Query{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(created, listed); diff != "" {
		t.Errorf("list (-created +listed):\n%s", diff)
	}
}

func TestAColumnOfAnotherTypeIsAnError(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	s := d.Store(t)
	b := mustCreate(t, s, persuasion())
	if _, err := d.Conn(t, d.Owner).Exec(t.Context(), `
		ALTER TABLE books RENAME TO stored;
		CREATE VIEW books AS SELECT id, title, authors, isbn13, published_year::text, language, description, version,
			created_at, updated_at FROM stored;
		GRANT SELECT ON books TO PUBLIC`); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), b.ID); err == nil || !strings.Contains(err.Error(), "published_year") {
		t.Errorf("%v, want an error that names the column", err)
	}
}
