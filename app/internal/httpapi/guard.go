package httpapi

import (
	"fmt"
	"io"
	"net/http"
	"strconv"

	"bookshelf/app/internal/ratelimit"
)

// probe reports whether a route must be answered whatever happens: who asks decides whether this process lives.
func probe(r route) bool {
	return r.template == livePath || r.template == readyPath || r.template == versionPath
}

// guard stands before everything of a route that costs anything: it keeps the number of requests that are being
// answered, and the bytes that they hold, within bounds, and each address within its limit. The zero route is that of
// requests that have none.
func (a *API) guard(r route, next http.Handler) http.Handler {
	if probe(r) {
		return next
	}
	return a.handle(func(w http.ResponseWriter, req *http.Request) error {
		in := infoFrom(req.Context())
		in.key = clientKey(in.client)
		in.changes = req.Method != http.MethodGet && req.Method != http.MethodHead
		defer func() {
			a.retire(in)
			if in.held > 0 {
				a.bodies.give(in.key, in.held)
			}
		}()
		if err := a.admit(in); err != nil {
			return err
		}
		if err := a.limit(w, a.AddressLimit, in.key); err != nil {
			return err
		}
		next.ServeHTTP(w, req)
		return nil
	})
}

// admit counts a request among those that are being answered. Refusing at once is better than a queue: whoever waits at
// its end gives up before it is answered, and all the while it takes memory and asks again.
func (a *API) admit(in *info) error {
	if !a.requests.take(in.key, 1) {
		return &apiError{kind: kindOverloaded, detail: "Too many requests are being answered. Try again shortly."}
	}
	in.admitted = true
	return nil
}

// retire counts a request out, if it was counted in. It is out as well while it waits for its body, because that may
// take as long as the client likes, up to the time-outs, and costs little more than an idle connection.
func (a *API) retire(in *info) {
	if in.admitted {
		a.requests.give(in.key, 1)
		in.admitted = false
	}
}

// hold counts n bytes of a body, of the request or the answer, that are in memory until the request is answered.
func (a *API) hold(in *info, n int) error {
	if in.key == "" || n == 0 { // a probe, or nothing
		return nil
	}
	if !a.bodies.take(in.key, int64(n)) {
		return &apiError{
			kind:   kindOverloaded,
			detail: "Too many large requests are being answered. Try again shortly.",
			// What is left of the body would have to be read before the connection could be used again.
			header: http.Header{"Connection": {"close"}},
		}
	}
	in.held += int64(n)
	return nil
}

// holdAnswer counts the body of an answer, which a client that reads slowly keeps in memory. The answer to a change is
// sent whether there is room or not: the change has been made.
func (a *API) holdAnswer(in *info, n int) error {
	if in.changes && in.key != "" {
		a.bodies.force(in.key, int64(n))
		in.held += int64(n)
		return nil
	}
	return a.hold(in, n)
}

// heldBody counts the body of a request as it arrives: what Content-Length claims may never come.
type heldBody struct {
	io.ReadCloser

	api *API
	in  *info
}

// Read implements io.Reader. The error is an *apiError when there is no room.
func (h *heldBody) Read(p []byte) (int, error) {
	n, err := h.ReadCloser.Read(p)
	if full := h.api.hold(h.in, n); full != nil {
		return n, full
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
		a.Metrics.LimitChecked(l.Name, "allowed")
		return nil
	}
	a.Metrics.LimitChecked(l.Name, "refused")
	return &apiError{
		kind: kindRateLimited,
		detail: fmt.Sprintf("This %s may send %d requests in %d s, and has none left.",
			l.Name, l.Quota, int(l.Window.Seconds())),
		header: http.Header{"Retry-After": {strconv.Itoa(ratelimit.Seconds(result.RetryAfter))}},
	}
}
