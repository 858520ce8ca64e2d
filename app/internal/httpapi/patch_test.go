package httpapi

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"bookshelf/app/internal/book"
)

// patch sends a merge patch to book 1, which has every member.
func patch(t *testing.T, body string, header http.Header) (*bundle, int, map[string]any) {
	t.Helper()
	b := setup(t)
	b.do(t, request{method: "POST", target: "/api/v1/books", body: `{"title": "Dune", "authors": ["Frank Herbert", "N. N."],
		"isbn13": "9780441172719", "published_year": 1965, "language": "en", "description": "Sand."}`})
	if header == nil {
		header = http.Header{}
	}
	header.Set("Content-Type", "application/merge-patch+json")
	w := b.do(t, request{method: "PATCH", target: "/api/v1/books/1", body: body, header: header})
	var answer map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatalf("%q: %v", w.Body, err)
	}
	if tag := w.Header().Get("ETag"); (w.Code == 200) != (tag == `"2"`) {
		t.Errorf("status %d with ETag %s", w.Code, tag)
	}
	return b, w.Code, answer
}

func TestAMergePatchChangesWhatItNames(t *testing.T) {
	t.Parallel()
	full := book.Draft{
		Title: "Dune", Authors: []string{"Frank Herbert", "N. N."}, ISBN: "9780441172719", PublishedYear: new(1965),
		Language: "en", Description: "Sand.",
	}
	for name, test := range map[string]struct {
		patch  string
		change func(*book.Draft)
	}{
		"nothing":                     {`{}`, func(*book.Draft) {}},
		"a text":                      {`{"title": " Dune Messiah "}`, func(d *book.Draft) { d.Title = "Dune Messiah" }},
		"a list, as a whole":          {`{"authors": ["F. Herbert"]}`, func(d *book.Draft) { d.Authors = []string{"F. Herbert"} }},
		"a number":                    {`{"published_year": 1969}`, func(d *book.Draft) { d.PublishedYear = new(1969) }},
		"an ISBN in another form":     {`{"isbn13": "0-441-17269-5"}`, func(d *book.Draft) { d.ISBN = "9780441172696" }},
		"null removes a text":         {`{"description": null}`, func(d *book.Draft) { d.Description = "" }},
		"null removes a number":       {`{"published_year": null}`, func(d *book.Draft) { d.PublishedYear = nil }},
		"null removes an ISBN":        {`{"isbn13": null}`, func(d *book.Draft) { d.ISBN = "" }},
		"blank does too":              {`{"language": ""}`, func(d *book.Draft) { d.Language = "" }},
		"several members in one step": {`{"language": null, "title": "D"}`, func(d *book.Draft) { d.Language, d.Title = "", "D" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := full
			test.change(&want)
			b, status, answer := patch(t, test.patch, nil)
			if status != 200 || answer["version"] != 2.0 {
				t.Fatalf("status = %d: %v, want 200 with version 2", status, answer)
			}
			if diff := gocmp.Diff(want, b.store.books[0].Draft()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAMergePatchThatMakesNoBookChangesNothing(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		patch  string
		header http.Header
		status int
		want   string // in the answer
	}{
		"an unknown member":             {`{"titel": "x"}`, nil, 400, "/titel is not a member of a book"},
		"an unknown member to remove":   {`{"titel": null}`, nil, 400, "/titel is not a member of a book"},
		"a member in another case":      {`{"Title": "x"}`, nil, 400, "/Title is not a member"},
		"a member of the server":        {`{"version": 7}`, nil, 400, "/version is set by the server"},
		"a wrong type":                  {`{"title": 7}`, nil, 400, "/title must be a string, is a number"},
		"null within a list":            {`{"authors": [null]}`, nil, 400, "/authors/0 must be a string, is null"},
		"a list for the book":           {`[{"title": "x"}]`, nil, 400, "must be a JSON object, is an array"},
		"null for the book":             {`null`, nil, 400, "must be a JSON object, is null"},
		"a member twice":                {`{"title": "x", "title": "y"}`, nil, 400, "/title must not be given twice"},
		"a required text removed":       {`{"title": null}`, nil, 422, "/title must not be blank"},
		"the required list removed":     {`{"authors": null}`, nil, 422, "/authors must name at least one author"},
		"several rules broken":          {`{"title": "", "isbn13": "1"}`, nil, 422, "/isbn13 must be an ISBN"},
		"another version is meant":      {`{"title": "x"}`, http.Header{"If-Match": {`"9"`}}, 412, "precondition-failed"},
		"another version, a bad result": {`{"title": null}`, http.Header{"If-Match": {`"9"`}}, 412, "precondition-failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, status, answer := patch(t, test.patch, test.header)
			text := answer["type"].(string) + " " + answer["detail"].(string)
			list, _ := answer["errors"].([]any)
			for _, e := range list {
				text += "; " + e.(map[string]any)["pointer"].(string) + " " + e.(map[string]any)["detail"].(string)
			}
			if status != test.status || !strings.Contains(text, test.want) {
				t.Errorf("status = %d: %s, want %d and %q", status, text, test.status, test.want)
			}
			if b.store.books[0].Version != 1 || b.store.books[0].Title != "Dune" {
				t.Errorf("the book is now %+v", b.store.books[0])
			}
		})
	}
}

func TestAPatchIsOfOneTypeOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add(t, "Emma")
	for _, contentType := range []string{"application/json", "application/json-patch+json", "text/plain"} {
		w := b.do(t, request{
			method: "PATCH", target: "/api/v1/books/1", body: `{"title": "x"}`, header: http.Header{"Content-Type": {contentType}},
		})
		if got := w.Header().Get("Accept-Patch"); w.Code != 415 || got != "application/merge-patch+json" {
			t.Errorf("%s: status %d, Accept-Patch %q, want 415 and the type that is taken", contentType, w.Code, got)
		}
	}
	for target, want := range map[string]string{"/api/v1/books/1": "application/merge-patch+json", "/api/v1/books": ""} {
		if got := b.do(t, request{method: "OPTIONS", target: target}).Header().Get("Accept-Patch"); got != want {
			t.Errorf("OPTIONS %s: Accept-Patch = %q, want %q", target, got, want)
		}
	}
	if w := b.do(t, request{
		method: "POST", target: "/api/v1/books", body: minimalBook, header: http.Header{"Content-Type": {"application/merge-patch+json"}},
	}); w.Code != 415 || w.Header().Get("Accept-Patch") != "" {
		t.Errorf("POST of a patch: status %d, Accept-Patch %q, want 415 without", w.Code, w.Header().Get("Accept-Patch"))
	}
}
