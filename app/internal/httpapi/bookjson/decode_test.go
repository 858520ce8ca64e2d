package bookjson

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	gocmp "github.com/google/go-cmp/cmp"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/httpapi/problem"
)

func TestDecodeReadsABook(t *testing.T) {
	t.Parallel()
	year := -800
	tests := map[string]struct {
		body string
		want book.Draft
	}{
		"with every member": {
			`{"title":"Ilias","authors":["Homer","?"],"isbn13":"x","published_year":-800,"language":"grc","description":"d"}`,
			book.Draft{Title: "Ilias", Authors: []string{"Homer", "?"}, ISBN: "x", PublishedYear: &year, Language: "grc", Description: "d"},
		},
		"with null for what is not known": {
			`{"title":"A","authors":["B"],"isbn13":null,"published_year":null,"language":null,"description":null}`,
			book.Draft{Title: "A", Authors: []string{"B"}},
		},
		"with nothing, which the rules of a book then refuse": {`{}`, book.Draft{}},
		"with an empty list":                   {`{"authors":[]}`, book.Draft{Authors: []string{}}},
		"with white space around":              {" \r\n\t{ \"title\" : \"A\" }\n", book.Draft{Title: "A"}},
		"with escapes":                         {`{"title":"\u0041\n\ud83d\ude00\\ud800"}`, book.Draft{Title: "A\n😀\\ud800"}},
		"with a member's name written escaped": {`{"t\u0069tle":"A"}`, book.Draft{Title: "A"}},
		"with a replacement character":         {`{"title":"\ufffd�"}`, book.Draft{Title: "��"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := DecodeDraft([]byte(test.body))
			if err != nil {
				t.Fatal(err)
			}
			if diff := gocmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		body string
		want string // part of the error, which names the place
	}{
		"nothing":                        {"", "has no body"},
		"white space":                    {" \n", "has no body"},
		"null":                           {"null", "must be a JSON object, is null"},
		"an array":                       {"[]", "must be a JSON object, is an array"},
		"a string":                       {`"x"`, "must be a JSON object, is a string"},
		"true":                           {`true`, "must be a JSON object, is true"},
		"a byte order mark":              {"\ufeff{}", "not JSON"},
		"a comma too many":               {`{"title":"A",}`, "not JSON"},
		"a missing colon":                {`{"title" "A"}`, "not JSON"},
		"a missing comma":                {`{"title":"A" "language":"en"}`, "not JSON"},
		"a name that is no string":       {`{1:2}`, "not JSON"},
		"single quotes":                  {`{'title':'A'}`, "not JSON"},
		"a comment":                      {`{} // x`, "must end after one JSON object"},
		"brackets that do not match":     {`{"authors":["A"}`, "not JSON"},
		"a second object":                {`{"title":"A"}{}`, "must end after one JSON object; there is more from byte 13 on"},
		"an end in the middle":           {`{"title":"A"`, "ends too early"},
		"a line break in a string":       {"{\"title\":\"A\nB\"}", "not JSON"},
		"a NUL byte":                     {"{\"title\":\"A\x00B\"}", "not JSON"},
		"bytes that are not UTF-8":       {"{\"title\":\"A\xffB\"}", "not valid UTF-8: see byte 11"},
		"an encoded surrogate":           {"{\"title\":\"\xed\xa0\x80\"}", "not valid UTF-8: see byte 10"},
		"half a surrogate pair":          {`{"title":"\ud800"}`, "/title must be text"},
		"the second half alone":          {`{"title":"x\udc00"}`, "/title must be text"},
		"two first halves":               {`{"title":"\ud800\ud800"}`, "/title must be text"},
		"a first half before a letter":   {`{"title":"\ud800\u0041"}`, "/title must be text"},
		"half a pair in a name":          {`{"\ud800":1}`, "half of a surrogate pair"},
		"an unknown member":              {`{"titel":"A"}`, "/titel is not a member"},
		"a member in another case":       {`{"TITLE":"A"}`, "/TITLE is not a member"},
		"a name that a pointer escapes":  {`{"a/b~c":1}`, "/a~1b~0c is not a member"},
		"a very long name":               {`{"` + strings.Repeat("ü", 500) + `":1}`, "ü… is not a member"},
		"a member twice":                 {`{"title":"A","title":"A"}`, "/title must not be given twice"},
		"a member twice, once escaped":   {`{"title":"A","titl\u0065":"A"}`, "/title must not be given twice"},
		"a member of the server":         {`{"id":1}`, "/id is set by the server"},
		"title null":                     {`{"title":null}`, "/title must be a string, is null"},
		"title as a number":              {`{"title":1e9}`, "/title must be a string, is a number"},
		"title as an object":             {`{"title":{"a":[1,{"b":2}]}}`, "/title must be a string, is an object"},
		"authors null":                   {`{"authors":null}`, "/authors must be an array of strings, is null"},
		"authors as a string":            {`{"authors":"A"}`, "/authors must be an array of strings, is a string"},
		"an author that is a number":     {`{"authors":["A",2]}`, "/authors/1 must be a string, is a number"},
		"an author that is null":         {`{"authors":[null]}`, "/authors/0 must be a string, is null"},
		"an author that is an array":     {`{"authors":[["A"]]}`, "/authors/0 must be a string, is an array"},
		"a year in quotes":               {`{"published_year":"1999"}`, "/published_year must be a whole number, is a string"},
		"a year with a fraction":         {`{"published_year":1999.5}`, "/published_year must be a whole number"},
		"a year with a zero fraction":    {`{"published_year":1999.0}`, "/published_year must be a whole number"},
		"a year with an exponent":        {`{"published_year":1e3}`, "/published_year must be a whole number"},
		"a huge number":                  {`{"published_year":1` + strings.Repeat("0", 400) + `}`, "/published_year must be a whole number"},
		"a number of the next size":      {`{"published_year":2147483648}`, "/published_year must be a whole number of at most 32 bits"},
		"a number that is none":          {`{"published_year":01}`, "not JSON"},
		"deep nesting":                   {`{"x":` + strings.Repeat("[", 17) + strings.Repeat("]", 17) + `}`, "nested more than 16 deep"},
		"very deep nesting":              {`{"x":` + strings.Repeat(`{"x":`, 100_000), "nested more than 16 deep"},
		"a wrong value and then no JSON": {`{"title":1,`, "ends too early"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := DecodeDraft([]byte(test.body))
			e, ok := errors.AsType[*problem.Error](err)
			if !ok || e.Kind != problem.MalformedBody {
				t.Fatalf("error = %v, want one of kind %s", err, problem.MalformedBody.Name)
			}
			if !strings.Contains(e.Error(), test.want) {
				t.Errorf("error = %q, want it to contain %q", e, test.want)
			}
		})
	}
}

func TestDecodeReportsABoundedNumberOfMistakes(t *testing.T) {
	t.Parallel()
	_, err := DecodeDraft([]byte(`{"authors":[` + strings.Repeat("0,", 5000) + `0]}`))
	e, ok := errors.AsType[*problem.Error](err)
	if !ok || len(e.Fields) != maxMistakes {
		t.Errorf("error = %v, want %d mistakes", err, maxMistakes)
	}
}

// Whatever arrives is either read, into texts that PostgreSQL can store apart from NUL, or refused with a 400.
func FuzzDecodeDraft(f *testing.F) {
	for _, seed := range []string{
		`{"title": "Dune", "authors": ["Frank Herbert"], "isbn13": "0-441-17271-7", "published_year": 1965}`,
		`{}`, `[]`, `{"title":"\ud800"}`, "{\"title\":\"\xff\"}", `{"authors":[1,{"a":[]}]}`,
		`{"published_year":1e400}`, `{"a":{"b":{"c":[[[[]]]]}}}`, `{"title":"A","title":"B"}`, `{"title":"A"}x`, `{"title":"\u0000"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		draft, err := DecodeDraft(body)
		if err != nil {
			if e, ok := errors.AsType[*problem.Error](err); !ok || e.Kind.Status != http.StatusBadRequest {
				t.Fatalf("error = %v, want a 400", err)
			}
			return
		}
		for _, text := range append([]string{draft.Title, draft.ISBN, draft.Language, draft.Description}, draft.Authors...) {
			if !utf8.ValidString(text) {
				t.Errorf("text %q is not UTF-8", text)
			}
		}
		// The lenient decoder has to agree on everything that the strict one accepts.
		var lenient struct {
			Title   string
			Authors []string
			Year    *int `json:"published_year"`
		}
		if err := json.Unmarshal(body, &lenient); err != nil {
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		if lenient.Title != draft.Title || !gocmp.Equal(lenient.Authors, draft.Authors) || !gocmp.Equal(lenient.Year, draft.PublishedYear) {
			t.Errorf("read %+v, encoding/json reads %+v", draft, lenient)
		}
	})
}
