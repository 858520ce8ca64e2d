package conformance

import (
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestEveryRoute drives a service that somebody else has started, through every operation that it offers:
//
//	BOOKSHELF_URL        where its API is, http://app:8080
//	BOOKSHELF_ADMIN_URL  where its metrics are; left out where they cannot be reached
//	BOOKSHELF_VERSION    what it must say that it is; optional
//
// It may hold books already, and holds the same ones afterwards.
func TestEveryRoute(t *testing.T) {
	t.Parallel()
	base := strings.TrimSuffix(os.Getenv("BOOKSHELF_URL"), "/")
	if base == "" {
		t.Skip("BOOKSHELF_URL does not say where to go")
	}
	a := api{base: base}
	t.Run("the probes answer", func(t *testing.T) {
		t.Parallel()
		a.probes(t, os.Getenv("BOOKSHELF_VERSION"))
	})
	t.Run("a book lives and goes", func(t *testing.T) {
		t.Parallel()
		a.life(t)
	})
	t.Run("lists are paged, filtered and sorted", func(t *testing.T) {
		t.Parallel()
		a.lists(t)
	})
	t.Run("mistakes are told apart", func(t *testing.T) {
		t.Parallel()
		a.mistakes(t)
	})
	if admin := strings.TrimSuffix(os.Getenv("BOOKSHELF_ADMIN_URL"), "/"); admin != "" {
		t.Run("metrics are on a port of their own", func(t *testing.T) {
			t.Parallel()
			a.metrics(t, admin)
		})
	}
}

// probes are what an environment asks all the time.
func (a api) probes(t *testing.T, version string) {
	t.Helper()
	for _, path := range []string{"/livez", "/readyz", "/version"} {
		got, document := a.call(t, http.MethodGet, path, "", http.StatusOK)
		if named := got.Get("X-Bookshelf-Version"); named == "" || version != "" && named != version {
			t.Errorf("GET %s: it says that it is version %q, want %q", path, named, version)
		}
		if path == "/version" && version != "" && document["version"] != version {
			t.Errorf("GET %s: %v, want version %s", path, document, version)
		}
		a.call(t, http.MethodHead, path, "", http.StatusOK)
	}
}

// title is one that no other run uses, so that lists can be narrowed down to this test's books.
func title(name string) string { return name + " " + rand.Text()[:10] }

// remove deletes a book when the test is over, unless the test has done so.
func (a api) remove(t *testing.T, location string) {
	t.Helper()
	t.Cleanup(func() {
		// The test's own context has ended by now.
		request, err := http.NewRequest(http.MethodDelete, a.base+location, nil)
		if err != nil {
			t.Error(err)
			return
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Error(err)
			return
		}
		response.Body.Close()
		if response.StatusCode != http.StatusNoContent && response.StatusCode != http.StatusNotFound {
			t.Errorf("delete %s again: %s", location, response.Status)
		}
	})
}

// add creates a book and returns its path and what was answered.
func (a api) add(t *testing.T, body string) (location string, book map[string]any) {
	t.Helper()
	created, book := a.call(t, http.MethodPost, "/api/v1/books", body, http.StatusCreated)
	location = created.Get("Location")
	if !strings.HasPrefix(location, "/api/v1/books/") {
		t.Fatalf("Location is %q, want the book's path", location)
	}
	a.remove(t, location)
	return location, book
}

func (a api) life(t *testing.T) {
	t.Helper()
	name := title("The Dispossessed")
	location, book := a.add(t, fmt.Sprintf(`{"title": %q, "authors": ["Ursula K. Le Guin"], "published_year": 1974, "language": "EN"}`, name))
	if book["version"] != 1.0 || book["language"] != "en" {
		t.Errorf("the new book is %v", book)
	}
	_, read := a.call(t, http.MethodGet, location, "", http.StatusOK)
	if fmt.Sprint(read) != fmt.Sprint(book) {
		t.Errorf("read again it is %v, was %v", read, book)
	}
	a.call(t, http.MethodHead, location, "", http.StatusOK)

	_, replaced := a.call(t, http.MethodPut, location, fmt.Sprintf(`{"title": %q, "authors": ["U. K. Le Guin"]}`, name), http.StatusOK)
	if replaced["version"] != 2.0 || replaced["published_year"] != nil {
		t.Errorf("replaced it is %v, want version 2 without a year", replaced)
	}
	a.call(t, http.MethodDelete, location, "", http.StatusNoContent)
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		a.call(t, method, location, "", http.StatusNotFound)
	}
	a.call(t, http.MethodPut, location, `{"title": "x", "authors": ["y"]}`, http.StatusNotFound)
}

func (a api) lists(t *testing.T) {
	t.Helper()
	name := title("Hainish cycle")
	var want []string
	for i, year := range []int{1966, 1967, 1969} {
		book := fmt.Sprintf("%s %d", name, i)
		a.add(t, fmt.Sprintf(`{"title": %q, "authors": ["Ursula K. Le Guin"], "published_year": %d, "language": "en-US"}`, book, year))
		want = append(want, book)
	}
	for sort, order := range map[string][]string{
		"id": want, "-id": reversed(want), "title": want, "-title": reversed(want), "year": want, "-year": reversed(want),
	} {
		var got []string
		query := url.Values{"title": {name}, "sort": {sort}, "limit": {"2"}}
		for page := 0; ; page++ {
			if page == len(want) {
				t.Fatalf("sorted by %s there are more pages than books", sort)
			}
			_, list := a.call(t, http.MethodGet, "/api/v1/books?"+query.Encode(), "", http.StatusOK)
			items, _ := list["items"].([]any)
			for _, item := range items {
				book, _ := item.(map[string]any)
				got = append(got, fmt.Sprint(book["title"]))
			}
			cursor, more := list["next_cursor"].(string)
			if !more {
				break
			}
			query.Set("cursor", cursor)
		}
		if !slices.Equal(got, order) {
			t.Errorf("sorted by %s the books are %q, want %q", sort, got, order)
		}
	}
	for filter, books := range map[string]int{"author=le+guin": 3, "year=1967": 1, "language=en": 3, "language=de": 0, "isbn=9780441478125": 0} {
		_, list := a.call(t, http.MethodGet, "/api/v1/books?title="+url.QueryEscape(name)+"&"+filter, "", http.StatusOK)
		if items, ok := list["items"].([]any); !ok || len(items) != books {
			t.Errorf("with the filter %s there are %d books, want %d", filter, len(items), books)
		}
	}
}

func reversed(list []string) []string {
	list = slices.Clone(list)
	slices.Reverse(list)
	return list
}

func (a api) mistakes(t *testing.T) {
	t.Helper()
	for _, m := range []struct {
		method, path, body string
		status             int
	}{
		{http.MethodPost, "/api/v1/books", `{"title": `, http.StatusBadRequest},
		{http.MethodPost, "/api/v1/books", `{"title": "x", "authors": ["y"], "colour": "red"}`, http.StatusBadRequest},
		{http.MethodPost, "/api/v1/books", `{"title": "", "authors": []}`, http.StatusUnprocessableEntity},
		{http.MethodGet, "/api/v1/books?limit=0", "", http.StatusBadRequest},
		{http.MethodGet, "/api/v1/books?cursor=oops", "", http.StatusBadRequest},
		{http.MethodGet, "/api/v1/books/0", "", http.StatusNotFound},
		{http.MethodGet, "/api/v2/books", "", http.StatusNotFound},
		{http.MethodPatch, "/api/v1/books", "", http.StatusMethodNotAllowed},
		{http.MethodDelete, "/api/v1/books", "", http.StatusMethodNotAllowed},
		{http.MethodPost, "/readyz", "{}", http.StatusMethodNotAllowed},
	} {
		got, problem := a.call(t, m.method, m.path, m.body, m.status)
		if kind := got.Get("Content-Type"); kind != "application/problem+json" {
			t.Errorf("%s %s: the answer is %s, want a problem", m.method, m.path, kind)
		}
		if problem["status"] != float64(m.status) || problem["detail"] == "" {
			t.Errorf("%s %s: %v", m.method, m.path, problem)
		}
		if m.status == http.StatusMethodNotAllowed && got.Get("Allow") == "" {
			t.Errorf("%s %s: it does not say what is allowed", m.method, m.path)
		}
	}
	got, _ := a.call(t, http.MethodOptions, "/api/v1/books", "", http.StatusNoContent)
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		if !strings.Contains(got.Get("Allow"), method) {
			t.Errorf("OPTIONS: Allow is %q, want it with %s", got.Get("Allow"), method)
		}
	}
}

// metrics makes sure that a release can be judged: requests are counted by route, and the API does not show the numbers.
func (a api) metrics(t *testing.T, admin string) {
	t.Helper()
	a.call(t, http.MethodGet, "/metrics", "", http.StatusNotFound)
	a.call(t, http.MethodGet, "/api/v1/books?limit=1", "", http.StatusOK)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, admin+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"http_server_requests_total{", `http_route="/api/v1/books"`, "http_server_request_duration_seconds_bucket{", "http_server_active_requests"} {
		if response.StatusCode != http.StatusOK || !strings.Contains(string(text), want) {
			t.Errorf("GET %s/metrics: %s, without %s", admin, response.Status, want)
		}
	}
}
