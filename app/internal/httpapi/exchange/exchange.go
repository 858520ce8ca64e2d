// Package exchange is one request and its answer: what its layers tell each other, how its body is read, and how every
// answer is written.
package exchange

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/netip"
	"time"

	"bookshelf/app/internal/httpapi/guard"
)

// Info is what the layers of one request tell each other. It is mutable and travels in the context: the router hands
// handlers a copy of the request, so what they set on that copy never comes back to the layers outside.
type Info struct {
	Start  time.Time
	ID     string
	Route  string      // template
	Client netip.Addr  // where the request comes from; zero when that is not known
	Trace  string      // ID of the trace that the request is part of; "" for none
	Token  string      // public part of the token that was accepted
	Load   *guard.Load // what the request takes; nil for a probe
	Status int         // overrides the status that was sent, for the log and the metrics; 0 does not
	Err    error       // why the request failed, for the log

	// Connection ends when the client leaves, and not for want of time as the request's own context does.
	Connection context.Context
}

// Begin returns what the layers and handlers of a request use in place of w and r, so that they find its info.
func Begin(w http.ResponseWriter, r *http.Request, in *Info) (*Recorder, *http.Request) {
	return &Recorder{ResponseWriter: w, info: in}, r.WithContext(context.WithValue(r.Context(), infoKey{}, in))
}

// infoKey is the context's key for the info; its type keeps other packages from meeting it.
type infoKey struct{}

// From returns the info of a request that went through Begin.
func From(ctx context.Context) *Info {
	return ctx.Value(infoKey{}).(*Info)
}

// RequestIDHeader carries the ID of a request, both ways.
const RequestIDHeader = "X-Request-ID"

// maxRequestIDLen bounds what a client can write into every log line.
const maxRequestIDLen = 128

// RequestID takes over the client's ID when there is exactly one and it is well-formed, and makes one up otherwise.
// The one it makes up has at least 128 random bits.
func RequestID(h http.Header) string {
	if values := h.Values(RequestIDHeader); len(values) == 1 && validRequestID(values[0]) {
		return values[0]
	}
	return rand.Text()
}

// validRequestID allows what a URN may hold (RFC 8141, section 2) without escapes, since problems name the request as
// urn:request:ID.
func validRequestID(id string) bool {
	if id == "" || len(id) > maxRequestIDLen {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '-', c == '.', c == '_', c == '~', c == ':', c == '=', c == '+', c == '@':
		case c == '/' && i > 0: // the grammar allows no slash in front
		default:
			return false
		}
	}
	return true
}
