package token

import (
	"strings"
	"testing"
	"time"
)

func TestGeneratedTokensAreReadAsWhatTheyAre(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		id, text := Generate()
		if got, err := Parse(text); err != nil || got != id {
			t.Fatalf("parse %q: %q, %v, want %q", text, got, err, id)
		}
		if seen[id] || seen[text] {
			t.Fatalf("%q was generated twice", text)
		}
		seen[id], seen[text] = true, true
	}
}

func TestAdminIncludesEveryScope(t *testing.T) {
	t.Parallel()
	for _, s := range Scopes() {
		if !(Token{Scopes: []Scope{Admin}}).Allows(s) {
			t.Errorf("admin does not allow %s", s)
		}
		if got := (Token{Scopes: []Scope{BooksRead}}).Allows(s); got != (s == BooksRead) {
			t.Errorf("books:read allows %s: %v", s, got)
		}
	}
}

func TestDraftsAreJudgedAsAWhole(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	for want, d := range map[string]Draft{
		"":                               {Name: "ci@example.org", Scopes: Scopes(), ExpiresAt: new(now.Add(time.Hour))},
		"the name must be 1 to 63":       {Name: "two words", Scopes: Scopes()},
		"is \"\"":                        {Scopes: Scopes()},
		"63 letters":                     {Name: strings.Repeat("x", 64), Scopes: Scopes()},
		"must not begin with bks_":       {Name: "bks_x", Scopes: Scopes()},
		"at least one scope":             {Name: "x"},
		`the scope "books" does not`:     {Name: "x", Scopes: []Scope{"books"}},
		"is given twice":                 {Name: "x", Scopes: []Scope{Admin, Admin}},
		"the expiry must be in the":      {Name: "x", Scopes: Scopes(), ExpiresAt: &now},
		"least one scope is needed\nthe": {Name: "x", ExpiresAt: &now},
	} {
		err := d.Validate(now)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%+v: %v, want it to contain %q", d, err, want)
		}
	}
}

// What is taken for a token gives the identifier back that it was written with, and nothing of it can break a log line.
func FuzzParse(f *testing.F) {
	_, text := Generate()
	for _, seed := range []string{text, "", Prefix, strings.ToUpper(text), text + "=", "bks__" + text} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := Parse(text)
		if err != nil {
			return
		}
		if !strings.HasPrefix(text, Prefix+id+"_") || len(text) != len(Prefix)+idLen+1+secretLen {
			t.Errorf("%q was read as the token %q", text, id)
		}
		if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Errorf("%q was taken for a token", text)
		}
	})
}
