package bookd

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"bookshelf/app/internal/postgres/pgtest"
)

// shelf fills a database with more than the buffers between PostgreSQL, the service and a client hold together.
func shelf(t *testing.T, db *pgtest.Database) {
	t.Helper()
	_, err := db.Conn(t, db.Owner).Exec(t.Context(), `INSERT INTO books (title, authors, description)
		SELECT 'Volume ' || i, '{A}', repeat('x', 9900) FROM generate_series(1, 3000) AS i`)
	if err != nil {
		t.Fatal(err)
	}
}

// export begins an export and returns its body.
func export(t *testing.T, p *process) io.ReadCloser {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.api+"/api/v1/books/export", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != http.StatusOK {
		t.Fatalf("export: %s", res.Status)
	}
	return res.Body
}

// Every time-out of an ordinary request passes while the client reads; each of its pieces comes in time.
func TestAnExportOutlivesTheTimeoutsOfRequests(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	shelf(t, db)
	p := start(t, databaseEnviron(t, db.App), environ{
		"HTTP_READ_HEADER_TIMEOUT": "300ms", "HTTP_READ_TIMEOUT": "300ms", "HTTP_REQUEST_TIMEOUT": "300ms", "HTTP_WRITE_TIMEOUT": "600ms",
		"SHUTDOWN_TIMEOUT": "20s",
	})
	body := export(t, p)
	began := time.Now()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	lines := 0
	for chunk := make([]byte, 1<<20); ; {
		n, err := io.ReadFull(body, chunk)
		lines += strings.Count(string(chunk[:n]), "\n")
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && lines == 3001 {
			break
		}
		if err != nil {
			t.Fatalf("after %v and %d lines: %v", time.Since(began), lines, err)
		}
		<-tick.C
	}
	if lines != 3001 || time.Since(began) < time.Second {
		t.Errorf("%d lines in %v, want the header and 3000 books in more than any time-out", lines, time.Since(began))
	}
}

func TestAClientThatStopsReadingIsCutOff(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	shelf(t, db)
	p := start(t, databaseEnviron(t, db.App), environ{"HTTP_REQUEST_TIMEOUT": "100ms", "HTTP_WRITE_TIMEOUT": "200ms"})
	body := export(t, p)
	line := p.log.wait(t, "request")
	if line.Route != "/api/v1/books/export" || line.Status != 499 || !strings.Contains(line.Error, "timeout") {
		t.Errorf("logged as %+v, want a 499 for the time-out", line)
	}
	if _, err := io.ReadAll(body); err == nil {
		t.Error("the client takes the export for complete")
	}
}

// The database ends the statement in the middle, as it does when it goes down or an operator wants it to.
func TestAnExportThatLosesItsDatabaseIsCutOff(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	shelf(t, db)
	p := start(t, databaseEnviron(t, db.App))
	body := export(t, p)
	if _, err := io.CopyN(io.Discard, body, 1<<16); err != nil {
		t.Fatal(err)
	}
	_, err := db.Conn(t, db.Superuser).Exec(context.WithoutCancel(t.Context()), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = 'bookd serve'`)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the client gets %d more bytes and %v, want it to notice", n, err)
	}
	if line := p.log.wait(t, "request"); line.Status != 500 || line.Error == "" {
		t.Errorf("logged as %+v, want a 500 with its cause", line)
	}
}
