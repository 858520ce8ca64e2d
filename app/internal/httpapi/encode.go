package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

const (
	jsonType    = "application/json"
	patchType   = "application/merge-patch+json"
	problemType = "application/problem+json"
)

// writeJSON sends v. It is encoded before the header goes out, so that a failure can still become a problem.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	body, err := encode(v)
	if err != nil {
		return err
	}
	return writeEncoded(w, status, body)
}

// writeEncoded sends what is JSON already.
func writeEncoded(w http.ResponseWriter, status int, body []byte) error {
	if err := hold(w, body); err != nil {
		return err
	}
	send(w, status, jsonType, body)
	return nil
}

// hold counts the body of an answer that is about to be sent. Its error is a 503; of the answer to a change, there is
// none.
func hold(w http.ResponseWriter, body []byte) error {
	if rec, ok := w.(*recorder); ok {
		return rec.api.holdAnswer(rec.in, len(body))
	}
	return nil
}

// writeProblem sends p under the status it names.
func writeProblem(w http.ResponseWriter, p problem) {
	body, err := encode(p)
	if err != nil {
		panic(err) // strings and numbers always encode
	}
	send(w, p.Status, problemType, body)
}

// send writes a whole response. An error while writing means that the client is gone; nobody is left to tell.
func send(w http.ResponseWriter, status int, contentType string, body []byte) {
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
