package bookd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
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

// upload imports a file and returns the status and the answer.
func upload(t *testing.T, p *process, query string, body io.Reader) (status int, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.api+"/api/v1/books/import"+query, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/csv")
	status, _, text = exchange(t, req)
	return status, text
}

func TestAFileIsImportedAndEveryRowAccountedFor(t *testing.T) {
	t.Parallel()
	p := startOnDatabase(t)
	const file = "title,authors,isbn13\nDune,Frank Herbert,9780441172719\n,Nobody,\nEmma,Jane Austen,9780441172710\nDune,F. Herbert,0441172717\n"
	status, answer := upload(t, p, "", strings.NewReader(file))
	if status != 200 {
		t.Fatalf("import: %d %s", status, answer)
	}
	for _, want := range []string{
		`"rows":4`, `"inserted":1`, `"rejected":2`, `"duplicates":1`,
		`{"line":3,"outcome":"rejected","reason":"title"`, `{"line":4,"outcome":"rejected","reason":"isbn"`,
		`{"line":5,"outcome":"duplicate","reason":"repeated_isbn"`,
	} {
		if !strings.Contains(answer, want) {
			t.Errorf("%s is missing in %s", want, answer)
		}
	}
	const again = "title,authors,isbn13\nNew,A,\nDune,Frank Herbert,9780441172719\n"
	if status, answer := upload(t, p, "?on_conflict=fail", strings.NewReader(again)); status != 409 ||
		!strings.Contains(answer, `"report":{`) || !strings.Contains(answer, `{"line":3,"outcome":"duplicate","reason":"stored_isbn"`) {
		t.Errorf("with on_conflict=fail: %d %s, want 409 with the line", status, answer)
	}
	if status, answer := upload(t, p, "?dry_run=true", strings.NewReader(again)); status != 200 || !strings.Contains(answer, `"inserted":1`) {
		t.Errorf("a dry run: %d %s", status, answer)
	}
	_, _, list := call(t, "GET", p.api+"/api/v1/books", "")
	if strings.Count(list, `"id":`) != 1 || !strings.Contains(list, `"title":"Dune"`) {
		t.Errorf("the catalogue is %s, want Dune alone", list)
	}
}

// slowFile yields a line at a time, with a pause before each.
type slowFile struct {
	lines []string
	tick  <-chan time.Time
}

func (f *slowFile) Read(p []byte) (int, error) {
	if len(f.lines) == 0 {
		return 0, io.EOF
	}
	<-f.tick
	n := copy(p, f.lines[0])
	f.lines = f.lines[1:]
	return n, nil
}

func TestAnImportOutlivesTheTimeoutsOfRequests(t *testing.T) {
	t.Parallel()
	p := startOnDatabase(t, environ{
		"HTTP_READ_HEADER_TIMEOUT": "300ms", "HTTP_READ_TIMEOUT": "500ms", "HTTP_REQUEST_TIMEOUT": "300ms", "HTTP_WRITE_TIMEOUT": "600ms",
		"SHUTDOWN_TIMEOUT": "20s",
	})
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	file := &slowFile{lines: []string{"title,authors\n"}, tick: tick.C}
	for range 15 {
		file.lines = append(file.lines, "Dune,Frank Herbert\n")
	}
	if status, answer := upload(t, p, "", file); status != 200 || !strings.Contains(answer, `"rows":15`) {
		t.Errorf("%d %s, want all 15 rows in more time than any time-out", status, answer)
	}
}

// halfAFile opens a connection of its own, on which net/http could not wait for us, and sends the beginning of an import.
func halfAFile(t *testing.T, p *process) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.api, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	const file = "title,authors\nDune,Frank Herbert\n"
	_, err = fmt.Fprintf(conn, "POST /api/v1/books/import HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\n"+
		"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(file), file)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestAFileThatStopsComingLeavesNothing(t *testing.T) {
	t.Parallel()
	p := startOnDatabase(t, environ{"HTTP_REQUEST_TIMEOUT": "100ms", "HTTP_READ_TIMEOUT": "200ms"})
	res, err := http.ReadResponse(bufio.NewReader(halfAFile(t, p)), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 408 || !res.Close {
		t.Errorf("%s, the connection is closed: %t; want 408 and true", res.Status, res.Close)
	}
	wantNoBooks(t, p)
}

func TestAClientThatBreaksOffLeavesNothing(t *testing.T) {
	t.Parallel()
	p := startOnDatabase(t, environ{"HTTP_REQUEST_TIMEOUT": "100ms"})
	conn := halfAFile(t, p)
	p.activeRequests(t, 1)
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if line := p.log.wait(t, "request"); line.Route != "/api/v1/books/import" || line.Status != 499 && line.Status != 400 {
		t.Errorf("logged as %+v, want a client's doing", line)
	}
	wantNoBooks(t, p)
}

func wantNoBooks(t *testing.T, p *process) {
	t.Helper()
	if _, _, list := call(t, "GET", p.api+"/api/v1/books", ""); !strings.Contains(list, `"items":[]`) {
		t.Errorf("the catalogue is %s, want it empty", list)
	}
}
