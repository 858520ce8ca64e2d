package token

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// clock stands still until it is told to go on.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// source keeps tokens in memory and counts how often it is asked.
type source struct {
	mu      sync.Mutex
	records map[string]Record
	reads   int
	used    map[string]time.Time
	err     error
	entered func() // called before a token is read
}

func (s *source) Token(_ context.Context, id string) (Record, error) {
	if s.entered != nil {
		s.entered()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if s.err != nil {
		return Record{}, s.err
	}
	record, ok := s.records[id]
	if !ok {
		return Record{}, fmt.Errorf("select token: %w", ErrUnknown)
	}
	return record, nil
}

func (s *source) TokensUsed(_ context.Context, used map[string]time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	maps.Copy(s.used, used)
	return nil
}

func (s *source) change(id string, change func(*Record)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	record := s.records[id]
	change(&record)
	s.records[id] = record
}

// bundle is a verifier over one token.
type bundle struct {
	*Verifier
	clock    *clock
	source   *source
	id, text string
}

func setup(t *testing.T) *bundle {
	t.Helper()
	id, text := Generate()
	b := &bundle{
		clock: &clock{now: time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)}, id: id, text: text,
		source: &source{records: map[string]Record{}, used: map[string]time.Time{}},
	}
	b.source.records[id] = Record{
		Token: Token{ID: id, Name: "importer", Scopes: []Scope{BooksRead}},
		Hash:  HashOf(text),
	}
	b.Verifier = NewVerifier(b.source, b.clock.read)
	return b
}

// wantRefused makes sure that the token is refused for the reason.
func (b *bundle) wantRefused(t *testing.T, text, reason string) {
	t.Helper()
	_, err := b.Verify(t.Context(), text)
	if refused, ok := errors.AsType[*RefusedError](err); !ok || !strings.Contains(refused.Reason, reason) {
		t.Errorf("verify: %v, want it refused because it %s", err, reason)
	}
}

func (b *bundle) wantAccepted(t *testing.T, text string) {
	t.Helper()
	if got, err := b.Verify(t.Context(), text); err != nil || got.ID != b.id {
		t.Errorf("verify: %+v, %v, want the token accepted", got, err)
	}
}

func TestAGoodTokenIsReadOnceInAWhile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 100 {
		b.wantAccepted(t, b.text)
	}
	if b.source.reads != 1 {
		t.Errorf("100 requests read the token %d times, want once", b.source.reads)
	}
	b.clock.advance(MaxAge)
	b.wantAccepted(t, b.text)
	if b.source.reads != 2 {
		t.Errorf("after %v the token was read %d times in all, want 2", MaxAge, b.source.reads)
	}
}

func TestARevokedTokenIsRefusedAfterAtMostFiveSeconds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.wantAccepted(t, b.text)
	b.source.change(b.id, func(r *Record) { r.RevokedAt = new(b.clock.read()) })
	b.clock.advance(5*time.Second - lookupTimeout)
	b.wantRefused(t, b.text, "was revoked")
}

func TestAnExpiredTokenIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.source.change(b.id, func(r *Record) { r.ExpiresAt = new(b.clock.read().Add(time.Second)) })
	b.wantAccepted(t, b.text)
	b.clock.advance(time.Second)
	b.wantRefused(t, b.text, "has expired")
}

func TestAfterARotationBothSecretsAreGoodForTheGrace(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.wantAccepted(t, b.text) // the token is remembered as it was
	renewed := Renew(b.id)
	b.source.change(b.id, func(r *Record) {
		r.Previous, r.PreviousUntil = new(r.Hash), new(b.clock.read().Add(time.Hour))
		r.Hash = HashOf(renewed)
	})
	b.wantAccepted(t, renewed) // without waiting until what is remembered is too old
	b.wantAccepted(t, b.text)
	b.clock.advance(time.Hour)
	b.wantAccepted(t, renewed)
	b.wantRefused(t, b.text, "was replaced by a rotation")
}

// A request with the new secret must not be refused because of what another request began to read before the rotation.
func TestARotationDuringALookUpIsSeen(t *testing.T) {
	t.Parallel()
	b := setup(t)
	renewed := Renew(b.id)
	joined := make(chan error, 1)
	var once sync.Once
	b.source.entered = func() {
		once.Do(func() {
			b.clock.advance(time.Millisecond)
			b.source.change(b.id, func(r *Record) { r.Hash = HashOf(renewed) })
			go func() {
				_, err := b.Verify(context.Background(), renewed)
				joined <- err
			}()
		})
	}
	if _, err := b.Verify(t.Context(), b.text); err == nil {
		t.Error("the secret from before the rotation was accepted")
	}
	if err := <-joined; err != nil {
		t.Errorf("the secret of the rotation: %v", err)
	}
}

func TestOtherTextsAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, foreign := Generate()
	last := b.text[len(b.text)-1]
	for name, text := range map[string]string{
		"another token":           foreign,
		"another secret":          Renew(b.id),
		"a character changed":     b.text[:len(b.text)-1] + string('a'+(last-'a'+1)%26),
		"a character less":        b.text[:len(b.text)-1],
		"a character more":        b.text + "a",
		"capitals":                strings.ToUpper(b.text),
		"no prefix":               strings.TrimPrefix(b.text, Prefix),
		"nothing":                 "",
		"an identifier only":      Prefix + b.id,
		"a NUL":                   strings.Replace(b.text, "_", "\x00", 2),
		"white space at its end":  b.text + " ",
		"letters that only look":  strings.Replace(b.text, "b", "ь", 1),
		"a secret of other bytes": Prefix + b.id + "_" + strings.Repeat("\xff", secretLen),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b.wantRefused(t, text, "is not ")
		})
	}
}

func TestWhatIsNotATokenIsNotLookedUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.wantRefused(t, "bks_nonsense", "is not of the form")
	if b.source.reads != 0 {
		t.Errorf("the source was asked %d times", b.source.reads)
	}
}

func TestAnErrorOfTheSourceIsNoRefusal(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.wantAccepted(t, b.text)
	b.source.err = errors.New("connection refused")
	b.wantAccepted(t, b.text) // from memory
	b.clock.advance(MaxAge)
	_, err := b.Verify(t.Context(), b.text)
	if _, refused := errors.AsType[*RefusedError](err); refused || !errors.Is(err, b.source.err) {
		t.Errorf("verify: %v, want the source's error", err)
	}
}

func TestLastUsesAreStoredTogetherAndNotLost(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.wantAccepted(t, b.text)
	b.wantRefused(t, Renew(b.id), "is not one") // is no use of the token
	first := b.clock.read()
	b.source.err = errors.New("connection refused")
	if err := b.Flush(t.Context()); err == nil {
		t.Error("flush: no error")
	}
	b.source.err = nil
	if err := b.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]time.Time{b.id: first}, b.source.used); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestManyRequestsAtOnceReadATokenOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	inside := make(chan struct{})
	b.source.entered = func() { <-inside }
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { b.wantAccepted(t, b.text) })
	}
	close(inside)
	wg.Wait()
	// Those that came after the first look-up found its result, or began another before it was remembered.
	if b.source.reads > 5 {
		t.Errorf("50 requests at once read the token %d times", b.source.reads)
	}
}
