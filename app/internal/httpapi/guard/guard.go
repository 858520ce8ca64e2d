// Package guard keeps what clients take of a server within bounds: connections, requests that are being answered, the bytes
// of their bodies and answers, and requests in a while. It knows clients by their addresses.
package guard

import (
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"bookshelf/app/internal/httpapi/problem"
	"bookshelf/app/internal/ratelimit"
)

// Options are the bounds; all of them are required, unless said otherwise.
type Options struct {
	MaxConnections       int   // that are open at the same time
	MaxInFlight          int   // requests that are answered at the same time, probes aside
	MaxBodyBytesInFlight int64 // of all their bodies and answers together, files of books aside

	AddressLimit   *ratelimit.Limiter // of requests per address; nil for none
	TokenLimit     *ratelimit.Limiter // of requests per token; nil for none
	TrustedProxies []netip.Prefix     // whose X-Forwarded-For is believed
}

// Metrics counts what the limits of requests decided: "allowed" or "refused", by the name of the policy.
type Metrics interface {
	LimitChecked(policy, outcome string)
}

// Guard counts what is taken at the moment.
type Guard struct {
	opts    Options
	now     func() time.Time
	metrics Metrics

	connections connections
	requests    *capacity // that are being answered
	bodies      *capacity // bytes of their bodies and of those of their answers
}

// New returns a guard over a server that nobody uses yet.
func New(opts Options, now func() time.Time, metrics Metrics) *Guard {
	g := &Guard{
		opts: opts, now: now, metrics: metrics,
		requests: newCapacity(int64(opts.MaxInFlight)), bodies: newCapacity(opts.MaxBodyBytesInFlight),
	}
	g.connections.open = newCapacity(int64(opts.MaxConnections))
	return g
}

// LimitAddress counts a request of the client and tells it what it has left. Its error is a 429.
func (g *Guard) LimitAddress(w http.ResponseWriter, client netip.Addr) error {
	return g.limit(w, g.opts.AddressLimit, keyOf(client))
}

// LimitToken does the same for the token with the ID.
func (g *Guard) LimitToken(w http.ResponseWriter, id string) error {
	return g.limit(w, g.opts.TokenLimit, id)
}

func (g *Guard) limit(w http.ResponseWriter, l *ratelimit.Limiter, client string) error {
	if l == nil {
		return nil
	}
	result := l.Take(client, g.now())
	// Both are lists: a request may stand under two policies.
	w.Header().Add("RateLimit-Policy", l.Header())
	w.Header().Add("RateLimit", result.Header(l.Policy))
	if result.Allowed {
		g.metrics.LimitChecked(l.Name, "allowed")
		return nil
	}
	g.metrics.LimitChecked(l.Name, "refused")
	return &problem.Error{
		Kind: problem.RateLimited,
		Detail: fmt.Sprintf("This %s may send %d requests in %d s, and has none left.",
			l.Name, l.Quota, int(l.Window.Seconds())),
		Header: http.Header{"Retry-After": {strconv.Itoa(ratelimit.Seconds(result.RetryAfter))}},
	}
}
