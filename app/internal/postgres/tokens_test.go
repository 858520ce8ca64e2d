package postgres_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"bookshelf/app/internal/postgres"
	"bookshelf/app/internal/postgres/pgtest"
	"bookshelf/app/internal/token"
)

func mustCreateToken(t *testing.T, s *postgres.Store, d token.Draft) (token.Token, token.Hash) {
	t.Helper()
	id, text := token.Generate()
	created, err := s.CreateToken(t.Context(), id, token.HashOf(text), d)
	if err != nil {
		t.Fatalf("create token %q: %v", d.Name, err)
	}
	return created, token.HashOf(text)
}

func TestATokenIsKeptAsItWasMade(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t).Store(t)
	expiry := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	created, hash := mustCreateToken(t, s, token.Draft{Name: "importer", Scopes: token.Scopes(), ExpiresAt: &expiry})
	want := token.Token{
		ID:        created.ID,
		Name:      "importer",
		Scopes:    token.Scopes(),
		CreatedAt: created.CreatedAt,
		ExpiresAt: &expiry,
	}
	if diff := cmp.Diff(want, created); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got, err := s.Token(t.Context(), created.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(token.Record{Token: want, Hash: hash}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, name := range []string{"importer", token.Prefix + created.ID} {
		if found, err := s.FindToken(t.Context(), name); err != nil || found.ID != created.ID {
			t.Errorf("find %q: %+v, %v", name, found, err)
		}
	}
	if _, err := s.Token(t.Context(), "aaaaaaaaaaaa"); !errors.Is(err, token.ErrUnknown) {
		t.Errorf("another identifier: %v, want ErrUnknown", err)
	}
}

func TestANameStandsForOneTokenUntilItIsRevoked(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t).Store(t)
	draft := token.Draft{Name: "importer", Scopes: token.Scopes()}
	first, _ := mustCreateToken(t, s, draft)
	id, text := token.Generate()
	_, err := s.CreateToken(t.Context(), id, token.HashOf(text), draft)
	if taken, ok := errors.AsType[*token.NameTakenError](err); !ok || taken.Name != "importer" {
		t.Errorf("the same name again: %v, want NameTakenError", err)
	}
	revoked, err := s.RevokeToken(t.Context(), first.ID)
	if err != nil || revoked.RevokedAt == nil {
		t.Fatalf("revoke: %+v, %v", revoked, err)
	}
	again, err := s.RevokeToken(t.Context(), first.ID)
	if err != nil || !again.RevokedAt.Equal(*revoked.RevokedAt) {
		t.Errorf("revoke again: %+v, %v, want the first time kept", again, err)
	}
	second, _ := mustCreateToken(t, s, draft)
	if found, err := s.FindToken(t.Context(), "importer"); err != nil || found.ID != second.ID {
		t.Errorf("the name finds %+v, %v, want the new token", found, err)
	}
	all, err := s.Tokens(t.Context())
	if err != nil || len(all) != 2 || all[0].ID != first.ID {
		t.Errorf("list: %+v, %v, want both, the older first", all, err)
	}
}

func TestRotationKeepsTheOldSecretNoLongerThanItWasGood(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t).Store(t)
	rotate := func(id string, grace time.Duration) token.Record {
		t.Helper()
		if _, err := s.RotateToken(t.Context(), id, token.HashOf(token.Renew(id)), grace, nil); err != nil {
			t.Fatal(err)
		}
		r, err := s.Token(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	expiry := time.Now().Add(2 * time.Hour)
	limited, hash := mustCreateToken(t, s, token.Draft{Name: "limited", Scopes: token.Scopes(), ExpiresAt: &expiry})
	r := rotate(limited.ID, time.Hour)
	if r.Hash == hash || r.Previous == nil || *r.Previous != hash {
		t.Error("the old secret did not become the previous one")
	}
	if got := r.PreviousUntil.Sub(*r.RotatedAt); got != time.Hour {
		t.Errorf("the grace is %v, want 1h", got)
	}
	if lived, lives := limited.ExpiresAt.Sub(limited.CreatedAt), r.ExpiresAt.Sub(*r.RotatedAt); lived != lives {
		t.Errorf("the new secret is good for %v, want %v as the last", lives, lived)
	}
	before := *r.ExpiresAt
	if r := rotate(limited.ID, 10*time.Hour); !r.PreviousUntil.Equal(before) {
		t.Errorf("the old secret is good until %v, want its own expiry %v", r.PreviousUntil, before)
	}

	endless, _ := mustCreateToken(t, s, token.Draft{Name: "endless", Scopes: token.Scopes()})
	if r := rotate(endless.ID, time.Hour); r.ExpiresAt != nil || r.PreviousUntil.Sub(*r.RotatedAt) != time.Hour {
		t.Errorf("rotated without expiry: %+v", r.Token)
	}
	if _, err := s.RevokeToken(t.Context(), endless.ID); err != nil {
		t.Fatal(err)
	}
	_, err := s.RotateToken(t.Context(), endless.ID, hash, 0, nil)
	if !errors.Is(err, token.ErrUnknown) {
		t.Errorf("rotate a revoked token: %v, want ErrUnknown", err)
	}
}

func TestLastUsesOnlyGoForward(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t).Store(t)
	a, _ := mustCreateToken(t, s, token.Draft{Name: "a", Scopes: token.Scopes()})
	b, _ := mustCreateToken(t, s, token.Draft{Name: "b", Scopes: token.Scopes()})
	early := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	late := early.Add(time.Hour)
	for _, used := range []map[string]time.Time{
		{a.ID: late, b.ID: early, "gone": late},
		{a.ID: early, b.ID: late},
	} {
		if err := s.TokensUsed(t.Context(), used); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{a.ID, b.ID} {
		if r, err := s.Token(t.Context(), id); err != nil || r.LastUsedAt == nil || !r.LastUsedAt.Equal(late) {
			t.Errorf("last use: %v, %v, want %v", r.LastUsedAt, err, late)
		}
	}
}

// constraintOf names the constraint that an error is about.
func constraintOf(err error) string {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pgErr.ConstraintName
	}
	return ""
}

// What package token checks holds in the database too, whatever writes to it.
func TestTheSchemaRefusesTokensThatAreNone(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	const insert = `INSERT INTO api_tokens (id, name, scopes, secret_hash) VALUES `
	for name, row := range map[string]string{
		"id_form":            `('short', 'x', '{admin}', sha256('x'))`,
		"name_form":          `('aaaaaaaaaaaa', 'two words', '{admin}', sha256('x'))`,
		"scopes_known":       `('aaaaaaaaaaaa', 'x', '{root}', sha256('x'))`,
		"secret_hash_length": `('aaaaaaaaaaaa', 'x', '{admin}', 'x')`,
	} {
		if err := tryExec(t, d, d.Owner, insert+row); constraintOf(err) != "api_tokens_"+name {
			t.Errorf("%s: %v, want the constraint api_tokens_%s", row, err, name)
		}
	}
	if err := tryExec(t, d, d.Owner, insert+`('aaaaaaaaaaaa', 'x', '{}', sha256('x'))`); constraintOf(
		err,
	) != "api_tokens_scopes_known" {
		t.Errorf("no scope: %v", err)
	}
}
