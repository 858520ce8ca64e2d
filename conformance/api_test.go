package conformance

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// api calls a running service.
type api struct {
	base string // http://127.0.0.1:8080
}

// call sends one request and returns the answer's header and document. The status must be want.
func (a api) call(t *testing.T, method, path, body string, want int) (http.Header, map[string]any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, a.base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%s %s: read the answer: %v", method, path, err)
	}
	if response.StatusCode != want {
		t.Fatalf("%s %s: status %d, want %d: %s", method, path, response.StatusCode, want, raw)
	}
	var document map[string]any
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &document); err != nil {
			t.Fatalf("%s %s: the answer is no JSON object: %v: %s", method, path, err, raw)
		}
	}
	return response.Header, document
}

// exercise takes one book through its life.
func (a api) exercise(t *testing.T) {
	t.Helper()
	created, book := a.call(t, http.MethodPost, "/api/v1/books",
		`{"title": "The Left Hand of Darkness", "authors": ["Ursula K. Le Guin"], "isbn13": "978-0-441-47812-5", "published_year": 1969, "language": "en"}`,
		http.StatusCreated)
	if book["isbn13"] != "9780441478125" {
		t.Errorf("isbn13 is %v, want it without hyphens", book["isbn13"])
	}
	if created.Get("X-Bookshelf-Version") == "" {
		t.Error("the answer does not carry its version")
	}
	location := created.Get("Location")
	if !strings.HasPrefix(location, "/api/v1/books/") {
		t.Fatalf("Location is %q, want the book's path", location)
	}

	_, again := a.call(t, http.MethodGet, location, "", http.StatusOK)
	if again["title"] != "The Left Hand of Darkness" {
		t.Errorf("title is %v after reading it again", again["title"])
	}
	_, list := a.call(t, http.MethodGet, "/api/v1/books?author=Ursula+K.+Le+Guin", "", http.StatusOK)
	if items, _ := list["items"].([]any); len(items) != 1 {
		t.Errorf("the list of the author's books has %d items, want 1", len(items))
	}
	_, conflict := a.call(t, http.MethodPost, "/api/v1/books",
		`{"title": "Another", "authors": ["Somebody"], "isbn13": "9780441478125"}`, http.StatusConflict)
	if detail, _ := conflict["detail"].(string); !strings.Contains(detail, "9780441478125") {
		t.Errorf("the conflict does not name the ISBN: %v", conflict)
	}
	_, replaced := a.call(t, http.MethodPut, location, `{"title": "Winter's King", "authors": ["Ursula K. Le Guin"]}`, http.StatusOK)
	if replaced["title"] != "Winter's King" || replaced["isbn13"] != nil {
		t.Errorf("after replacing it the book is %v", replaced)
	}
	a.call(t, http.MethodDelete, location, "", http.StatusNoContent)
	a.call(t, http.MethodGet, location, "", http.StatusNotFound)
	a.call(t, http.MethodPost, "/api/v1/books", `{"title": `, http.StatusBadRequest)
}
