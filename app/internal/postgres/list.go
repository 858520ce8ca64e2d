package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/postgres/bookrow"
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
	defer rows.Close()
	books := make([]book.Book, 0, q.Limit)
	var last listed
	for rows.Next() {
		if len(books) == q.Limit {
			rows.Close()
			return books, last.position(q.Sort.Key), nil
		}
		if last, err = scanListed(rows); err != nil {
			return nil, nil, bookError("list books", err, "")
		}
		books = append(books, last.Book)
	}
	if err := rows.Err(); err != nil {
		return nil, nil, bookError("list books", err, "")
	}
	return books, nil, nil
}

// listed is a row of a list.
type listed struct {
	book.Book

	rank float32 // 0 where the order does not depend on it
}

// scanListed reads a row of columns and the rank.
func scanListed(row pgx.CollectableRow) (listed, error) {
	b, err := bookrow.Scan(row)
	if err != nil {
		return listed{}, err
	}
	raw := row.RawValues()
	if n := len(raw) - 1; n != bookrow.Width || len(raw[n]) != 4 || row.FieldDescriptions()[n].DataTypeOID != pgtype.Float4OID {
		return listed{}, errors.New("the row of a list does not end with its rank")
	}
	rank := math.Float32frombits(binary.BigEndian.Uint32(raw[bookrow.Width]))
	return listed{Book: b, rank: rank}, nil
}

// position keeps of the row what the order needs.
func (l listed) position(key book.SortKey) *book.Position {
	p := &book.Position{ID: l.ID}
	switch key {
	case book.ByTitle:
		p.Title = l.Title
	case book.ByYear:
		p.Year = l.PublishedYear
	case book.ByRelevance:
		p.Rank = l.rank
	}
	return p
}

// statement collects conditions and their arguments.
type statement struct {
	conditions []string
	args       []any
	rank       string // how well a book fits the text that is searched for; a constant where the order does not ask
}

// where adds a condition; each %s stands for the placeholder of one argument.
func (s *statement) where(condition string, args ...any) {
	placeholders := make([]any, len(args))
	for i, arg := range args {
		placeholders[i] = s.placeholder(arg)
	}
	s.conditions = append(s.conditions, fmt.Sprintf(condition, placeholders...))
}

// placeholder adds an argument and returns what stands for it.
func (s *statement) placeholder(arg any) string {
	s.args = append(s.args, arg)
	return fmt.Sprintf("$%d", len(s.args))
}

// listStatement writes the SELECT for q. It asks for one row more than the page holds, to know whether another follows.
func listStatement(q book.Query) (string, []any) {
	s := statement{rank: "0::real"}
	s.filter(q)
	order := s.order(q)
	sql := "SELECT " + bookrow.Columns + ", " + s.rank + " AS rank FROM books"
	if len(s.conditions) > 0 {
		sql += " WHERE " + strings.Join(s.conditions, " AND ")
	}
	return sql + " ORDER BY " + order + " LIMIT " + s.placeholder(q.Limit+1), s.args
}

// filter compares without regard to case by ICU's rules, because lower() in a database of locale C knows only ASCII.
// strpos takes the text as it is, where LIKE would need its wildcards escaped.
func (s *statement) filter(q book.Query) {
	if q.Text != "" {
		text := `websearch_to_tsquery('pg_catalog.simple', lower(` + s.placeholder(q.Text) + ` COLLATE "und-x-icu"))`
		s.where("search @@ " + text)
		if q.Sort.Key == book.ByRelevance {
			s.rank = "ts_rank(search, " + text + ")"
		}
	}
	if q.AuthorPrefix != "" {
		// A name is one lexeme, so nothing takes it or the prefix apart: the two are compared as they are, by an index.
		s.where(`author_names @@ lower(%s COLLATE "und-x-icu")::tsquery`, "'"+quoteLexeme.Replace(q.AuthorPrefix)+"':*")
	}
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

// quoteLexeme writes a text between the quotes of a tsquery (PostgreSQL manual, section 8.11.2).
var quoteLexeme = strings.NewReplacer("'", "''", `\`, `\\`)

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
	if q.Sort.Key == book.ByRelevance {
		if q.After != nil {
			// The cast makes the comparison one of equal types: a rank of 32 bits read as 64 is not the same number.
			s.where("("+s.rank+" < %[1]s::real OR "+s.rank+" = %[1]s::real AND id > %[2]s)", q.After.Rank, q.After.ID)
		}
		return "rank DESC, id"
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
