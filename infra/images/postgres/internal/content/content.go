// Package content says what a database holds in a form that two databases can be compared by: of each table the number of rows, a hash
// over all of them, and the time of the newest. It knows nothing of what the tables mean.
package content

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Content is what a database holds at one moment.
type Content struct {
	// System is the cluster's identifier, which it keeps through backup and restore and shares with no other.
	System   string  `json:"system"`
	Database string  `json:"database"`
	Tables   []Table `json:"tables"`
}

// Table is what one table holds.
type Table struct {
	Name string `json:"name"` // with its schema, quoted where SQL asks for that
	Rows int64  `json:"rows"`
	// Hash is the sum of a hash of each row: the order of rows, which nothing promises, does not matter.
	Hash string `json:"hash"`
	// Newest is the latest time in the columns that are filled with the current time by default; nil where there is none.
	Newest *time.Time `json:"newest,omitempty"`
}

// settings make a row's text the same whoever asks for it.
const settings = `SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO, MDY'; SET LOCAL intervalstyle = 'postgres';
SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex'; SET LOCAL lc_monetary = 'C'; SET LOCAL search_path = ''`

// listTables finds what a backup holds: permanent tables and partitions that are none of the system's.
const listTables = `
SELECT format('%I.%I', n.nspname, c.relname),
       coalesce((SELECT array_agg(quote_ident(a.attname) ORDER BY a.attnum)
                   FROM pg_catalog.pg_attribute a
                   JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
                  WHERE a.attrelid = c.oid AND NOT a.attisdropped AND a.atttypid = 'pg_catalog.timestamptz'::regtype
                    AND pg_catalog.pg_get_expr(d.adbin, d.adrelid) ~ '^(now|clock_timestamp|statement_timestamp|transaction_timestamp)\(\)$|^CURRENT_TIMESTAMP$'), '{}')
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
 ORDER BY 1`

// table is one that is there, with the columns that tell a row's time.
type table struct {
	Name  string
	Times []string
}

// querier is a connection, or a transaction on one.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func tables(ctx context.Context, q querier) ([]table, error) {
	rows, err := q.Query(ctx, listTables)
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[table])
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	return list, nil
}

// Read says what the database of a connection holds, all of it at one moment.
func Read(ctx context.Context, conn *pgx.Conn) (Content, error) {
	var c Content
	err := pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		var err error
		c, err = read(ctx, tx)
		return err
	})
	return c, err
}

func read(ctx context.Context, tx pgx.Tx) (Content, error) {
	var c Content
	if _, err := tx.Exec(ctx, settings); err != nil {
		return c, fmt.Errorf("settle how values are written: %w", err)
	}
	err := tx.QueryRow(ctx, `SELECT system_identifier::text, current_database() FROM pg_catalog.pg_control_system()`).Scan(&c.System, &c.Database)
	if err != nil {
		return c, fmt.Errorf("ask for the cluster's identifier: %w", err)
	}
	list, err := tables(ctx, tx)
	if err != nil {
		return c, err
	}
	for _, t := range list {
		read := Table{Name: t.Name}
		// A table may have a column of any name; this alias is one that none has.
		query := `SELECT count(*), coalesce(sum(('x' || left(md5(whole_row_::text), 16))::bit(64)::bigint), 0)::text, ` + newest(t.Times) +
			` FROM ONLY ` + t.Name + ` AS whole_row_`
		if err := tx.QueryRow(ctx, query).Scan(&read.Rows, &read.Hash, &read.Newest); err != nil {
			return c, fmt.Errorf("read %s: %w", t.Name, err)
		}
		c.Tables = append(c.Tables, read)
	}
	return c, nil
}

// newest is an expression for the latest time in some columns.
func newest(columns []string) string {
	expression := `NULL::timestamptz`
	for _, column := range columns {
		expression = `greatest(` + expression + `, max(` + column + `))`
	}
	return expression
}
