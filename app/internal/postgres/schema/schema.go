// Package schema makes the tables of the catalogue, by migrations, and says whether they are those that this program needs.
package schema

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"bookshelf/app/internal/postgres/database"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// Files returns the embedded migrations, one file each, named NNNNN_what.sql.
func Files() fs.FS {
	sub, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		panic(err) // the embed directive above names the same folder
	}
	return sub
}

// neededVersion returns the version of the schema that this program needs: the number of its last migration.
func neededVersion() (int64, error) {
	var last int64
	err := fs.WalkDir(Files(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		number, err := goose.NumericComponent(name)
		last = max(last, number)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("read the embedded migrations: %w", err)
	}
	return last, nil
}

// Migrate brings the schema to the version that this program needs, as the owner of the database (opts.User), and logs
// each migration it applies. It may run twice at once: the second waits for the first. A schema that is newer already
// stays as it is. Where there is something to apply, it first wants the group role that the serving login belongs to,
// DATABASE_app.
func Migrate(ctx context.Context, opts database.Options, logger *slog.Logger) error {
	return withProvider(ctx, opts, func(pool *pgxpool.Pool, provider *goose.Provider) error {
		if err := requireGroupRole(ctx, pool); err != nil {
			return err
		}
		results, err := provider.Up(ctx)
		logResults(logger, results, err)
		return err
	})
}

// To brings the schema to exactly the version, also by taking migrations back, and with the first of them all books. Nothing
// but tests calls it: in operation a schema only expands.
func To(ctx context.Context, opts database.Options, version int64, logger *slog.Logger) error {
	return withProvider(ctx, opts, func(_ *pgxpool.Pool, provider *goose.Provider) error {
		have, err := provider.GetDBVersion(ctx)
		if err != nil {
			return err
		}
		move := provider.UpTo
		if have > version {
			move = provider.DownTo
		}
		results, err := move(ctx, version)
		logResults(logger, results, err)
		return err
	})
}

// Check returns nil when the schema has at least the version that this program needs, and an *Error when it is older.
func Check(ctx context.Context, pool *pgxpool.Pool) error {
	want, err := neededVersion()
	if err != nil {
		return err
	}
	have, err := version(ctx, pool)
	if err != nil {
		return err
	}
	if have < want {
		return &Error{Have: have, Want: want}
	}
	return nil
}

// withProvider connects as opts says and calls run with goose's migrations, which take an advisory lock.
func withProvider(ctx context.Context, opts database.Options, run func(*pgxpool.Pool, *goose.Provider) error) error {
	opts.StatementTimeout = 0 // building an index takes what it takes
	cfg, err := opts.Config()
	if err != nil {
		return err
	}
	// A migration that waits for a table lock makes every later statement on that table wait behind it; rather fail and be
	// run again than stop the service.
	cfg.ConnConfig.RuntimeParams["lock_timeout"] = "10s"
	cfg.ConnConfig.RuntimeParams["application_name"] = cmp.Or(opts.ApplicationName, "bookd migrate")
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("migrate database %s: %w", opts.Name, err)
	}
	defer pool.Close()

	// Ten minutes in all: longer than any migration here should take.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 600))
	if err != nil {
		return fmt.Errorf("migrate database %s: %w", opts.Name, err)
	}
	db := stdlib.OpenDBFromPool(pool)
	defer db.Close()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, Files(),
		goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("migrate database %s: %w", opts.Name, err)
	}
	if err := run(pool, provider); err != nil {
		return fmt.Errorf("migrate database %s: %w", opts.Name, err)
	}
	return nil
}

// requireGroupRole fails with the remedy when the role is missing that the migrations grant to. Roles belong to the whole
// server, so the owner of one database cannot create it. A schema that is up to date asks for none: a database restored
// under another name keeps the group of the old one.
func requireGroupRole(ctx context.Context, pool *pgxpool.Pool) error {
	want, err := neededVersion()
	if err != nil {
		return err
	}
	if have, err := version(ctx, pool); err != nil || have >= want {
		return err
	}
	var role string
	var exists bool
	err = pool.QueryRow(ctx, `
		SELECT current_database() || '_app', EXISTS (SELECT FROM pg_roles WHERE rolname = current_database() || '_app')`,
	).Scan(&role, &exists)
	if err != nil {
		return err
	}
	if !exists {
		return fmt.Errorf("there is no role %[1]s to grant the use of the tables to; "+
			"as a superuser run: CREATE ROLE %[1]s NOLOGIN; and grant it to the login that serves", pgx.Identifier{role}.Sanitize())
	}
	return nil
}

// logResults logs what was applied, also when a later migration failed.
func logResults(logger *slog.Logger, results []*goose.MigrationResult, err error) {
	if partial, ok := errors.AsType[*goose.PartialError](err); ok {
		results = partial.Applied
	}
	for _, r := range results {
		logger.Info("migration applied",
			"version", r.Source.Version, "file", r.Source.Path, "direction", r.Direction, "duration", r.Duration.Seconds())
	}
	if err == nil && len(results) == 0 {
		logger.Info("schema is up to date")
	}
}

// Error says that the database's migrations are not those that this program needs.
type Error struct {
	Have, Want int64 // version numbers; Have is 0 for a database that was never migrated
}

// Error tells what to do about it.
func (e *Error) Error() string {
	return fmt.Sprintf("the database schema has version %d, this program needs %d: run the migrate command", e.Have, e.Want)
}

// codeUndefinedTable is an SQLSTATE (PostgreSQL manual, appendix A).
const codeUndefinedTable = "42P01"

// version returns the latest migration in the database, 0 when none has run.
func version(ctx context.Context, pool *pgxpool.Pool) (int64, error) {
	var latest int64
	err := pool.QueryRow(ctx, `SELECT coalesce(max(version_id) FILTER (WHERE is_applied), 0) FROM goose_db_version`).Scan(&latest)
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == codeUndefinedTable {
		return 0, nil
	}
	return latest, err
}
