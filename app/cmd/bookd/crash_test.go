package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"bookshelf/app/internal/postgres/pgtest"
)

// holdLock is the advisory lock that stops a creation where a test wants it.
const holdLock = 4711

// holds are the places to stop a creation at: the book is inserted, the answer not yet sent.
var holds = map[string]struct {
	trigger string
	books   int // there are after the process was killed there
}{
	"before the commit": {
		`CREATE TRIGGER hold BEFORE INSERT ON idempotency_keys FOR EACH ROW EXECUTE FUNCTION hold()`, 0,
	},
	"during the commit": {
		`CREATE CONSTRAINT TRIGGER hold AFTER INSERT ON idempotency_keys DEFERRABLE INITIALLY DEFERRED
			FOR EACH ROW EXECUTE FUNCTION hold()`, 1,
	},
}

// A process is killed when it has inserted a book and before it has answered. Its client does what clients do: it sends the
// request again, to another instance, until there is an answer.
func TestAKilledServerLeavesOneBookForOneKey(t *testing.T) {
	t.Parallel()
	for name, hold := range holds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			owner := db.Conn(t, db.Owner)
			execute(t, owner, fmt.Sprintf(`CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
				'BEGIN PERFORM pg_advisory_xact_lock(%d); RETURN NEW; END'`, holdLock))
			execute(t, owner, hold.trigger)
			execute(t, owner, fmt.Sprintf(`SELECT pg_advisory_lock(%d)`, holdLock))

			first, second := newInstance(t, db), newInstance(t, db)
			lost := make(chan error, 1)
			go func() {
				_, _, err := first.create(t.Context())
				lost <- err
			}()
			waitUntil(t, owner, `SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
				AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
			if status, _, err := second.create(t.Context()); err != nil || status != http.StatusConflict {
				t.Errorf("the same request while the first is under way: %d, %v; want 409", status, err)
			}
			if err := first.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := <-lost; err == nil {
				t.Fatal("the killed process has answered, so nothing was tried")
			}
			execute(t, owner, fmt.Sprintf(`SELECT pg_advisory_unlock(%d)`, holdLock))
			waitUntil(t, owner, `SELECT count(*) = 0 FROM pg_locks WHERE locktype = 'advisory'
				AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
			if n := books(t, owner); n != hold.books {
				t.Errorf("after the kill there are %d books, want %d", n, hold.books)
			}

			status, location, err := second.create(t.Context())
			if err != nil || status != http.StatusCreated {
				t.Fatalf("sent again: %d, %v; want 201", status, err)
			}
			if again, sameLocation, err := second.create(t.Context()); err != nil || again != status || sameLocation != location {
				t.Errorf("sent a third time: %d %s, %v; want %d %s", again, sameLocation, err, status, location)
			}
			if n := books(t, owner); n != 1 {
				t.Errorf("in the end there are %d books, want exactly one", n)
			}
		})
	}
}

// instance is a process that serves.
type instance struct {
	cmd *exec.Cmd
	url string
}

// newInstance starts a process on the database and waits until it serves. It is killed when the test ends.
func newInstance(t testing.TB, db *pgtest.Database) *instance {
	t.Helper()
	cmd := program(t, "serve")
	cmd.Env = append(cmd.Env,
		"DB_HOST="+db.App.Host, fmt.Sprint("DB_PORT=", db.App.Port), "DB_NAME="+db.App.Name, "DB_USER="+db.App.User,
		"DB_PASSWORD="+db.App.Password, "DB_SSLMODE=disable", "AUTH=off",
		"HTTP_REQUEST_TIMEOUT=25s") // the test decides when a request ends
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	log := json.NewDecoder(stdout)
	for {
		var line struct {
			Msg     string `json:"msg"`
			APIAddr string `json:"api_addr"`
		}
		if err := log.Decode(&line); err != nil {
			t.Fatalf("the log ends without an address: %v", err)
		}
		if line.Msg == "serving" {
			go func() { _, _ = io.Copy(io.Discard, stdout) }() // ends with the process, which must not block before
			return &instance{cmd: cmd, url: "http://" + line.APIAddr}
		}
	}
}

// create sends the one request that all of this is about.
func (i *instance) create(ctx context.Context) (status int, location string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, i.url+"/api/v1/books",
		strings.NewReader(`{"title": "Dune", "authors": ["Frank Herbert"]}`))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", `"8e03978e-40d5-43e8-bc93-6894a57f9324"`)
	// A connection of its own: net/http sends a request with this header again by itself when a kept one breaks.
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, res.Header.Get("Location"), errors.Join(err, res.Body.Close())
}

func execute(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// waitUntil asks until the answer is true.
func waitUntil(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(20 * time.Second); ; {
		var is bool
		if err := conn.QueryRow(t.Context(), sql).Scan(&is); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		if is {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("it is never so: %s", sql)
		}
	}
}

func books(t *testing.T, conn *pgx.Conn) (n int) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM books`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
