package postgres_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"bookshelf/app/internal/postgres"
	"bookshelf/app/internal/postgres/database"
	"bookshelf/app/internal/postgres/pgtest"
)

// logins are two roles that may serve one database, and the file that says which of them does.
type logins struct {
	d    *pgtest.Database
	file string
	opts database.Options
	// look is whom the server tells who is connected.
	look *pgx.Conn
}

func newLogins(t *testing.T) logins {
	t.Helper()
	d := pgtest.New(t)
	l := logins{d: d, file: filepath.Join(t.TempDir(), "login"), opts: d.App, look: d.Conn(t, d.Superuser)}
	l.opts.User, l.opts.Password, l.opts.LoginFile = "", "", l.file
	for _, role := range []string{l.role("a"), l.role("b")} {
		exec(t, d, d.Superuser, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s' IN ROLE %s", role, role, d.App.User))
		t.Cleanup(func() { exec(t, d, d.Superuser, "DROP ROLE "+role) })
	}
	return l
}

func (l logins) role(suffix string) string { return l.d.Owner.Name + "_" + suffix }

// use replaces the file at once, as whoever rotates does.
func (l logins) use(t *testing.T, role string) {
	t.Helper()
	if err := os.WriteFile(l.file+".new", []byte(role+"\n"+role+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(l.file+".new", l.file); err != nil {
		t.Fatal(err)
	}
}

// open opens a store with the login of the file, and closes it when the test ends.
func (l logins) open(t *testing.T) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), postgres.Options{Options: l.opts})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// connected are the roles that have connections to the database, sorted.
func (l logins) connected(t *testing.T) []string {
	t.Helper()
	rows, err := l.look.Query(t.Context(),
		`SELECT DISTINCT usename FROM pg_stat_activity WHERE datname = current_database() AND usename LIKE current_database() || '%' ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var roles []string
	for rows.Next() {
		var role string
		if err := rows.Scan(&role); err != nil {
			t.Fatal(err)
		}
		roles = append(roles, role)
	}
	return roles
}

// wait waits until exactly these roles are connected.
func (l logins) wait(t *testing.T, roles ...string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		have := l.connected(t)
		if slices.Equal(have, roles) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v are connected, want %v", have, roles)
		}
		<-time.After(50 * time.Millisecond)
	}
}

func TestAPoolGoesOverToAnotherLoginWithoutAFailure(t *testing.T) {
	t.Parallel()
	l := newLogins(t)
	l.use(t, l.role("a"))
	told := make(chan string, 2)
	l.opts.ObserveLogin = func(user string) { told <- user }
	s := l.open(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop() // before the store is closed, which waits for the clients
	var failed, done atomic.Int64
	var clients sync.WaitGroup
	for range 6 {
		clients.Go(func() {
			for ctx.Err() == nil {
				if err := s.Ready(t.Context()); err != nil {
					failed.Add(1)
					t.Error(err)
					return
				}
				done.Add(1)
			}
		})
	}
	for _, role := range []string{l.role("b"), l.role("a")} {
		l.use(t, role)
		l.wait(t, role)
		select {
		case got := <-told:
			if got != role {
				t.Errorf("it tells of %s, want %s", got, role)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("it tells of no other login")
		}
	}
	stop()
	clients.Wait()
	if failed.Load() > 0 || done.Load() == 0 {
		t.Errorf("%d failed, %d did not", failed.Load(), done.Load())
	}
}

func TestATransactionEndsBeforeItsConnectionDoes(t *testing.T) {
	t.Parallel()
	l := newLogins(t)
	l.use(t, l.role("a"))
	s := l.open(t)
	staged, err := s.BeginImport(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l.use(t, l.role("b"))
	for deadline := time.Now().Add(30 * time.Second); !slices.Contains(l.connected(t), l.role("b")); {
		if err := s.Ready(t.Context()); err != nil || time.Now().After(deadline) {
			t.Fatalf("no connection of the new login: %v", err)
		}
	}
	if have := l.connected(t); !slices.Contains(have, l.role("a")) {
		t.Errorf("%v are connected: the transaction was cut off", have)
	}
	if err := staged.Rollback(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	for deadline := time.Now().Add(30 * time.Second); slices.Contains(l.connected(t), l.role("a")); {
		if time.Now().After(deadline) {
			t.Fatal("the connection outlives its transaction")
		}
	}
}

func TestALoginFileThatCannotBeReadLeavesTheConnectionsThatThereAre(t *testing.T) {
	t.Parallel()
	l := newLogins(t)
	l.use(t, l.role("a"))
	s := l.open(t)
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(l.file); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(2500 * time.Millisecond); time.Now().Before(end); {
		if err := s.Ready(t.Context()); err != nil {
			t.Fatalf("without the file: %v", err)
		}
	}
}
