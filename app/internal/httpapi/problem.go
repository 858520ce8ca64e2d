package httpapi

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strings"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/idempotency"
)

// problem is an RFC 9457 document, the body of every error.
type problem struct {
	Type     string       `json:"type"`
	Title    string       `json:"title"`
	Status   int          `json:"status"`
	Detail   string       `json:"detail"`
	Instance string       `json:"instance"`
	Errors   []fieldError `json:"errors,omitempty"`
	Report   any          `json:"report,omitempty"` // of an import that was refused
}

// fieldError is one mistake in a request: at a place in the body, in a parameter of the query, or in a header.
type fieldError struct {
	Pointer   string `json:"pointer,omitempty"` // RFC 6901
	Parameter string `json:"parameter,omitempty"`
	Header    string `json:"header,omitempty"`
	Detail    string `json:"detail"`
}

// kind is a type of problem. Its name is part of the contract and never changes.
type kind struct {
	name   string
	title  string
	status int
}

// typePrefix makes a kind's name a URI.
const typePrefix = "urn:bookshelf:problem:"

// The kinds of problem; docs/api.md documents each, and a test compares.
var (
	kindMalformedBody        = kind{"malformed-body", "The request body cannot be read", http.StatusBadRequest}
	kindInvalidParameter     = kind{"invalid-parameter", "A query parameter is not acceptable", http.StatusBadRequest}
	kindInvalidHeader        = kind{"invalid-header", "A header is not acceptable", http.StatusBadRequest}
	kindUnauthorized         = kind{"unauthorized", "A valid token is needed", http.StatusUnauthorized}
	kindInsufficientScope    = kind{"insufficient-scope", "The token does not allow this", http.StatusForbidden}
	kindBookNotFound         = kind{"book-not-found", "There is no such book", http.StatusNotFound}
	kindNoSuchResource       = kind{"no-such-resource", "There is no such resource", http.StatusNotFound}
	kindMethodNotAllowed     = kind{"method-not-allowed", "The method is not allowed here", http.StatusMethodNotAllowed}
	kindNotAcceptable        = kind{"not-acceptable", "No acceptable representation", http.StatusNotAcceptable}
	kindRequestTimeout       = kind{"request-timeout", "The request took too long to arrive", http.StatusRequestTimeout}
	kindISBNConflict         = kind{"isbn-conflict", "Another book has this ISBN", http.StatusConflict}
	kindImportDuplicates     = kind{"import-duplicates", "The file has books that are there", http.StatusConflict}
	kindKeyInUse             = kind{"idempotency-key-in-use", "The first request is under way", http.StatusConflict}
	kindPreconditionFailed   = kind{"precondition-failed", "The book has another version", http.StatusPreconditionFailed}
	kindBodyTooLarge         = kind{"body-too-large", "The request body is too large", http.StatusRequestEntityTooLarge}
	kindUnsupportedMediaType = kind{"unsupported-media-type", "The request body's type is not supported", http.StatusUnsupportedMediaType}
	kindInvalidBook          = kind{"invalid-book", "The book breaks a rule", http.StatusUnprocessableEntity}
	kindKeyReused            = kind{"idempotency-key-reused", "The key is of another request", http.StatusUnprocessableEntity}
	kindPreconditionRequired = kind{"precondition-required", "A condition is required", http.StatusPreconditionRequired}
	kindRateLimited          = kind{"rate-limited", "Too many requests", http.StatusTooManyRequests}
	kindInternal             = kind{"internal", "Internal error", http.StatusInternalServerError}
	kindUnavailable          = kind{"unavailable", "The catalogue is unavailable", http.StatusServiceUnavailable}
	kindOverloaded           = kind{"overloaded", "Too many requests at once", http.StatusServiceUnavailable}
	kindTimeout              = kind{"timeout", "The answer took too long", http.StatusServiceUnavailable}
	kindTooManyTransfers     = kind{"too-many-transfers", "Too many transfers are under way", http.StatusServiceUnavailable}
	kindNotReady             = kind{"not-ready", "Not ready to serve", http.StatusServiceUnavailable}
)

// retryAfter is what every 503 and an early repetition are advised, in seconds: time enough for a connection pool to recover or a release to finish.
const retryAfter = "2"

// apiError is an error that says itself how it is answered.
type apiError struct {
	kind   kind
	detail string // a sentence for the client
	errors []fieldError
	report any         // of an import
	header http.Header // added to the response
	cause  error       // for the log only
}

// Error is for the log: it has everything that the client is told, and the cause.
func (e *apiError) Error() string {
	parts := []string{e.kind.name + ": " + e.detail}
	for _, f := range e.errors {
		parts = append(parts, f.Pointer+f.Parameter+f.Header+" "+f.Detail)
	}
	if e.cause != nil {
		parts = append(parts, e.cause.Error())
	}
	return strings.Join(parts, "; ")
}

func (e *apiError) Unwrap() error { return e.cause }

// handle adapts a handler that returns its error.
func (a *API) handle(h func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			a.fail(w, r, err)
		}
	})
}

// fail answers a request with the problem that err is, and hands err to the access log. It is the only writer of errors.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	in := infoFrom(r.Context())
	in.err = err
	answer := translate(r.Context(), err)
	if answer == nil {
		// Returning would make net/http send an empty 200, which a client that only closed its sending side would read.
		in.status = statusClientGone
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), answer.header)
	if answer.kind.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter)
	}
	writeProblem(w, problem{
		Type:     typePrefix + answer.kind.name,
		Title:    answer.kind.title,
		Status:   answer.kind.status,
		Detail:   answer.detail,
		Instance: "urn:request:" + in.id,
		Errors:   answer.errors,
		Report:   answer.report,
	})
}

// translate says how err is answered; nil means that nobody is there to read an answer. Texts of unknown errors never
// reach a client: they may hold addresses, statements or data of others.
func translate(ctx context.Context, err error) *apiError {
	if e, ok := errors.AsType[*apiError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*book.InvalidError](err); ok {
		return &apiError{kind: kindInvalidBook, detail: "The book was read, but it breaks the rules listed.", errors: pointers(e)}
	}
	// What is known for sure comes before what the clock says: a book that was not found stays not found.
	if e, ok := errors.AsType[*book.ConflictError](err); ok {
		return &apiError{
			kind:   kindISBNConflict,
			detail: "Another book already has the ISBN " + e.Value + ".",
			errors: []fieldError{{Pointer: "/" + e.Field, Detail: "must be unique, " + e.Value + " is taken"}},
		}
	}
	switch {
	case errors.Is(err, errClientLeft):
		return nil
	case errors.Is(err, book.ErrNotFound):
		return &apiError{kind: kindBookNotFound, detail: "There is no book with this ID."}
	case errors.Is(err, book.ErrStale):
		return &apiError{
			kind:   kindPreconditionFailed,
			detail: "The resource is not as If-Match or If-None-Match want it. Read it again before you decide; nothing was changed.",
		}
	case errors.Is(err, idempotency.ErrInFlight):
		return &apiError{
			kind:   kindKeyInUse,
			detail: "A request with this Idempotency-Key is being worked on. Ask again shortly for its answer.",
			header: http.Header{"Retry-After": {retryAfter}},
		}
	case errors.Is(err, idempotency.ErrReused):
		return &apiError{
			kind:   kindKeyReused,
			detail: "This Idempotency-Key came with another body before. A new request needs a new key.",
			errors: []fieldError{{Header: idempotency.Header, Detail: "must be new for another body"}},
		}
	case errors.Is(ctx.Err(), context.Canceled):
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &apiError{kind: kindTimeout, detail: "The request was given up because its answer took too long. Nothing is known about its effect."}
	case errors.Is(err, book.ErrUnavailable):
		return &apiError{kind: kindUnavailable, detail: "The catalogue cannot be reached at the moment. Try again shortly."}
	default:
		return &apiError{kind: kindInternal, detail: "Something went wrong on our side. The error was logged under this request's ID."}
	}
}

// pointers lists the violations of a draft, whose pointers are those of the request's body.
func pointers(e *book.InvalidError) []fieldError {
	out := make([]fieldError, len(e.Violations))
	for i, v := range e.Violations {
		out[i] = fieldError{Pointer: v.Pointer, Detail: v.Detail}
	}
	return out
}

// parameters lists the violations of a query, whose pointers have one segment: the parameter's name.
func parameters(e *book.InvalidError) []fieldError {
	out := make([]fieldError, len(e.Violations))
	for i, v := range e.Violations {
		out[i] = fieldError{Parameter: strings.TrimPrefix(v.Pointer, "/"), Detail: v.Detail}
	}
	return out
}
