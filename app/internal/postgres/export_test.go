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
