package httpapi

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/httpapi/query"
)

func TestHistoryIsReadPageByPage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add(t, "Emma")
	b.store.books[0].Version = 5
	var versions []int64
	target := "/api/v1/books/1/history?limit=2"
	for target != "" {
		w := b.do(t, request{method: "GET", target: target})
		var page historyResponse
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != 200 || len(versions) > 5 {
			t.Fatalf("%s: %d %s, %v", target, w.Code, w.Body, err)
		}
		for _, e := range page.Items {
			versions = append(versions, e.Version)
		}
		link := w.Header().Get("Link")
		if (link == "") != (page.NextCursor == nil) {
			t.Errorf("%s: Link %q, next_cursor %v", target, link, page.NextCursor)
		}
		target = strings.TrimSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
	}
	if len(versions) != 5 || versions[0] != 5 || versions[4] != 1 {
		t.Errorf("read the versions %v, want 5 to 1", versions)
	}
	wantGolden(t, "history.golden", dump(t, b.do(t, request{method: "GET", target: "/api/v1/books/1/history?limit=1"})))
}

func TestHistoryRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add(t, "Emma", "Persuasion")
	foreign := query.EventCursor(2, 1)
	ofTheList := query.Cursor(book.Query{Limit: 1}, book.Position{ID: 1})
	for target, want := range map[string]string{
		"/api/v1/books/7/history":                                    "404 book-not-found",
		"/api/v1/books/x/history":                                    "404 book-not-found",
		"/api/v1/books/1/history/":                                   "404 no-such-resource",
		"/api/v1/books/1/history?sort=id":                            "400 is not a parameter here; those are cursor, limit",
		"/api/v1/books/1/history?limit=0":                            "400 must be from 1 to 200, is 0",
		"/api/v1/books/1/history?limit=201":                          "400 must be from 1 to 200, is 201",
		"/api/v1/books/1/history?limit=x":                            "400 must be a whole number",
		"/api/v1/books/1/history?limit=1&limit=1":                    "400 must be given once",
		"/api/v1/books/1/history?cursor=":                            "400 must not be empty",
		"/api/v1/books/1/history?cursor=oops":                        "400 is not one that this API handed out",
		"/api/v1/books/1/history?cursor=" + foreign:                  "400 belongs to a list with another",
		"/api/v1/books/1/history?cursor=" + ofTheList:                "400 belongs to a list with another",
		"/api/v1/books?cursor=" + foreign:                            "400 belongs to a list with another",
		"/api/v1/books/1/history?cursor=" + query.EventCursor(1, -1): "400 is not one that this API handed out",
	} {
		w := b.do(t, request{method: "GET", target: target})
		status, text, _ := strings.Cut(want, " ")
		if got := w.Result().Status[:3]; got != status || !strings.Contains(w.Body.String(), text) {
			t.Errorf("%s: %s %s, want %s", target, got, w.Body, want)
		}
	}
}

func TestTheStoreLearnsWhoChangesABook(t *testing.T) {
	t.Parallel()
	for auth, want := range map[Auth]book.Actor{
		AuthRequired: {Name: "token:books-write", TokenID: "bks_id-of-books-write"},
		AuthOff:      {Name: "nobody"},
	} {
		b := guarded(t, auth)
		var got book.Actor
		b.store.hook = func(ctx context.Context) error {
			got = book.ActorFrom(ctx, "nobody")
			return nil
		}
		w := b.do(t, request{method: "POST", target: "/api/v1/books", body: minimalBook, header: bearer("books-write")})
		if w.Code != 201 || got != want {
			t.Errorf("status %d, actor %+v, want %+v", w.Code, got, want)
		}
	}
}
