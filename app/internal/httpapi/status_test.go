package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"bookshelf/app/internal/book"
)

// Every answer that the API can give, compared as a whole: status, headers and body.
func TestAnswers(t *testing.T) {
	t.Parallel()
	boom := errors.New("dial tcp 10.0.0.1:5432: password=hunter2")
	failing := func(err error) func(context.Context) error { return func(context.Context) error { return err } }
	tests := []struct {
		name    string // also of the golden file
		request request
		hook    func(context.Context) error
		status  int
	}{
		{name: "list", request: request{method: "GET", target: "/api/v1/books?limit=2"}, status: 200},
		{name: "list last page", request: request{method: "GET", target: "/api/v1/books?limit=2&title=Emma"}, status: 200},
		{name: "list nothing", request: request{method: "GET", target: "/api/v1/books?title=none"}, status: 200},
		{name: "get", request: request{method: "GET", target: "/api/v1/books/1"}, status: 200},
		{name: "create", request: request{method: "POST", target: "/api/v1/books", body: fullBook}, status: 201},
		{name: "replace", request: request{method: "PUT", target: "/api/v1/books/2", body: fullBook}, status: 200},
		{name: "delete", request: request{method: "DELETE", target: "/api/v1/books/2"}, status: 204},
		{name: "live", request: request{method: "GET", target: "/livez"}, status: 200},
		{name: "ready", request: request{method: "GET", target: "/readyz"}, status: 200},
		{name: "version", request: request{method: "GET", target: "/version"}, status: 200},
		{name: "options", request: request{method: "OPTIONS", target: "/api/v1/books"}, status: 204},
		{name: "options of one book", request: request{method: "OPTIONS", target: "/api/v1/books/77"}, status: 204},

		{name: "body not json", request: request{method: "POST", target: "/api/v1/books", body: `{"title":`}, status: 400},
		{name: "body of wrong types", request: request{
			method: "POST", target: "/api/v1/books",
			body: `{"title": 1, "authors": "x", "published_year": "1965", "id": 7, "Title": "Dune", "isbn13": null, "isbn13": null}`,
		}, status: 400},
		{name: "wrong parameters", request: request{
			method: "GET", target: "/api/v1/books?limit=0&sort=price&titel=x&year=MM&isbn=12&author=a&author=b&language=&title=%00",
		}, status: 400},
		{name: "wrong search", request: request{
			method: "GET", target: "/api/v1/books?q=%21&author_prefix=%00&sort=relevance",
		}, status: 400},
		{name: "malformed query", request: request{method: "GET", target: "/api/v1/books?title=%zz"}, status: 400},
		{name: "query where there is none", request: request{method: "GET", target: "/api/v1/books/1?verbose=1"}, status: 400},
		{name: "wrong cursor", request: request{method: "GET", target: "/api/v1/books?cursor=abc"}, status: 400},
		{name: "no such book", request: request{method: "GET", target: "/api/v1/books/77"}, status: 404},
		{name: "replace no such book", request: request{method: "PUT", target: "/api/v1/books/77", body: minimalBook}, status: 404},
		{name: "delete no such book", request: request{method: "DELETE", target: "/api/v1/books/77"}, status: 404},
		{name: "no such resource", request: request{method: "GET", target: "/api/v1/authors"}, status: 404},
		{name: "method not allowed", request: request{method: "POST", target: "/api/v1/books/1"}, status: 405},
		{name: "method not allowed on the list", request: request{method: "DELETE", target: "/api/v1/books"}, status: 405},
		{name: "not acceptable", request: request{
			method: "GET", target: "/api/v1/books", header: http.Header{"Accept": {"text/html, application/xml;q=0.9"}},
		}, status: 406},
		{name: "isbn taken", request: request{method: "POST", target: "/api/v1/books", body: takenISBN}, status: 409},
		{name: "replace isbn taken", request: request{method: "PUT", target: "/api/v1/books/2", body: takenISBN}, status: 409},
		{name: "idempotency key in use", request: post(`"busy"`, minimalBook), status: 409},
		{name: "idempotency key reused", request: post(`"taken"`, minimalBook), status: 422},
		{name: "not modified", request: request{
			method: "GET", target: "/api/v1/books/1", header: http.Header{"If-None-Match": {`"1"`}},
		}, status: 304},
		{name: "precondition failed", request: request{
			method: "DELETE", target: "/api/v1/books/1", header: http.Header{"If-Match": {`"2"`}},
		}, status: 412},
		{name: "precondition required", request: request{method: "DELETE", target: "/api/v1/books/1"}, status: 428},
		{name: "invalid header", request: request{
			method: "DELETE", target: "/api/v1/books/1", header: http.Header{"If-Match": {"1"}},
		}, status: 400},
		{name: "body too large", request: request{
			method: "POST", target: "/api/v1/books", body: `{"title": "` + strings.Repeat("x", 5000) + `"}`,
		}, status: 413},
		{name: "unsupported media type", request: request{
			method: "POST", target: "/api/v1/books", body: "title=Dune",
			header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
		}, status: 415},
		{name: "rules broken", request: request{
			method: "POST", target: "/api/v1/books",
			body: `{"title": " ", "authors": ["A", ""], "isbn13": "9780441172710", "published_year": 2028, "language": "english_us"}`,
		}, status: 422},
		{name: "internal", request: request{method: "GET", target: "/api/v1/books/1"}, hook: failing(boom), status: 500},
		{name: "unavailable", request: request{method: "GET", target: "/api/v1/books"},
			hook: failing(fmt.Errorf("list: %w: %w", book.ErrUnavailable, boom)), status: 503},
		{name: "timeout", request: request{method: "GET", target: "/api/v1/books"}, status: 503,
			hook: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(o *Options) {
				if test.name == "timeout" {
					o.RequestTimeout = time.Millisecond
				}
				o.RequireIfMatch = test.status == http.StatusPreconditionRequired
			})
			b.add(t, "Emma", "Ulysses", "Dracula")
			b.store.books[0].ISBN13 = "9780141439587"
			b.store.responses = map[string]answered{"\ntaken": {}}
			b.store.hook = test.hook
			w := b.do(t, test.request)
			if w.Code != test.status {
				t.Errorf("status = %d, want %d", w.Code, test.status)
			}
			got := dump(t, w)
			wantGolden(t, strings.ReplaceAll(test.name, " ", "-")+".golden", got)
			if strings.Contains(got, "hunter2") {
				t.Error("the text of an internal error reached the client")
			}
		})
	}
}

const (
	fullBook = `{"title": " Dune ", "authors": ["Frank Herbert"], "isbn13": "0-441-17271-7", "published_year": 1965,
		"language": "EN-us", "description": "Sand <& spice>."}`
	takenISBN = `{"title": "Emma", "authors": ["Jane Austen"], "isbn13": "978-0-14-143958-7"}`
)

func TestReadiness(t *testing.T) {
	t.Parallel()
	t.Run("when the store is not ready", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.store.ready = func(context.Context) error { return errors.New("schema 1, want 2") }
		w := b.do(t, request{method: "GET", target: "/readyz"})
		wantGolden(t, "not-ready.golden", dump(t, w))
		if line := b.logs.lines(t)[0]; line["level"] != "WARN" || !strings.Contains(line["error"].(string), "schema 1, want 2") {
			t.Errorf("log line = %v, want a warning with the cause", line)
		}
	})
	t.Run("when the store does not answer in time", func(t *testing.T) {
		t.Parallel()
		b := setup(t, func(o *Options) { o.ReadyTimeout = time.Millisecond })
		b.store.ready = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		if w := b.do(t, request{method: "GET", target: "/readyz"}); w.Code != 503 {
			t.Errorf("status = %d, want 503", w.Code)
		}
	})
	t.Run("when the service shuts down", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.store.ready = func(context.Context) error { t.Error("the store was asked"); return nil }
		b.api.StartDrain()
		w := b.do(t, request{method: "GET", target: "/readyz"})
		wantGolden(t, "shutting-down.golden", dump(t, w))
		if level := b.logs.lines(t)[0]["level"]; level != "INFO" {
			t.Errorf("log level = %v, want INFO: it is intended", level)
		}
	})
}

func TestDrainClosesConnectionsAfterTheirResponse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if got := b.do(t, request{method: "GET", target: "/livez"}).Header().Get("Connection"); got != "" {
		t.Errorf("Connection = %q before the drain", got)
	}
	b.api.StartDrain()
	w := b.do(t, request{method: "GET", target: "/api/v1/books"})
	if got := w.Header().Get("Connection"); w.Code != 200 || got != "close" {
		t.Errorf("during the drain: status %d, Connection %q, want 200 and close", w.Code, got)
	}
}

func TestHeadAnswersAsGetWithoutBody(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add(t, "Emma")
	for _, target := range []string{"/api/v1/books", "/api/v1/books/1", "/api/v1/books/2", "/livez", "/readyz", "/version"} {
		get := b.do(t, request{method: "GET", target: target})
		head := b.do(t, request{method: "HEAD", target: target})
		if get.Code != head.Code {
			t.Errorf("%s: GET answers %d, HEAD %d", target, get.Code, head.Code)
		}
		for _, name := range []string{"Content-Type", "Content-Length"} {
			if get.Header().Get(name) != head.Header().Get(name) {
				t.Errorf("%s: %s is %q for GET, %q for HEAD", target, name, get.Header().Get(name), head.Header().Get(name))
			}
		}
	}
}
