package token

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
)

const (
	// MaxAge is how long what was read of a token is relied on. A revocation, wherever it was made, is in force
	// everywhere after that and one look-up, which is 5 s at most.
	MaxAge = 3 * time.Second

	// lookupTimeout bounds a look-up, for the same promise.
	lookupTimeout = 2 * time.Second

	// cacheSize bounds what is remembered. Only tokens that exist are.
	cacheSize = 4096

	// flushInterval is how often the last uses are written: a write per request would double the load on the database.
	flushInterval = 30 * time.Second
)

// Source keeps the tokens.
type Source interface {
	// Token returns the token with the identifier, or ErrUnknown.
	Token(ctx context.Context, id string) (Record, error)
	// TokensUsed stores when tokens were last used, by identifier.
	TokensUsed(ctx context.Context, used map[string]time.Time) error
}

// RefusedError says why a token is not good.
type RefusedError struct {
	Reason string // a sentence fragment: "has expired"
}

func (e *RefusedError) Error() string { return "the token " + e.Reason }

// Verifier tells good tokens from others. Its methods may be called at the same time.
type Verifier struct {
	source  Source
	now     func() time.Time
	cache   *lru.Cache[string, entry]
	lookups singleflight.Group

	mu   sync.Mutex
	used map[string]time.Time // since the last flush; only tokens that exist
}

// entry is a token as it was when the reading of it began.
type entry struct {
	record Record
	read   time.Time
}

// NewVerifier returns a verifier of the tokens in source.
func NewVerifier(source Source, now func() time.Time) *Verifier {
	cache, err := lru.New[string, entry](cacheSize)
	if err != nil {
		panic(err) // only a size below 1 is an error
	}
	return &Verifier{source: source, now: now, cache: cache, used: map[string]time.Time{}}
}

// Verify returns the token whose text a client presented. The error is a *RefusedError when the token is not good, and
// the source's when that could not be found out.
func (v *Verifier) Verify(ctx context.Context, text string) (Token, error) {
	id, err := Parse(text)
	if err != nil {
		return Token{}, &RefusedError{Reason: err.Error()}
	}
	began, hash := v.now(), HashOf(text)
	found, ok := v.cache.Get(id)
	if !ok || began.Sub(found.read) >= MaxAge || !found.knows(hash) {
		found, err = v.lookup(ctx, id)
		// A look-up that another request began may have read the token before the rotation that made this secret.
		if err == nil && !found.knows(hash) && found.read.Before(began) {
			found, err = v.lookup(ctx, id)
		}
	}
	switch {
	case errors.Is(err, ErrUnknown):
		return Token{}, &RefusedError{Reason: "is not one of this service"}
	case err != nil:
		return Token{}, err
	}
	if err := found.record.judge(hash, began); err != nil {
		return Token{}, err
	}
	v.mu.Lock()
	v.used[id] = began
	v.mu.Unlock()
	return found.record.Token, nil
}

func (e entry) knows(h Hash) bool { return e.record.current(h) || e.record.previous(h) }

// judge returns nil when a token with the hash is good at the moment. Only who has the secret learns what became of it.
func (r Record) judge(h Hash, now time.Time) error {
	switch current, previous := r.current(h), r.previous(h); {
	case !current && !previous:
		return &RefusedError{Reason: "is not one of this service"}
	case r.RevokedAt != nil:
		return &RefusedError{Reason: "was revoked"}
	case previous && !current && !now.Before(*r.PreviousUntil):
		return &RefusedError{Reason: "was replaced by a rotation"}
	case current && r.ExpiresAt != nil && !now.Before(*r.ExpiresAt):
		return &RefusedError{Reason: "has expired"}
	default:
		return nil
	}
}

// lookup reads a token, once for all requests that ask for it at the same time. It goes on when the request that began
// it ends, because others wait for it too.
func (v *Verifier) lookup(ctx context.Context, id string) (entry, error) {
	result := v.lookups.DoChan(id, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookupTimeout)
		defer cancel()
		read := v.now()
		record, err := v.source.Token(ctx, id)
		if err != nil {
			v.cache.Remove(id)
			return entry{}, err
		}
		found := entry{record: record, read: read}
		v.cache.Add(id, found)
		return found, nil
	})
	select {
	case r := <-result:
		return r.Val.(entry), r.Err
	case <-ctx.Done():
		return entry{}, fmt.Errorf("look up the token: %w", ctx.Err())
	}
}

// Flush stores when tokens were last used. What cannot be stored is kept for the next time.
func (v *Verifier) Flush(ctx context.Context) error {
	v.mu.Lock()
	used := v.used
	v.used = map[string]time.Time{}
	v.mu.Unlock()
	if len(used) == 0 {
		return nil
	}
	err := v.source.TokensUsed(ctx, used)
	if err != nil {
		v.mu.Lock()
		maps.Copy(used, v.used) // these are later
		v.used = used
		v.mu.Unlock()
	}
	return err
}

// Start flushes from time to time. The function it returns ends that, with a last flush that is given up with its
// context.
func (v *Verifier) Start(logger *slog.Logger) (stop func(context.Context)) {
	flush := func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
		defer cancel()
		if err := v.Flush(ctx); err != nil {
			logger.Warn("the last uses of tokens could not be stored", "error", err)
		}
	}
	ended, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(flushInterval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				flush(context.Background())
			case <-ended:
				return
			}
		}
	}()
	return func(ctx context.Context) {
		close(ended)
		<-stopped
		flush(ctx)
	}
}
