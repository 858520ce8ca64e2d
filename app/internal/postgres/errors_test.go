package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"bookshelf/app/internal/book"
)

func TestErrorsOfTheServerBecomeThoseOfTheDomain(t *testing.T) {
	t.Parallel()
	const isbn = "9780141439686"
	for name, test := range map[string]struct {
		err  error
		want error
	}{
		"no row":       {pgx.ErrNoRows, book.ErrNotFound},
		"a taken ISBN": {&pgconn.PgError{Code: "23505", ConstraintName: "books_isbn13_key"}, &book.ConflictError{Field: "isbn13", Value: isbn}},
		"a broken rule": {
			&pgconn.PgError{Code: "23514", ConstraintName: "books_title_blank"},
			&book.InvalidError{Violations: []book.Violation{{Pointer: "/title", Detail: "must not be blank"}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := bookError("insert book", fmt.Errorf("driver: %w", test.err), isbn)
			var conflict *book.ConflictError
			var invalid *book.InvalidError
			switch {
			case errors.Is(got, test.want):
			case errors.As(got, &conflict):
				if diff := cmp.Diff(test.want, error(conflict)); diff != "" {
					t.Errorf("conflict (-want +got):\n%s", diff)
				}
			case errors.As(got, &invalid):
				if diff := cmp.Diff(test.want, error(invalid)); diff != "" {
					t.Errorf("violations (-want +got):\n%s", diff)
				}
			default:
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

func TestErrorsThatMayPassAreTold(t *testing.T) {
	t.Parallel()
	code := func(c string) error { return &pgconn.PgError{Code: c} }
	for name, test := range map[string]struct {
		err  error
		want bool
	}{
		"connection refused":           {&net.OpError{Op: "dial", Err: errors.New("connection refused")}, true},
		"connection lost":              {io.ErrUnexpectedEOF, true},
		"connection closed":            {net.ErrClosed, true},
		"connection failure":           {code("08006"), true},
		"too many connections":         {code("53300"), true},
		"the server is shutting down":  {code("57P01"), true},
		"the statement took too long":  {code("57014"), true},
		"the server is a standby":      {code("25006"), true},
		"no password file":             {fmt.Errorf("read: %w", &fs.PathError{Op: "open", Err: fs.ErrNotExist}), true},
		"a statement that is wrong":    {code("42601"), false},
		"a missing right":              {code("42501"), false},
		"an unknown unique constraint": {&pgconn.PgError{Code: "23505", ConstraintName: "other_key"}, false},
		"an unknown check constraint":  {&pgconn.PgError{Code: "23514", ConstraintName: "other_check"}, false},
		"the client left":              {context.Canceled, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := bookError("select book", test.err, "")
			if errors.Is(got, book.ErrUnavailable) != test.want || !errors.Is(got, test.err) {
				t.Errorf("%v: unavailable %t, want %t and the cause kept", got, !test.want, test.want)
			}
		})
	}
}
