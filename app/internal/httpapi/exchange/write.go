package exchange

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strconv"

	"bookshelf/app/internal/httpapi/media"
	"bookshelf/app/internal/httpapi/problem"
)

// WriteJSON sends v. It is encoded before the header goes out, so that a failure can still become a problem.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	body, err := encode(v)
	if err != nil {
		return err
	}
	return Write(w, status, body)
}

// Write sends what is JSON already.
func Write(w http.ResponseWriter, status int, body []byte) error {
	if err := Hold(w, body); err != nil {
		return err
	}
	Send(w, status, media.JSON, body)
	return nil
}

// Hold counts the body of an answer that is about to be sent. Its error is a 503; of the answer to a change, there is
// none.
func Hold(w http.ResponseWriter, body []byte) error {
	if rec, ok := w.(*Recorder); ok {
		return rec.info.Load.HoldAnswer(len(body))
	}
	return nil
}

// writeProblem sends p under the status it names.
func writeProblem(w http.ResponseWriter, p problem.Document) {
	body, err := encode(p)
	if err != nil {
		panic(err) // strings and numbers always encode
	}
	Send(w, p.Status, media.Problem, body)
}

// Send writes a whole response. An error while writing means that the client is gone; nobody is left to tell.
func Send(w http.ResponseWriter, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// encode leaves <, > and & as they are: nothing here is ever part of an HTML page.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode response: %w", err)
	}
	return b.Bytes(), nil
}

// Handle adapts a handler that returns its error.
func Handle(h func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			Fail(w, r, err)
		}
	})
}

// Fail answers a request with the problem that err is, and hands err to the access log. It is the only writer of errors.
func Fail(w http.ResponseWriter, r *http.Request, err error) {
	in := From(r.Context())
	in.Err = err
	answer := problem.Of(r.Context(), err)
	if answer == nil {
		// Returning would make net/http send an empty 200, which a client that only closed its sending side would read.
		in.Status = StatusClientGone
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), answer.Header)
	if answer.Kind.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", problem.RetryAfter)
	}
	writeProblem(w, answer.Document(in.ID))
}
