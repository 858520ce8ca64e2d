package guard

import (
	"io"
	"net/http"
	"net/netip"

	"bookshelf/app/internal/httpapi/problem"
)

// Load is what one request takes. That of a probe is nil: it is answered whatever happens, and nothing of it is counted.
type Load struct {
	guard    *Guard
	key      string // of the client
	changes  bool   // something
	admitted bool   // among the requests that are being answered
	held     int64  // bytes
}

// Load returns that of a request of the client, which has taken nothing yet. changes says whether the request is to change
// something. Release must be called at the end.
func (g *Guard) Load(client netip.Addr, changes bool) *Load {
	return &Load{guard: g, key: keyOf(client), changes: changes}
}

// Admit counts the request among those that are being answered. Refusing at once is better than a queue: whoever waits at
// its end gives up before it is answered, and all the while it takes memory and asks again. Its error is a 503.
func (l *Load) Admit() error {
	if l == nil {
		return nil
	}
	if !l.guard.requests.take(l.key, 1) {
		return &problem.Error{Kind: problem.Overloaded, Detail: "Too many requests are being answered. Try again shortly."}
	}
	l.admitted = true
	return nil
}

// Retire counts the request out, if it was counted in. It is out as well while it waits for its body, because that may
// take as long as the client likes, up to the time-outs, and costs little more than an idle connection.
func (l *Load) Retire() {
	if l != nil && l.admitted {
		l.guard.requests.give(l.key, 1)
		l.admitted = false
	}
}

// hold counts n bytes of a body, of the request or the answer, that are in memory until the request is answered.
func (l *Load) hold(n int) error {
	if l == nil || n == 0 {
		return nil
	}
	if !l.guard.bodies.take(l.key, int64(n)) {
		return &problem.Error{
			Kind:   problem.Overloaded,
			Detail: "Too many large requests are being answered. Try again shortly.",
			// What is left of the body would have to be read before the connection could be used again.
			Header: http.Header{"Connection": {"close"}},
		}
	}
	l.held += int64(n)
	return nil
}

// HoldAnswer counts n bytes of the body of the answer, which a client that reads slowly keeps in memory. The answer to a
// change is sent whether there is room or not: the change has been made. Its error is a 503.
func (l *Load) HoldAnswer(n int) error {
	if l != nil && l.changes {
		l.guard.bodies.force(l.key, int64(n))
		l.held += int64(n)
		return nil
	}
	return l.hold(n)
}

// Release gives back all that the request has taken.
func (l *Load) Release() {
	l.Retire()
	if l.held > 0 {
		l.guard.bodies.give(l.key, l.held)
	}
}

// Body returns the body of the request, which counts as it arrives: what Content-Length claims may never come. Reading fails
// with a 503 when there is no room.
func (l *Load) Body(body io.ReadCloser) io.ReadCloser { return &heldBody{ReadCloser: body, load: l} }

type heldBody struct {
	io.ReadCloser

	load *Load
}

// Read implements io.Reader.
func (h *heldBody) Read(p []byte) (int, error) {
	n, err := h.ReadCloser.Read(p)
	if full := h.load.hold(n); full != nil {
		return n, full
	}
	return n, err
}
