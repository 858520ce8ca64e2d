package bookd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oapi-codegen/nullable"

	"bookshelf/app/client"
	"bookshelf/app/internal/postgres/pgtest"
)

// tokens runs bookd token and returns what it prints.
func (e environ) tokens(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errOut bytes.Buffer
	err = Run(t.Context(), append([]string{"token"}, args...), e.lookup, nil, &out, &errOut)
	return strings.TrimSpace(out.String()), errOut.String(), err
}

func (e environ) mustTokens(t *testing.T, args ...string) string {
	t.Helper()
	out, _, err := e.tokens(t, args...)
	if err != nil {
		t.Fatalf("bookd token %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// statusWith sends a request with a token and returns the status and the challenge.
func statusWith(t *testing.T, method, url, text, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if text != "" {
		req.Header.Set("Authorization", "Bearer "+text)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("WWW-Authenticate")
}

// eventually waits until a request with the token is answered with the status.
func eventually(t *testing.T, url, text string, want int) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		got, _ := statusWith(t, "GET", url, text, "")
		if got == want {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("status %d, want %d in the end", got, want)
		}
	}
}

// The history names the token, however the book was changed.
func TestEveryWayOfChangingABookIsTheTokens(t *testing.T) {
	t.Parallel()
	env := databaseEnviron(t, pgtest.New(t).App)
	p := start(t, env, environ{"AUTH": "required"})
	writer := p.client(t, env.mustTokens(t, "create", "--scopes", "books:write", "writer"))
	admin := p.client(t, env.mustTokens(t, "create", "--scopes", "admin", "admin"))

	created, err := writer.CreateBookWithResponse(t.Context(), &client.CreateBookParams{IdempotencyKey: new(`"a"`)},
		client.BookDraft{Title: "Dune", Authors: []string{"Frank Herbert"}})
	if err != nil {
		t.Fatal(err)
	}
	if created.JSON201 == nil {
		t.Fatalf("create: %s", created.Body)
	}
	patched, err := writer.PatchBookWithApplicationMergePatchPlusJSONBodyWithResponse(
		t.Context(),
		created.JSON201.ID,
		nil,
		client.BookPatch{Language: nullable.NewNullableWithValue("en")},
	)
	if err != nil {
		t.Fatal(err)
	}
	if patched.JSON200 == nil {
		t.Fatalf("patch: %s", patched.Body)
	}
	imported, err := writer.ImportBooksWithBodyWithResponse(t.Context(),
		&client.ImportBooksParams{OnConflict: new(client.ImportBooksParamsOnConflictUpdate)},
		"text/csv", strings.NewReader("title,authors,description\nDune,Frank Herbert,Sand\n"))
	if err != nil {
		t.Fatal(err)
	}
	if imported.JSON200 == nil || imported.JSON200.Updated != 1 {
		t.Fatalf("import: %s", imported.Body)
	}
	history, err := admin.ListChangesWithResponse(t.Context(), created.JSON201.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	if history.JSON200 == nil {
		t.Fatalf("history: %s", history.Body)
	}
	var got []string
	for _, change := range history.JSON200.Items {
		got = append(got, fmt.Sprint(change.Action, " ", change.Version, " by ", change.Actor))
	}
	want := []string{"update 3 by token:writer", "update 2 by token:writer", "create 1 by token:writer"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	p.stop()
	if err := p.wait(t); err != nil {
		t.Error(err)
	}
}

func TestATokenLivesAndEnds(t *testing.T) {
	t.Parallel()
	env := databaseEnviron(t, pgtest.New(t).App)
	p := start(t, env, environ{"AUTH": "required"})
	other := start(t, env, environ{"AUTH": "required"}) // revocation must reach every process
	books := p.api + "/api/v1/books"
	const dune = `{"title": "Dune", "authors": ["Frank Herbert"]}`

	if status, challenge := statusWith(t, "GET", books, "", ""); status != 401 ||
		challenge != `Bearer realm="bookshelf"` {
		t.Errorf("without a token: %d, %q", status, challenge)
	}
	for _, path := range []string{"/livez", "/readyz", "/version"} {
		if status, _ := statusWith(t, "GET", p.api+path, "", ""); status != 200 {
			t.Errorf("%s without a token: %d, want 200", path, status)
		}
	}
	text, notes, err := env.tokens(t, "create", "reader")
	if err != nil || strings.Contains(notes, text) || !strings.Contains(notes, "books:read") {
		t.Fatalf("create: %q, %v", notes, err)
	}
	if status, _ := statusWith(t, "GET", books, text, ""); status != 200 {
		t.Errorf("read: %d, want 200", status)
	}
	if status, challenge := statusWith(t, "POST", books, text, dune); status != 403 ||
		!strings.Contains(challenge, `scope="books:write"`) {
		t.Errorf("write with books:read: %d, %q, want 403 that names the scope", status, challenge)
	}
	writer := env.mustTokens(t, "create", "--scopes", "books:read,books:write", "--expires", "12h", "writer")
	if status, _ := statusWith(t, "POST", books, writer, dune); status != 201 {
		t.Errorf("write: %d, want 201", status)
	}

	admin := env.mustTokens(t, "create", "--scopes", "admin", "admin")
	if status, _ := statusWith(t, "GET", books+"/1/history", writer, ""); status != 403 {
		t.Errorf("history with books:read and books:write: %d, want 403", status)
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", books+"/1/history", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+admin)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	history, err := io.ReadAll(res.Body)
	id := strings.Join(strings.Split(writer, "_")[:2], "_")
	if err != nil || !strings.Contains(string(history), `"action":"create"`) ||
		!strings.Contains(string(history), `"actor":"token:writer","token_id":"`+id+`"`) {
		t.Errorf("history: %s %s (%v), want it to name the writer", res.Status, history, err)
	}

	renewed := env.mustTokens(t, "rotate", "--grace", "1h", "reader")
	for name, text := range map[string]string{"the new secret": renewed, "the old one": text} {
		if status, _ := statusWith(t, "GET", books, text, ""); status != 200 {
			t.Errorf("after the rotation, %s: %d, want 200", name, status)
		}
	}
	eventually(t, other.api+"/api/v1/books", renewed, 200)
	env.mustTokens(t, "revoke", "reader")
	eventually(t, books, renewed, 401)
	eventually(t, other.api+"/api/v1/books", renewed, 401)
	eventually(t, other.api+"/api/v1/books", text, 401)

	for _, p := range []*process{p, other} {
		p.stop()
		if err := p.wait(t); err != nil {
			t.Error(err)
		}
		for _, secret := range []string{text, renewed, writer} {
			if strings.Contains(p.log.String(), secret) {
				t.Error("a token is in the log")
			}
		}
	}
	var listed []struct {
		ID, Name, State string
		Scopes          []string
		LastUsed        *time.Time `json:"last_used_at"`
		Token           *string
	}
	if err := json.Unmarshal([]byte(env.mustTokens(t, "list", "--all", "--json")), &listed); err != nil {
		t.Fatal(err)
	}
	if len(listed) != 3 || listed[0].State != "revoked" || listed[1].State != "active" || len(listed[1].Scopes) != 2 {
		t.Errorf("list: %+v", listed)
	}
	for _, l := range listed {
		if l.LastUsed == nil || l.Token != nil || !strings.HasPrefix(l.ID, "bks_") {
			t.Errorf("%+v: want a last use and no secret", l)
		}
	}
	if table := env.mustTokens(t, "list"); strings.Contains(table, "reader") || !strings.Contains(table, "writer") {
		t.Errorf("list shows:\n%s\nwant the active token only", table)
	}
}

func TestTokensCannotBeCheckedWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	p := start(
		t,
		environ{"DB_HOST": "127.0.0.1", "DB_PORT": refusedPort(t), "DB_NAME": "n", "DB_USER": "u"},
		environ{"AUTH": "required"},
	)
	text := "bks_" + strings.Repeat("a", 12) + "_" + strings.Repeat("b", 52)
	if status, _ := statusWith(t, "GET", p.api+"/api/v1/books", text, ""); status != 503 {
		t.Errorf("status %d, want 503: the client's token may well be good", status)
	}
	if status, _ := statusWith(t, "GET", p.api+"/api/v1/books", "", ""); status != 401 {
		t.Errorf("without a token: %d, want 401", status)
	}
}

func TestReadingIsPublicWhereItIsSaidSo(t *testing.T) {
	t.Parallel()
	p := startOnDatabase(t, environ{"AUTH": "public-read"})
	if status, _ := statusWith(t, "GET", p.api+"/api/v1/books", "", ""); status != 200 {
		t.Errorf("read: %d, want 200", status)
	}
	if status, _ := statusWith(t, "DELETE", p.api+"/api/v1/books/1", "", ""); status != 401 {
		t.Errorf("delete: %d, want 401", status)
	}
}

func TestTokenCommandLine(t *testing.T) {
	t.Parallel()
	whole := "bks_" + strings.Repeat("a", 12) + "_" + strings.Repeat("b", 52)
	for args, want := range map[string]string{
		"":                                "needs one of create",
		"mint x":                          `got "mint"`,
		"create":                          "takes 1 arguments, got 0",
		"create a b":                      "takes 1 arguments, got 2",
		"create bks_x":                    "must not begin with bks_",
		"create --scopes books,admin x":   `the scope "books" does not exist`,
		"create --scopes root --bad x":    "flag provided but not defined",
		"create --expires tomorrow x":     "--expires must be",
		"create --expires 2001-01-01 x":   "the expiry must be in the future",
		"create --expires -1h x":          "the expiry must be in the future",
		"rotate --grace -1s x":            "--grace must be from",
		"rotate --grace 1000h x":          "--grace must be from",
		"rotate --expires 1999-01-01 x":   "--expires must be in the future",
		"revoke " + whole:                 "that is the whole token",
		"list x":                          "takes 0 arguments",
		"create --expires 99999999999d x": "--expires must be",
	} {
		stdout, _, err := environ{}.tokens(t, strings.Fields(args)...)
		if ExitCode(err) != 2 || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") ||
			stdout != "" {
			t.Errorf("bookd token %s: %v, want one line of wrong usage with %q", args, err, want)
		}
		if err != nil && strings.Contains(err.Error(), whole) {
			t.Errorf("the error shows a token: %v", err)
		}
	}
	if out, _, err := (environ{}).tokens(t, "create", "-h"); err != nil ||
		!strings.HasPrefix(out, "Usage: bookd token") {
		t.Errorf("help: %q, %v", out, err)
	}
	env := databaseEnviron(t, pgtest.New(t).App)
	for _, action := range []string{"revoke", "rotate"} {
		if _, _, err := env.tokens(t, action, "nobody"); ExitCode(err) != 1 ||
			!strings.Contains(err.Error(), `there is no token "nobody"`) {
			t.Errorf("%s: %v, want 1 with the name", action, err)
		}
	}
	env.mustTokens(t, "create", "--expires", "never", "once")
	if _, _, err := env.tokens(t, "create", "once"); ExitCode(err) != 1 || !strings.Contains(err.Error(), "already") {
		t.Errorf("create twice: %v", err)
	}
}
