package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// ListStatement lets a test ask the planner about the statements of List.
var ListStatement = listStatement

// MatchWithoutISBN compares staged rows with stored books by more than a unique key.
const MatchWithoutISBN = matchWithoutISBN

// Plan returns the lines of the planner's answer to a statement of the import.
func (i *Import) Plan(ctx context.Context, sql string) ([]string, error) {
	if _, err := i.tx.Exec(ctx, "ANALYZE staged_books"); err != nil {
		return nil, err
	}
	rows, err := i.tx.Query(ctx, "EXPLAIN "+sql)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// Places is how many statements may look books up at the same time.
func (s *Store) Places() int { return s.reads.places }

// Reads tells how many of the places are taken, and how many look-ups wait for one.
func (s *Store) Reads() (taken, waiting int) {
	s.reads.mu.Lock()
	defer s.reads.mu.Unlock()
	return s.reads.taken, len(s.reads.waiting)
}
