package problem

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"bookshelf/app/internal/book"
)

// A known answer wins over a deadline that passed while it was found.
func TestWhatIsKnownComesBeforeWhatTheClockSays(t *testing.T) {
	t.Parallel()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	expired, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	tests := map[string]struct {
		ctx  context.Context
		err  error
		want Kind // the zero kind is no answer
	}{
		"not found after the client left":     {canceled, book.ErrNotFound, BookNotFound},
		"unknown after the client left":       {canceled, errors.New("x"), Kind{}},
		"unknown after the deadline":          {expired, errors.New("x"), Timeout},
		"unavailable after the deadline":      {expired, book.ErrUnavailable, Timeout},
		"unavailable":                         {t.Context(), fmt.Errorf("a: %w", book.ErrUnavailable), Unavailable},
		"a deadline that is not the client's": {t.Context(), context.DeadlineExceeded, Internal},
		"unknown":                             {t.Context(), errors.New("x"), Internal},
	}
	for name, test := range tests {
		var got Kind
		if answer := Of(test.ctx, test.err); answer != nil {
			got = answer.Kind
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", name, got.Name, test.want.Name)
		}
	}
}
