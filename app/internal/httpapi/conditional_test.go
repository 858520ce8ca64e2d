package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// replacedOnce stores one book in version 2.
func replacedOnce(t *testing.T, changes ...func(*Options)) *bundle {
	t.Helper()
	b := setup(t, changes...)
	b.add(t, "Emma")
	b.store.books[0].Version = 2
	return b
}

func TestReadsAreConditional(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		header http.Header
		want   int
	}{
		"no condition":                       {nil, 200},
		"it has this version":                {http.Header{"If-None-Match": {`"2"`}}, 304},
		"it has it, compared weakly":         {http.Header{"If-None-Match": {`W/"2"`}}, 304},
		"it has one of several":              {http.Header{"If-None-Match": {`"1", "2"`}}, 304},
		"it has anything":                    {http.Header{"If-None-Match": {"*"}}, 304},
		"it has another version":             {http.Header{"If-None-Match": {`"1"`}}, 200},
		"another way to write the number":    {http.Header{"If-None-Match": {`"02"`}}, 200},
		"it wants this version":              {http.Header{"If-Match": {`"2"`}}, 200},
		"it wants another version":           {http.Header{"If-Match": {`"1"`}}, 412},
		"a weak tag matches nothing":         {http.Header{"If-Match": {`W/"2"`}}, 412},
		"it wants whatever there is":         {http.Header{"If-Match": {"*"}}, 200},
		"If-Match comes first":               {http.Header{"If-Match": {`"1"`}, "If-None-Match": {`"2"`}}, 412},
		"a header that cannot be understood": {http.Header{"If-None-Match": {"2"}}, 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := replacedOnce(t)
			for _, method := range []string{"GET", "HEAD"} {
				w := b.do(t, request{method: method, target: "/api/v1/books/1", header: test.header})
				if w.Code != test.want {
					t.Errorf("%s: status = %d, want %d", method, w.Code, test.want)
				}
				if w.Code >= 400 {
					continue
				}
				if tag, cache := w.Header().Get("ETag"), w.Header().Get("Cache-Control"); tag != `"2"` || cache != "private, no-cache" {
					t.Errorf("%s: ETag %s, Cache-Control %q, want those of version 2, to be asked for each time", method, tag, cache)
				}
				if w.Code == 304 && (w.Body.Len() > 0 || w.Header().Get("Content-Type") != "") {
					t.Errorf("%s: a 304 with %q of type %q, want it empty", method, w.Body, w.Header().Get("Content-Type"))
				}
			}
		})
	}
}

func TestAListIsUnchangedUntilOneOfItsBooksIs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add(t, "Emma", "Ulysses")
	list := request{method: "GET", target: "/api/v1/books?limit=1"}
	first := b.do(t, list)
	tag := first.Header().Get("ETag")
	if !strings.HasPrefix(tag, `W/"`) {
		t.Fatalf("ETag = %s, want a weak one", tag)
	}
	list.header = http.Header{"If-None-Match": {tag}}
	if w := b.do(t, list); w.Code != 304 || w.Header().Get("ETag") != tag || w.Header().Get("Link") != first.Header().Get("Link") {
		t.Errorf("asked again: %d, ETag %s, Link %s; want 304 with the headers of the first answer",
			w.Code, w.Header().Get("ETag"), w.Header().Get("Link"))
	}
	b.store.books[1].Version = 2 // on another page
	if w := b.do(t, list); w.Code != 304 {
		t.Errorf("after the change of another page: %d, want 304", w.Code)
	}
	b.store.books[0].Version = 2
	if w := b.do(t, list); w.Code != 200 || w.Header().Get("ETag") == tag {
		t.Errorf("after the change: %d, ETag %s, want 200 and another tag", w.Code, w.Header().Get("ETag"))
	}
	list.header = http.Header{"If-Match": {tag}}
	if w := b.do(t, list); w.Code != 412 {
		t.Errorf("a weak tag in If-Match: %d, want 412", w.Code)
	}
}

func TestChangesAreConditional(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		header http.Header
		want   int // 200 stands for success
		always int // with REQUIRE_IF_MATCH
	}{
		"no condition":                   {nil, 200, 428},
		"this version":                   {http.Header{"If-Match": {`"2"`}}, 200, 200},
		"one of several":                 {http.Header{"If-Match": {`"9", "2"`}}, 200, 200},
		"several lines":                  {http.Header{"If-Match": {`"9"`, `"2"`}}, 200, 200},
		"whatever there is":              {http.Header{"If-Match": {"*"}}, 200, 200},
		"an earlier version":             {http.Header{"If-Match": {`"1"`}}, 412, 412},
		"a weak tag":                     {http.Header{"If-Match": {`W/"2"`}}, 412, 412},
		"a tag that no book has":         {http.Header{"If-Match": {`"xyzzy"`}}, 412, 412},
		"a malformed list":               {http.Header{"If-Match": {`2`}}, 400, 400},
		"only when there is none":        {http.Header{"If-None-Match": {"*"}}, 412, 428},
		"not this version":               {http.Header{"If-None-Match": {`W/"2"`}}, 412, 428},
		"not an earlier version":         {http.Header{"If-None-Match": {`"1"`}}, 200, 428},
		"this one, but not this one":     {http.Header{"If-Match": {`"2"`}, "If-None-Match": {`"2"`}}, 412, 412},
		"If-Unmodified-Since is no help": {http.Header{"If-Unmodified-Since": {"Sun, 01 Mar 2020 12:00:00 GMT"}}, 200, 428},
	} {
		for _, always := range []bool{false, true} {
			for _, method := range []string{"PUT", "DELETE"} {
				want := test.want
				if always {
					want = test.always
				}
				if method == "DELETE" && want == 200 {
					want = 204
				}
				t.Run(fmt.Sprint(name, ", ", method, ", required: ", always), func(t *testing.T) {
					t.Parallel()
					b := replacedOnce(t, func(o *Options) { o.RequireIfMatch = always })
					req := request{method: method, target: "/api/v1/books/1", header: test.header}
					if method == "PUT" {
						req.body = minimalBook
					}
					w := b.do(t, req)
					if w.Code != want {
						t.Fatalf("status = %d, want %d: %s", w.Code, want, w.Body)
					}
					changed := len(b.store.books) == 0 || b.store.books[0].Version != 2
					if changed != (want < 300) {
						t.Errorf("the book was changed: %t", changed)
					}
					if want == 200 && (w.Header().Get("ETag") != `"3"` || w.Header().Get("Content-Location") != "/api/v1/books/1") {
						t.Errorf("ETag %s of %q, want that of version 3", w.Header().Get("ETag"), w.Header().Get("Content-Location"))
					}
				})
			}
		}
	}
}

// A condition does not turn a missing book into another error (RFC 9110, section 13.2.1).
func TestAMissingBookStaysMissingUnderAnyCondition(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, value := range []string{"*", `"1"`} {
		for _, name := range []string{"If-Match", "If-None-Match"} {
			for _, method := range []string{"GET", "PUT", "DELETE"} {
				req := request{method: method, target: "/api/v1/books/7", header: http.Header{name: {value}}}
				if method == "PUT" {
					req.body = minimalBook
				}
				if w := b.do(t, req); w.Code != 404 {
					t.Errorf("%s with %s: %s: status = %d, want 404", method, name, value, w.Code)
				}
			}
		}
	}
}
