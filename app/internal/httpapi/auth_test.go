package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/token"
)

// fakeTokens knows tokens by their text.
type fakeTokens struct {
	known map[string]token.Token
	err   error
}

func (f *fakeTokens) Verify(_ context.Context, text string) (token.Token, error) {
	t, ok := f.known[text]
	switch {
	case f.err != nil:
		return token.Token{}, f.err
	case !ok:
		return token.Token{}, &token.RefusedError{Reason: "is not one of this service"}
	default:
		return t, nil
	}
}

// guarded is an API that wants tokens; those it knows are named for their only scope.
func guarded(t *testing.T, auth Auth, changes ...func(*Options)) *bundle {
	t.Helper()
	known := map[string]token.Token{}
	for _, s := range token.Scopes() {
		name := strings.ReplaceAll(string(s), ":", "-")
		known[name] = token.Token{ID: "id-of-" + name, Name: name, Scopes: []token.Scope{s}}
	}
	changes = append(
		[]func(*Options){func(o *Options) { o.Auth, o.Tokens = auth, &fakeTokens{known: known} }},
		changes...)
	return setup(t, changes...)
}

func bearer(text string) http.Header { return http.Header{"Authorization": {"Bearer " + text}} }

// scopes of every route, by hand: a route that is added must be added here, with the scope that it should have.
var scopes = map[string]token.Scope{
	"GET /api/v1/books":              token.BooksRead,
	"POST /api/v1/books":             token.BooksWrite,
	"GET /api/v1/books/{id}":         token.BooksRead,
	"PUT /api/v1/books/{id}":         token.BooksWrite,
	"PATCH /api/v1/books/{id}":       token.BooksWrite,
	"GET /api/v1/books/export":       token.BooksRead,
	"POST /api/v1/books/import":      token.BooksWrite,
	"DELETE /api/v1/books/{id}":      token.BooksWrite,
	"GET /api/v1/books/{id}/history": token.Admin,
	"GET /livez":                     "",
	"GET /readyz":                    "",
	"GET /version":                   "",
	"GET /openapi.yaml":              "",
	"GET /docs":                      "",
	"GET /docs/{file}":               "",
}

func TestEveryRouteWantsItsScope(t *testing.T) {
	t.Parallel()
	for auth, name := range map[Auth]string{AuthRequired: "required", AuthPublicRead: "public-read", AuthOff: "off"} {
		b := guarded(t, auth)
		for _, r := range b.api.routes() {
			operation := r.method + " " + r.template
			scope, listed := scopes[operation]
			if !listed {
				t.Errorf("%s is not in the list of this test", operation)
			}
			open := scope == "" || auth == AuthOff || auth == AuthPublicRead && scope == token.BooksRead
			target := strings.ReplaceAll(r.template, "{id}", "1")
			want := func(who string, header http.Header, refused int) {
				w := b.do(t, request{method: r.method, target: target, body: minimalBook, header: header})
				if got := w.Code == 401 || w.Code == 403; got != (refused != 0) || refused != 0 && w.Code != refused {
					t.Errorf("AUTH=%s: %s by %s: status %d, want refusal %d", name, operation, who, w.Code, refused)
				}
				if refused != 0 && w.Header().Get("WWW-Authenticate") == "" {
					t.Errorf("AUTH=%s: %s by %s: no WWW-Authenticate", name, operation, who)
				}
			}
			refused := func(status int, open bool) int {
				if open {
					return 0
				}
				return status
			}
			want("nobody", nil, refused(401, open))
			for _, s := range token.Scopes() {
				holds := s == scope || s == token.Admin || scope == "" || auth == AuthOff
				want(string(s), bearer(strings.ReplaceAll(string(s), ":", "-")), refused(403, holds))
			}
			want("an impostor", bearer("nonsense"), refused(401, scope == "" || auth == AuthOff))
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	list := request{method: "GET", target: "/api/v1/books"}
	with := func(header http.Header) request {
		r := list
		r.header = header
		return r
	}
	create := request{method: "POST", target: "/api/v1/books", body: minimalBook, header: bearer("books-read")}
	for name, test := range map[string]struct {
		request request
		err     error
		status  int
	}{
		"no token":         {request: list, status: 401},
		"unknown token":    {request: with(bearer("nonsense")), status: 401},
		"another scheme":   {request: with(http.Header{"Authorization": {"Basic dTpw"}}), status: 401},
		"two tokens":       {request: with(http.Header{"Authorization": {"Bearer admin", "Bearer admin"}}), status: 401},
		"missing scope":    {request: create, status: 403},
		"token unverified": {request: with(bearer("admin")), err: fmt.Errorf("read: %w", book.ErrUnavailable), status: 503},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := guarded(t, AuthRequired, func(o *Options) { o.Tokens.(*fakeTokens).err = test.err })
			w := b.do(t, test.request)
			if w.Code != test.status {
				t.Errorf("status = %d, want %d", w.Code, test.status)
			}
			wantGolden(t, "auth-"+strings.ReplaceAll(name, " ", "-")+".golden", dump(t, w))
			if len(b.store.books) > 0 {
				t.Error("the refused request changed something")
			}
		})
	}
}

// A token in the query would be in the logs of every proxy.
func TestATokenInTheQueryIsNoToken(t *testing.T) {
	t.Parallel()
	b := guarded(t, AuthRequired)
	if w := b.do(t, request{method: "GET", target: "/api/v1/books?access_token=admin"}); w.Code != 401 {
		t.Errorf("status = %d, want 401", w.Code)
	}
	b = guarded(t, AuthPublicRead)
	if w := b.do(t, request{method: "GET", target: "/api/v1/books?access_token=admin"}); w.Code != 400 {
		t.Errorf("where reading is public: status = %d, want 400", w.Code)
	}
}

func TestTheSchemeIsReadInAnyCase(t *testing.T) {
	t.Parallel()
	b := guarded(t, AuthRequired)
	for _, value := range []string{"Bearer admin", "bearer admin", "BEARER   admin"} {
		w := b.do(t, request{method: "GET", target: "/api/v1/books", header: http.Header{"Authorization": {value}}})
		if w.Code != 200 {
			t.Errorf("Authorization: %s: status = %d, want 200", value, w.Code)
		}
	}
}

func TestTheLogNamesTheTokenAndNeverShowsIt(t *testing.T) {
	t.Parallel()
	b := guarded(t, AuthRequired)
	b.do(t, request{method: "GET", target: "/api/v1/books", header: bearer("books-read")})
	b.do(t, request{method: "GET", target: "/api/v1/books", header: bearer("hunter2")})
	lines := b.logs.lines(t)
	if got := lines[0]["token"]; got != "bks_id-of-books-read" {
		t.Errorf("the line of an accepted request names the token %v", got)
	}
	if got, there := lines[1]["token"]; there {
		t.Errorf("the line of a refused request names the token %v", got)
	}
	if text := fmt.Sprint(lines); strings.Contains(text, "hunter2") {
		t.Errorf("the log shows what was sent: %s", text)
	}
}

func TestWhatIsNoRouteNeedsNoToken(t *testing.T) {
	t.Parallel()
	b := guarded(t, AuthRequired, func(o *Options) { o.Tokens.(*fakeTokens).err = errors.New("was asked") })
	for _, test := range []struct {
		method, target string
		status         int
	}{
		{"GET", "/api/v1/authors", 404},
		{"BREW", "/api/v1/books", 405},
		{"OPTIONS", "/api/v1/books", 204},
	} {
		if w := b.do(t, request{method: test.method, target: test.target, header: bearer("x")}); w.Code != test.status {
			t.Errorf("%s %s: status = %d, want %d", test.method, test.target, w.Code, test.status)
		}
	}
}

func TestWhatBecameOfTokensLimitsAndKeysIsCounted(t *testing.T) {
	t.Parallel()
	b := guarded(t, AuthRequired, func(o *Options) { o.Guard.AddressLimit = limited("address", 5) })
	list := request{method: "GET", target: "/api/v1/books"}
	for _, header := range []http.Header{nil, bearer("nonsense"), bearer("books-read")} {
		r := list
		r.header = header
		b.do(t, r)
	}
	once := request{method: "POST", target: "/api/v1/books", body: minimalBook, header: bearer("books-write")}
	once.header.Set("Idempotency-Key", "a")
	b.do(t, once)
	b.do(t, once)
	b.do(t, list) // beyond the limit, so nobody looks for a token
	want := []string{
		"limit address allowed", "token missing",
		"limit address allowed", "token refused",
		"limit address allowed", "token accepted",
		"limit address allowed", "token accepted", "key created",
		"limit address allowed", "token accepted", "key replayed",
		"limit address refused",
	}
	if diff := gocmp.Diff(want, b.metrics.outcomes); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}
