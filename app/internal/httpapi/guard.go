package httpapi

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"bookshelf/app/internal/ratelimit"
)

// probe reports whether a route must be answered whatever happens: who asks decides whether this process lives.
func probe(r route) bool { return r.template != "" && !strings.HasPrefix(r.template, "/api/") }

// guard stands before everything of a route that costs anything: it keeps the number of requests that are being
// answered within bounds, and each address within its limit. The zero route is that of requests that have none.
func (a *API) guard(r route, next http.Handler) http.Handler {
	if probe(r) {
		return next
	}
	return a.handle(func(w http.ResponseWriter, req *http.Request) error {
		// Refusing at once is better than a queue: whoever waits at its end gives up before it is answered, and all the
		// while it takes memory and asks again.
		defer a.inFlight.Add(-1)
		if a.inFlight.Add(1) > int64(a.MaxInFlight) {
			return &apiError{kind: kindOverloaded, detail: "Too many requests are being answered. Try again shortly."}
		}
		in := infoFrom(req.Context())
		defer func() { a.bodiesInFlight.Add(-in.bodyBytes) }()
		if err := a.limit(w, a.AddressLimit, clientKey(in.client)); err != nil {
			return err
		}
		next.ServeHTTP(w, req)
		return nil
	})
}

// heldBody is the body of a request that is kept in memory as a whole. It counts what was read of it until the request
// is answered, so that many large bodies at once cannot take more memory than there is.
type heldBody struct {
	api  *API
	in   *info
	body io.Reader
}

// hold returns the request's body, counted.
func (a *API) hold(r *http.Request) io.ReadCloser {
	return io.NopCloser(&heldBody{api: a, in: infoFrom(r.Context()), body: r.Body})
}

// Read implements io.Reader. The error is an *apiError when there is no room.
func (h *heldBody) Read(p []byte) (int, error) {
	n, err := h.body.Read(p)
	h.in.bodyBytes += int64(n)
	if h.api.bodiesInFlight.Add(int64(n)) > h.api.MaxBodyBytesInFlight {
		return n, &apiError{
			kind:   kindOverloaded,
			detail: "Too many large request bodies are being read. Try again shortly.",
			// What is left of the body would have to be read before the connection could be used again.
			header: http.Header{"Connection": {"close"}},
		}
	}
	return n, err
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
