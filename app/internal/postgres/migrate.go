package postgres

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// Migrations returns the embedded migrations, one file each, named NNNNN_what.sql.
func Migrations() fs.FS {
	sub, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		panic(err) // the embed directive above names the same folder
	}
	return sub
}

// SchemaVersion returns the version of the schema that this program needs: the number of its last migration.
func SchemaVersion() (int64, error) {
	var last int64
	err := fs.WalkDir(Migrations(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		version, err := goose.NumericComponent(name)
		last = max(last, version)
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
func Migrate(ctx context.Context, opts Options, logger *slog.Logger) error {
	return withProvider(ctx, opts, func(pool *pgxpool.Pool, provider *goose.Provider) error {
		if err := requireGroupRole(ctx, pool); err != nil {
			return err
		}
		results, err := provider.Up(ctx)
		logResults(logger, results, err)
		return err
	})
}

// Down takes every migration back, and with them all books. Nothing but tests calls it: in operation a schema only
// expands.
func Down(ctx context.Context, opts Options, logger *slog.Logger) error {
	return withProvider(ctx, opts, func(_ *pgxpool.Pool, provider *goose.Provider) error {
		results, err := provider.DownTo(ctx, 0)
		logResults(logger, results, err)
		return err
	})
}

// withProvider connects as opts says and calls run with goose's migrations, which take an advisory lock.
func withProvider(ctx context.Context, opts Options, run func(*pgxpool.Pool, *goose.Provider) error) error {
	opts.StatementTimeout = 0 // building an index takes what it takes
	cfg, err := opts.poolConfig()
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
	provider, err := goose.NewProvider(goose.DialectPostgres, db, Migrations(),
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
	want, err := SchemaVersion()
	if err != nil {
		return err
	}
	if have, err := schemaVersion(ctx, pool); err != nil || have >= want {
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
