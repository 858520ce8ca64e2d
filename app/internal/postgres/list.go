package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"bookshelf/app/internal/book"
)

// Stand-ins for a missing year that sort after every year there can be, up or down. The indices are on the same
// expressions.
const (
	yearAscending  = "coalesce(published_year, 32767)"
	yearDescending = "coalesce(published_year, -32768)"
)

// List returns a page of the books that q asks for, and the position to ask for the next page with, nil on the last. It
// reads by keyset: a page's cost does not grow with its number, and a book that is neither inserted nor deleted between
// two pages is on exactly one of them. It returns a *book.InvalidError when q breaks a rule of book.Query.Normalize.
func (s *Store) List(ctx context.Context, q book.Query) ([]book.Book, *book.Position, error) {
	q, err := q.Normalize()
	if err != nil {
		return nil, nil, err
	}
	sql, args := listStatement(q)
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, nil, bookError("list books", err, "")
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[bookRow])
	if err != nil {
		return nil, nil, bookError("list books", err, "")
	}
	more := len(found) > q.Limit
	if more {
		found = found[:q.Limit]
	}
	books := make([]book.Book, len(found))
	for i, row := range found {
		books[i] = row.book()
	}
	if !more {
		return books, nil, nil
	}
	return books, position(books[len(books)-1], q.Sort.Key), nil
}

// position keeps of the book what the order needs.
func position(b book.Book, key book.SortKey) *book.Position {
	p := &book.Position{ID: b.ID}
	switch key {
	case book.ByTitle:
		p.Title = b.Title
	case book.ByYear:
		p.Year = b.PublishedYear
	}
	return p
}

// statement collects conditions and their arguments.
type statement struct {
	conditions []string
	args       []any
}

// where adds a condition; each %s stands for the placeholder of one argument.
func (s *statement) where(condition string, args ...any) {
	placeholders := make([]any, len(args))
	for i, arg := range args {
		s.args = append(s.args, arg)
		placeholders[i] = fmt.Sprintf("$%d", len(s.args))
	}
	s.conditions = append(s.conditions, fmt.Sprintf(condition, placeholders...))
}

// listStatement writes the SELECT for q. It asks for one row more than the page holds, to know whether another follows.
func listStatement(q book.Query) (string, []any) {
	var s statement
	s.filter(q)
	order := s.order(q)
	sql := "SELECT " + columns + " FROM books"
	if len(s.conditions) > 0 {
		sql += " WHERE " + strings.Join(s.conditions, " AND ")
	}
	s.args = append(s.args, q.Limit+1)
	return sql + fmt.Sprintf(" ORDER BY %s LIMIT $%d", order, len(s.args)), s.args
}

// filter compares without regard to case by ICU's rules, because lower() in a database of locale C knows only ASCII.
// strpos takes the text as it is, where LIKE would need its wildcards escaped.
func (s *statement) filter(q book.Query) {
	if q.Author != "" {
		s.where(`EXISTS (SELECT FROM unnest(authors) AS name
			WHERE strpos(lower(name COLLATE "und-x-icu"), lower(%s COLLATE "und-x-icu")) > 0)`, q.Author)
	}
	if q.Title != "" {
		s.where(`strpos(lower(title COLLATE "und-x-icu"), lower(%s COLLATE "und-x-icu")) > 0`, q.Title)
	}
	if q.ISBN != "" {
		s.where("isbn13 = %s", q.ISBN)
	}
	if q.Year != nil {
		// By the indexed expression: no year is equal to the stand-in.
		s.where(yearAscending+" = %s", *q.Year)
	}
	if q.Language != "" {
		// Tags are stored in canonical case, and so is the range.
		s.where("(language = %[1]s OR starts_with(language, %[1]s || '-'))", q.Language)
	}
}

// order adds the condition that starts the page behind q.After, and returns the ORDER BY list. Both name the same
// expressions in the same collation as one of the indices.
func (s *statement) order(q book.Query) string {
	than, direction := ">", "ASC"
	if q.Sort.Descending {
		than, direction = "<", "DESC"
	}
	if q.Sort.Key == book.ByID {
		if q.After != nil {
			s.where("id "+than+" %s", q.After.ID)
		}
		return "id " + direction
	}
	expression, nullYear := `title COLLATE "C"`, 0
	if q.Sort.Key == book.ByYear {
		expression, nullYear = yearAscending, 32767
		if q.Sort.Descending {
			expression, nullYear = yearDescending, -32768
		}
	}
	if q.After != nil {
		var key any = q.After.Title
		if q.Sort.Key == book.ByYear {
			key = nullYear
			if q.After.Year != nil {
				key = *q.After.Year
			}
		}
		s.where("("+expression+", id) "+than+" (%s, %s)", key, q.After.ID)
	}
	return expression + " " + direction + ", id " + direction
}
