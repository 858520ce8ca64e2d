// Package pgtest gives each test a PostgreSQL database of its own, copied from a migrated template in milliseconds.
//
// TEST_DATABASE_URL must hold the connection string of a superuser on a server for tests. Without it, or when the server
// does not answer, the test is skipped with the reason; with REQUIRE_SERVICES=1 it fails instead, so that a run that
// counts cannot pass by skipping. The template and the roles stay on the server for the next run; several test binaries
// may use it at once.
package pgtest

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"bookshelf/app/internal/postgres"
	"bookshelf/app/internal/postgres/database"
	"bookshelf/app/internal/postgres/schema"
)

// The logins that own and use the test databases; they belong to the server and are shared by all of them.
const (
	ownerRole = "bookshelf_test_owner"
	appRole   = "bookshelf_test_app"
)

// connectTimeout bounds the wait for a server that may not be there.
const connectTimeout = 5 * time.Second

// Database is one test's database and the three ways in.
type Database struct {
	Owner     database.Options // owns the database; runs migrations
	App       database.Options // the serving login, a member of the group role that migrations grant to
	Superuser database.Options
}

// New returns a migrated database, which is dropped when the test ends.
func New(t testing.TB) *Database {
	t.Helper()
	s := connect(t)
	template, err := s.template(t.Context())
	if err != nil {
		t.Fatalf("prepare the template database: %v", err)
	}
	name := randomName()
	s.create(t, name, "TEMPLATE "+template)
	return s.database(name)
}

// Empty returns a database that no migration has touched, with the group role that they ask for. Both are dropped when the
// test ends.
func Empty(t testing.TB) *Database {
	t.Helper()
	d := WithoutGroupRole(t)
	s := connect(t)
	group := pgx.Identifier{d.Owner.Name + "_app"}.Sanitize()
	s.exec(t, "CREATE ROLE "+group+" NOLOGIN ROLE "+appRole)
	t.Cleanup(func() { s.exec(t, "DROP ROLE "+group) })
	// Cleanups run in reverse: the database, which holds what is granted to the role, has to go before it.
	t.Cleanup(func() { s.drop(t, d.Owner.Name) })
	return d
}

// WithoutGroupRole returns a database that is not ready for migrations, which is dropped when the test ends.
func WithoutGroupRole(t testing.TB) *Database {
	t.Helper()
	s := connect(t)
	name := randomName()
	s.create(t, name, "TEMPLATE template0")
	return s.database(name)
}

// Store opens a store as the serving login and closes it when the test ends.
func (d *Database) Store(t testing.TB) *postgres.Store {
	t.Helper()
	store, err := postgres.Open(t.Context(), postgres.Options{Options: d.App})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

// Conn connects with one of d's options, for statements that the store does not offer. The connection is closed when the
// test ends.
func (d *Database) Conn(t testing.TB, opts database.Options) *pgx.Conn {
	t.Helper()
	conn, err := dial(context.WithoutCancel(t.Context()), opts) // also for cleanups, when the test's context has ended
	if err != nil {
		t.Fatalf("connect as %s: %v", opts.User, err)
	}
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// server is the PostgreSQL server of the tests.
type server struct {
	admin    database.Options // the superuser on the maintenance database
	password string           // of both roles
}

// connect finds the server or skips the test.
func connect(t testing.TB) *server {
	t.Helper()
	s, err := findServer()
	if err != nil {
		refuse(t, err, os.Getenv("REQUIRE_SERVICES"))
	}
	return s
}

// refuse ends the test; required is "1" where a skipped test would hide that nothing was tried.
func refuse(t testing.TB, err error, required string) {
	t.Helper()
	if required == "1" {
		t.Fatalf("REQUIRE_SERVICES=1, but there is no PostgreSQL for tests: %v", err)
	} else {
		t.Skipf("no PostgreSQL for tests: %v", err)
	}
}

// findServer looks once per process whether the server answers.
var findServer = sync.OnceValues(func() (*server, error) {
	dsn := os.Getenv("TEST_DATABASE_URL")
	if dsn == "" {
		return nil, errors.New("TEST_DATABASE_URL is not set")
	}
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("TEST_DATABASE_URL: %w", err)
	}
	admin := database.Options{
		Host: cfg.Host, Port: cfg.Port, Name: cfg.Database, User: cfg.User, Password: cfg.Password,
	}
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	conn, err := dial(ctx, admin)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	// Derived, so that every test binary knows the same password, yet no login with a published one stays on the server.
	mac := hmac.New(sha256.New, []byte(admin.Password))
	io.WriteString(mac, ownerRole)
	return &server{admin: admin, password: hex.EncodeToString(mac.Sum(nil))}, nil
})

// dial connects to a database without the store, whose pool is no part of its interface.
func dial(ctx context.Context, opts database.Options) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig("sslmode=disable")
	if err != nil {
		return nil, err
	}
	cfg.Host, cfg.Port, cfg.Database, cfg.User, cfg.Password = opts.Host, opts.Port, opts.Name, opts.User, opts.Password
	return pgx.ConnectConfig(ctx, cfg)
}

func (s *server) database(name string) *Database {
	as := func(user, password string) database.Options {
		return database.Options{
			Host: s.admin.Host, Port: s.admin.Port, Name: name, User: user, Password: password, SSLMode: "disable", MaxConns: 4,
		}
	}
	return &Database{
		Owner:     as(ownerRole, s.password),
		App:       as(appRole, s.password),
		Superuser: as(s.admin.User, s.admin.Password),
	}
}

// create makes a database for a test and drops it when the test ends.
func (s *server) create(t testing.TB, name, options string) {
	t.Helper()
	if err := s.prepareRoles(t.Context()); err != nil {
		t.Fatalf("prepare the roles for tests: %v", err)
	}
	s.exec(t, "CREATE DATABASE "+name+" OWNER "+ownerRole+" "+options)
	t.Cleanup(func() { s.drop(t, name) })
}

// drop ends the connections that a failed test may have left.
func (s *server) drop(t testing.TB, name string) {
	t.Helper()
	s.exec(t, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
}

// exec runs one statement on the maintenance database, also in a cleanup, when the test's own context has ended.
func (s *server) exec(t testing.TB, sql string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	conn, err := dial(ctx, s.admin)
	if err != nil {
		t.Fatalf("connect as superuser: %v", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

var (
	rolesOnce    sync.Once
	rolesErr     error
	templateOnce sync.Once
	templateName string
	templateErr  error
)

// prepareRoles makes the two logins once per process, or gives them the password that this process knows.
func (s *server) prepareRoles(ctx context.Context) error {
	rolesOnce.Do(func() {
		rolesErr = s.locked(context.WithoutCancel(ctx), "roles", func(ctx context.Context, conn *pgx.Conn) error {
			for _, role := range []string{ownerRole, appRole} {
				var exists bool
				if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role).Scan(&exists); err != nil {
					return err
				}
				verb := "CREATE"
				if exists {
					verb = "ALTER"
				}
				// Role statements take no parameters; the password is hexadecimal.
				if _, err := conn.Exec(ctx, verb+" ROLE "+role+" LOGIN PASSWORD '"+s.password+"'"); err != nil {
					return err
				}
			}
			return nil
		})
	})
	return rolesErr
}

// template makes the template database once per process. Its name contains a hash of the migrations, so that a changed
// migration never meets an old schema.
func (s *server) template(ctx context.Context) (string, error) {
	templateOnce.Do(func() {
		templateName, templateErr = s.makeTemplate(context.WithoutCancel(ctx))
	})
	return templateName, templateErr
}

func (s *server) makeTemplate(ctx context.Context) (string, error) {
	hash, err := migrationsHash()
	if err != nil {
		return "", err
	}
	if err := s.prepareRoles(ctx); err != nil {
		return "", err
	}
	name := "bookshelf_template_" + hash
	err = s.locked(ctx, name, func(ctx context.Context, conn *pgx.Conn) error {
		// The mark of a template is set last: without it, a process died while it built this one.
		var complete bool
		err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate)", name).Scan(&complete)
		if err != nil || complete {
			return err
		}
		for _, sql := range []string{
			"DROP DATABASE IF EXISTS " + name + " WITH (FORCE)",
			"DROP ROLE IF EXISTS " + name + "_app",
			"CREATE ROLE " + name + "_app NOLOGIN ROLE " + appRole,
			"CREATE DATABASE " + name + " OWNER " + ownerRole + " TEMPLATE template0",
		} {
			if _, err := conn.Exec(ctx, sql); err != nil {
				return err
			}
		}
		if err := schema.Migrate(ctx, s.database(name).Owner, slog.New(slog.DiscardHandler)); err != nil {
			return err
		}
		_, err = conn.Exec(ctx, "ALTER DATABASE "+name+" WITH IS_TEMPLATE true ALLOW_CONNECTIONS false")
		return err
	})
	return name, err
}

// locked runs f while no other test binary runs one under the same name.
func (s *server) locked(ctx context.Context, name string, f func(context.Context, *pgx.Conn) error) error {
	conn, err := dial(ctx, s.admin)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) // gives the lock back
	h := fnv.New64a()
	io.WriteString(h, name)
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(h.Sum64())); err != nil {
		return err
	}
	return f(ctx, conn)
}

func migrationsHash() (string, error) {
	h := sha256.New()
	err := fs.WalkDir(schema.Files(), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(schema.Files(), path)
		fmt.Fprintf(h, "%s\x00%d\x00%s", path, len(content), content)
		return err
	})
	return hex.EncodeToString(h.Sum(nil))[:12], err
}

func randomName() string {
	return "bookshelf_test_" + strings.ToLower(rand.Text())
}
