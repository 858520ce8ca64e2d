package httpapi

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"bookshelf/app/internal/ratelimit"
)

// probe reports whether a route must be answered whatever happens: who asks decides whether this process lives.
func probe(r route) bool { return r.template != "" && !strings.HasPrefix(r.template, "/api/") }

// guard stands before everything of a route that costs anything. The zero route is that of requests that have none.
func (a *API) guard(r route, next http.Handler) http.Handler {
	if probe(r) || a.AddressLimit == nil {
		return next
	}
	return a.handle(func(w http.ResponseWriter, req *http.Request) error {
		if err := a.limit(w, a.AddressLimit, clientKey(infoFrom(req.Context()).client)); err != nil {
			return err
		}
		next.ServeHTTP(w, req)
		return nil
	})
}

// limit counts a request of the client and tells it what it has left. Its error is a 429.
func (a *API) limit(w http.ResponseWriter, l *ratelimit.Limiter, client string) error {
	if l == nil {
		return nil
	}
	result := l.Take(client, a.Now())
	// Both are lists: a request may stand under two policies.
	w.Header().Add("RateLimit-Policy", l.Header())
	w.Header().Add("RateLimit", result.Header(l.Policy))
	if result.Allowed {
		return nil
	}
	return &apiError{
		kind: kindRateLimited,
		detail: fmt.Sprintf("This %s may send %d requests in %d s, and has none left.",
			l.Name, l.Quota, int(l.Window.Seconds())),
		header: http.Header{"Retry-After": {strconv.Itoa(ratelimit.Seconds(result.RetryAfter))}},
	}
}
