package postgres

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/postgres/database"
)

// SQLSTATE codes (PostgreSQL manual, appendix A).
const (
	codeUniqueViolation = "23505"
	codeCheckViolation  = "23514"
)

const isbnKey = "books_isbn13_key"

// checks maps each CHECK constraint that a draft can break to the pointer and the rule that package book would name.
var checks = map[string]book.Violation{
	"books_title_length":         {Pointer: "/title", Detail: "is too long"},
	"books_title_blank":          {Pointer: "/title", Detail: "must not be blank"},
	"books_title_control":        {Pointer: "/title", Detail: "must not contain control characters"},
	"books_authors_count":        {Pointer: "/authors", Detail: "must name at least one author and not too many"},
	"books_authors_length":       {Pointer: "/authors", Detail: "must not contain a name that is too long"},
	"books_authors_blank":        {Pointer: "/authors", Detail: "must not contain a blank name"},
	"books_authors_control":      {Pointer: "/authors", Detail: "must not contain control characters"},
	"books_isbn13_checksum":      {Pointer: "/isbn13", Detail: "must be an ISBN with a correct check digit"},
	"books_published_year_range": {Pointer: "/published_year", Detail: "is out of range"},
	"books_language_form":        {Pointer: "/language", Detail: "must be a language tag of RFC 5646"},
	"books_description_length":   {Pointer: "/description", Detail: "is too long"},
	"books_description_control":  {Pointer: "/description", Detail: "must not contain control characters"},
}

// bookError turns PostgreSQL's errors into those of package book where a client caused them or may try again, and prefixes
// all others with the operation. isbn is the one the statement tried to store.
func bookError(operation string, err error, isbn string) error {
	var pgErr *pgconn.PgError
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return book.ErrNotFound
	case !errors.As(err, &pgErr):
		// A lost connection, a time-out, a cancelled context.
	case pgErr.Code == codeUniqueViolation && pgErr.ConstraintName == isbnKey:
		return &book.ConflictError{Field: "isbn13", Value: isbn}
	case pgErr.Code == codeCheckViolation:
		if violation, ok := checks[pgErr.ConstraintName]; ok {
			return &book.InvalidError{Violations: []book.Violation{violation}}
		}
	}
	if database.Unavailable(err) {
		return fmt.Errorf("%s: %w: %w", operation, book.ErrUnavailable, err)
	}
	return fmt.Errorf("%s: %w", operation, err)
}
