package problem

import "net/http"

// Kind is a type of problem. Its name is part of the contract and never changes.
type Kind struct {
	Name   string
	Title  string
	Status int
}

// typePrefix makes a kind's name a URI.
const typePrefix = "urn:bookshelf:problem:"

// The kinds of problem; docs/api.md documents each, and a test compares.
var (
	MalformedBody        = Kind{"malformed-body", "The request body cannot be read", http.StatusBadRequest}
	InvalidParameter     = Kind{"invalid-parameter", "A query parameter is not acceptable", http.StatusBadRequest}
	InvalidHeader        = Kind{"invalid-header", "A header is not acceptable", http.StatusBadRequest}
	Unauthorized         = Kind{"unauthorized", "A valid token is needed", http.StatusUnauthorized}
	InsufficientScope    = Kind{"insufficient-scope", "The token does not allow this", http.StatusForbidden}
	BookNotFound         = Kind{"book-not-found", "There is no such book", http.StatusNotFound}
	NoSuchResource       = Kind{"no-such-resource", "There is no such resource", http.StatusNotFound}
	MethodNotAllowed     = Kind{"method-not-allowed", "The method is not allowed here", http.StatusMethodNotAllowed}
	NotAcceptable        = Kind{"not-acceptable", "No acceptable representation", http.StatusNotAcceptable}
	RequestTimeout       = Kind{"request-timeout", "The request took too long to arrive", http.StatusRequestTimeout}
	ISBNConflict         = Kind{"isbn-conflict", "Another book has this ISBN", http.StatusConflict}
	ImportDuplicates     = Kind{"import-duplicates", "The file has books that are there", http.StatusConflict}
	KeyInUse             = Kind{"idempotency-key-in-use", "The first request is under way", http.StatusConflict}
	PreconditionFailed   = Kind{"precondition-failed", "The book has another version", http.StatusPreconditionFailed}
	BodyTooLarge         = Kind{"body-too-large", "The request body is too large", http.StatusRequestEntityTooLarge}
	UnsupportedMediaType = Kind{"unsupported-media-type", "The request body's type is not supported", http.StatusUnsupportedMediaType}
	InvalidBook          = Kind{"invalid-book", "The book breaks a rule", http.StatusUnprocessableEntity}
	KeyReused            = Kind{"idempotency-key-reused", "The key is of another request", http.StatusUnprocessableEntity}
	PreconditionRequired = Kind{"precondition-required", "A condition is required", http.StatusPreconditionRequired}
	RateLimited          = Kind{"rate-limited", "Too many requests", http.StatusTooManyRequests}
	Internal             = Kind{"internal", "Internal error", http.StatusInternalServerError}
	Unavailable          = Kind{"unavailable", "The catalogue is unavailable", http.StatusServiceUnavailable}
	Overloaded           = Kind{"overloaded", "Too many requests at once", http.StatusServiceUnavailable}
	Timeout              = Kind{"timeout", "The answer took too long", http.StatusServiceUnavailable}
	TooManyTransfers     = Kind{"too-many-transfers", "Too many transfers are under way", http.StatusServiceUnavailable}
	NotReady             = Kind{"not-ready", "Not ready to serve", http.StatusServiceUnavailable}
)

// ErrNoSuchResource is answered to what has no route.
var ErrNoSuchResource = &Error{Kind: NoSuchResource, Detail: "There is nothing at this path."}
