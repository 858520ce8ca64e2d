package exchange

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"bookshelf/app/internal/httpapi/problem"
)

// ReadBody returns the body of a request of at most maxBytes bytes. While it arrives, the request does not count among those
// that are being answered.
func ReadBody(w http.ResponseWriter, r *http.Request, maxBytes int64) ([]byte, error) {
	if r.ContentLength > maxBytes {
		return nil, BodyTooLarge(maxBytes)
	}
	load := From(r.Context()).Load
	load.Retire()
	body, err := io.ReadAll(http.MaxBytesReader(w, load.Body(r.Body), maxBytes))
	if errors.Is(r.Context().Err(), context.DeadlineExceeded) && !isTooLarge(err) {
		err = errors.Join(os.ErrDeadlineExceeded, err) // it may have come to its end, but after the request's deadline
	}
	if err != nil {
		return nil, BodyProblem(err, maxBytes)
	}
	return body, load.Admit()
}

// BodyTooLarge is the 413 for a body of more than maxBytes.
func BodyTooLarge(maxBytes int64) error {
	return &problem.Error{
		Kind:   problem.BodyTooLarge,
		Detail: fmt.Sprintf("The request body must not be larger than %d bytes.", maxBytes),
		// What is left of the body would have to be read before the connection could be used again.
		Header: http.Header{"Connection": {"close"}},
	}
}

// BodyProblem says how a body is answered that could not be read to its end.
func BodyProblem(err error, maxBytes int64) error {
	if isTooLarge(err) {
		return BodyTooLarge(maxBytes)
	}
	if overloaded, ok := errors.AsType[*problem.Error](err); ok {
		return overloaded
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &problem.Error{
			Kind:   problem.RequestTimeout,
			Detail: "The request body did not arrive in time.",
			Header: http.Header{"Connection": {"close"}},
			Cause:  err,
		}
	}
	return &problem.Error{Kind: problem.MalformedBody, Detail: "The request body could not be read to its end.", Cause: err}
}

// isTooLarge reports whether a body was cut off by its limit.
func isTooLarge(err error) bool {
	_, ok := errors.AsType[*http.MaxBytesError](err)
	return ok
}
