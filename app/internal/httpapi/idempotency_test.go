package httpapi

import (
	"net/http"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// post creates a book with a key.
func post(key, body string) request {
	return request{method: "POST", target: "/api/v1/books", header: http.Header{"Idempotency-Key": {key}}, body: body}
}

func TestARepeatedPostIsAnsweredAsTheFirst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.do(t, post(`"a"`, minimalBook))
	if first.Code != 201 || first.Header().Get("Idempotency-Replayed") != "" {
		t.Fatalf("the first: %d, %v", first.Code, first.Header())
	}
	for _, key := range []string{`"a"`, "a"} { // the quotes may be left out
		again := b.do(t, post(key, minimalBook))
		if again.Code != 201 || again.Body.String() != first.Body.String() || again.Header().Get("Idempotency-Replayed") != "true" {
			t.Errorf("again: %d %v %s, want the first answer, marked", again.Code, again.Header(), again.Body)
		}
		again.Header().Del("Idempotency-Replayed")
		if diff := gocmp.Diff(first.Header(), again.Header()); diff != "" {
			t.Errorf("headers (-first +again):\n%s", diff)
		}
	}
	if other := b.do(t, post(`"b"`, minimalBook)); other.Code != 201 || other.Header().Get("Location") == first.Header().Get("Location") {
		t.Errorf("another key: %d, Location %s, want another book", other.Code, other.Header().Get("Location"))
	}
	if n := len(b.store.books); n != 2 {
		t.Errorf("there are %d books, want 2", n)
	}
}

func TestAnswersWithAndWithoutAKeyAreTheSame(t *testing.T) {
	t.Parallel()
	plain, keyed := setup(t), setup(t)
	a := plain.do(t, request{method: "POST", target: "/api/v1/books", body: minimalBook})
	b := keyed.do(t, post(`"a"`, minimalBook))
	if diff := gocmp.Diff(dump(t, a), dump(t, b)); diff != "" {
		t.Errorf("(-without +with):\n%s", diff)
	}
}

// What cannot be a book has had no effect, so the key stays free for the mended request.
func TestAKeyIsNotSpentOnARefusedBody(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for body, want := range map[string]int{`{`: 400, `{"title": ""}`: 422} {
		if w := b.do(t, post(`"a"`, body)); w.Code != want {
			t.Errorf("%s: %d, want %d", body, w.Code, want)
		}
	}
	if w := b.do(t, post(`"a"`, minimalBook)); w.Code != 201 {
		t.Errorf("the mended request: %d %s", w.Code, w.Body)
	}
}

func TestKeysThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, lines := range map[string][]string{
		"empty": {`""`}, "too long": {`"` + strings.Repeat("x", 256) + `"`}, "two": {`"a"`, `"b"`}, "not a string": {"a b"},
	} {
		w := b.do(t, request{method: "POST", target: "/api/v1/books", header: http.Header{"Idempotency-Key": lines}, body: minimalBook})
		if w.Code != 400 || !strings.Contains(w.Body.String(), `"header":"Idempotency-Key"`) {
			t.Errorf("%s: %d %s, want a 400 that names the header", name, w.Code, w.Body)
		}
	}
	if len(b.store.books) != 0 {
		t.Error("a book was created")
	}
}

func TestAKeyBelongsToItsToken(t *testing.T) {
	t.Parallel()
	b := guarded(t, AuthRequired)
	for _, step := range []struct {
		token string
		books int
	}{{"books-write", 1}, {"admin", 2}, {"books-write", 2}} {
		req := post(`"a"`, minimalBook)
		req.header.Set("Authorization", "Bearer "+step.token)
		if w := b.do(t, req); w.Code != 201 {
			t.Fatalf("%s: %d %s", step.token, w.Code, w.Body)
		}
		if n := len(b.store.books); n != step.books {
			t.Errorf("after a request with %s there are %d books, want %d", step.token, n, step.books)
		}
	}
}
