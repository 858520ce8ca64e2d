package schema_test

import (
	"bytes"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"bookshelf/app/internal/postgres/pgtest"
	"bookshelf/app/internal/postgres/schema"
)

var quiet = slog.New(slog.DiscardHandler)

// relations lists what is in the schema, apart from the migrations' own table.
func relations(t *testing.T, d *pgtest.Database) []string {
	t.Helper()
	rows, err := d.Conn(t, d.Owner).Query(t.Context(), `
		SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE 'goose_db_version%'
		UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestMigrationsGoUpDownAndUpAgain(t *testing.T) {
	t.Parallel()
	d := pgtest.Empty(t)
	if err := schema.Migrate(t.Context(), d.Owner, quiet); err != nil {
		t.Fatal(err)
	}
	first := relations(t, d)
	if len(first) == 0 {
		t.Fatal("the migrations made nothing")
	}
	if err := schema.To(t.Context(), d.Owner, 0, quiet); err != nil {
		t.Fatal(err)
	}
	if left := relations(t, d); len(left) > 0 {
		t.Errorf("down left %v", left)
	}
	if err := schema.Migrate(t.Context(), d.Owner, quiet); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, relations(t, d)); diff != "" {
		t.Errorf("second up differs from the first (-first +second):\n%s", diff)
	}
	if err := d.Store(t).Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestMigrateMayRunTwiceAtOnceAndAgain(t *testing.T) {
	t.Parallel()
	d := pgtest.Empty(t)
	var log lockedBuffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if err := schema.Migrate(t.Context(), d.Owner, logger); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	files, err := fs.Glob(schema.Files(), "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "migration applied"); n != len(files) {
		t.Errorf("%d migrations were logged as applied, want %d:\n%s", n, len(files), log.String())
	}
	if !strings.Contains(log.String(), "schema is up to date") {
		t.Errorf("the second run does not say that nothing was to do:\n%s", log.String())
	}
}

func TestMigrateLeavesANewerSchemaAlone(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	_, err := d.Conn(t, d.Owner).Exec(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)")
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Migrate(t.Context(), d.Owner, quiet); err != nil {
		t.Errorf("migrate from a newer schema: %v", err)
	}
}

func TestMigrateNamesTheMissingGroupRoleAndChangesNothing(t *testing.T) {
	t.Parallel()
	d := pgtest.WithoutGroupRole(t)
	err := schema.Migrate(t.Context(), d.Owner, quiet)
	if err == nil || !strings.Contains(err.Error(), `CREATE ROLE "`+d.Owner.Name+`_app" NOLOGIN`) {
		t.Errorf("migrate: %v, want an error with the statement that mends it", err)
	}
	var tables int
	conn := d.Conn(t, d.Owner)
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").Scan(&tables); err != nil {
		t.Fatal(err)
	}
	if tables != 0 {
		t.Errorf("the refused migration left %d tables", tables)
	}
}

// lockedBuffer may be written to from several goroutines.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
