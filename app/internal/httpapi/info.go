package httpapi

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/netip"
	"time"
)

// info is what the layers of one request tell each other. It is mutable and travels in the context: the router hands
// handlers a copy of the request, so what they set on that copy never comes back to the layers outside.
type info struct {
	start  time.Time
	id     string
	route  string     // template
	client netip.Addr // where the request comes from; zero when that is not known
	trace  string     // ID of the trace that the request is part of; "" for none
	token  string     // public part of the token that was accepted

	// What guard counts, and for whom.
	key      string // of the client; "" for a probe
	changes  bool   // something
	admitted bool   // among the requests that are being answered
	held     int64  // bytes
	status   int    // overrides the status that was sent, for the log and the metrics; 0 does not
	err      error  // why the request failed, for the log

	// connection ends when the client leaves, and not for want of time as the request's own context does.
	connection context.Context
}

// infoKey is the context's key for the info; its type keeps other packages from meeting it.
type infoKey struct{}

// infoFrom returns the info of a request that came through withRequest.
func infoFrom(ctx context.Context) *info {
	return ctx.Value(infoKey{}).(*info)
}

const requestIDHeader = "X-Request-ID"

// maxRequestIDLen bounds what a client can write into every log line.
const maxRequestIDLen = 128

// requestID takes over the client's ID when there is exactly one and it is well-formed, and makes one up otherwise.
// The one it makes up has at least 128 random bits.
func requestID(h http.Header) string {
	if values := h.Values(requestIDHeader); len(values) == 1 && validRequestID(values[0]) {
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
