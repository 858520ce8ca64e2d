// Package problem is how every error is answered: what a client is told of it, as a document of RFC 9457.
package problem

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/idempotency"
)

// Document is the body of every error (RFC 9457).
type Document struct {
	Type     string  `json:"type"`
	Title    string  `json:"title"`
	Status   int     `json:"status"`
	Detail   string  `json:"detail"`
	Instance string  `json:"instance"`
	Errors   []Field `json:"errors,omitempty"`
	Report   any     `json:"report,omitempty"` // of an import that was refused
}

// Document is the problem as the request with the ID is told.
func (e *Error) Document(requestID string) Document {
	return Document{
		Type:     typePrefix + e.Kind.Name,
		Title:    e.Kind.Title,
		Status:   e.Kind.Status,
		Detail:   e.Detail,
		Instance: "urn:request:" + requestID,
		Errors:   e.Fields,
		Report:   e.Report,
	}
}

// Field is one mistake in a request: at a place in the body, in a parameter of the query, or in a header.
type Field struct {
	Pointer   string `json:"pointer,omitempty"` // RFC 6901
	Parameter string `json:"parameter,omitempty"`
	Header    string `json:"header,omitempty"`
	Detail    string `json:"detail"`
}

// RetryAfter is what every 503 and an early repetition are advised, in seconds: time enough for a connection pool to recover or a release to finish.
const RetryAfter = "2"

// Error is an error that says itself how it is answered.
type Error struct {
	Kind   Kind
	Detail string // a sentence for the client
	Fields []Field
	Report any         // of an import
	Header http.Header // added to the response
	Cause  error       // for the log only
}

// Error is for the log: it has everything that the client is told, and the cause.
func (e *Error) Error() string {
	parts := []string{e.Kind.Name + ": " + e.Detail}
	for _, f := range e.Fields {
		parts = append(parts, f.Pointer+f.Parameter+f.Header+" "+f.Detail)
	}
	if e.Cause != nil {
		parts = append(parts, e.Cause.Error())
	}
	return strings.Join(parts, "; ")
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// ErrClientLeft says that the client left where the request's context can no longer tell, because its time was over before.
var ErrClientLeft = errors.New("the client left")

// OfHeader is the 400 for a header that cannot be understood.
func OfHeader(name, detail string) error {
	return &Error{
		Kind:   InvalidHeader,
		Detail: fmt.Sprintf("The header %s %s.", name, detail),
		Fields: []Field{{Header: name, Detail: detail}},
	}
}

// Of says how err is answered; nil means that nobody is there to read an answer. Texts of unknown errors never
// reach a client: they may hold addresses, statements or data of others.
func Of(ctx context.Context, err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*book.InvalidError](err); ok {
		return &Error{Kind: InvalidBook, Detail: "The book was read, but it breaks the rules listed.", Fields: pointers(e)}
	}
	// What is known for sure comes before what the clock says: a book that was not found stays not found.
	if e, ok := errors.AsType[*book.ConflictError](err); ok {
		return &Error{
			Kind:   ISBNConflict,
			Detail: "Another book already has the ISBN " + e.Value + ".",
			Fields: []Field{{Pointer: "/" + e.Field, Detail: "must be unique, " + e.Value + " is taken"}},
		}
	}
	switch {
	case errors.Is(err, ErrClientLeft):
		return nil
	case errors.Is(err, book.ErrNotFound):
		return &Error{Kind: BookNotFound, Detail: "There is no book with this ID."}
	case errors.Is(err, book.ErrStale):
		return &Error{
			Kind:   PreconditionFailed,
			Detail: "The resource is not as If-Match or If-None-Match want it. Read it again before you decide; nothing was changed.",
		}
	case errors.Is(err, idempotency.ErrInFlight):
		return &Error{
			Kind:   KeyInUse,
			Detail: "A request with this Idempotency-Key is being worked on. Ask again shortly for its answer.",
			Header: http.Header{"Retry-After": {RetryAfter}},
		}
	case errors.Is(err, idempotency.ErrReused):
		return &Error{
			Kind:   KeyReused,
			Detail: "This Idempotency-Key came with another body before. A new request needs a new key.",
			Fields: []Field{{Header: idempotency.Header, Detail: "must be new for another body"}},
		}
	case errors.Is(ctx.Err(), context.Canceled):
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &Error{Kind: Timeout, Detail: "The request was given up because its answer took too long. Nothing is known about its effect."}
	case errors.Is(err, book.ErrUnavailable):
		return &Error{Kind: Unavailable, Detail: "The catalogue cannot be reached at the moment. Try again shortly."}
	default:
		return &Error{Kind: Internal, Detail: "Something went wrong on our side. The error was logged under this request's ID."}
	}
}

// pointers lists the violations of a draft, whose pointers are those of the request's body.
func pointers(e *book.InvalidError) []Field {
	out := make([]Field, len(e.Violations))
	for i, v := range e.Violations {
		out[i] = Field{Pointer: v.Pointer, Detail: v.Detail}
	}
	return out
}
