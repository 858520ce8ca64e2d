// Package bookimport reads books from CSV and JSON lines into the catalogue.
package bookimport

import (
	"context"
	"errors"
	"io"

	"bookshelf/app/internal/postgres"
)

// UsageError says that the command line is wrong; nothing was read or changed.
type UsageError struct {
	Err error
}

func (e *UsageError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *UsageError) Unwrap() error { return e.Err }

// Command runs the import command with args, the command line behind the word "import".
func Command(ctx context.Context, args []string, open func(context.Context) (*postgres.Store, error), stdin io.Reader, stdout, stderr io.Writer) error {
	return &UsageError{Err: errors.New("no file given")}
}
