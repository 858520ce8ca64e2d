package httpapi

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// requireAcceptable returns a 406 when the client's Accept headers rule application/json out (RFC 9110, section 12.5.1).
// Problems are sent regardless: an error that the client did not ask for is better than none.
func requireAcceptable(r *http.Request) error {
	values := r.Header.Values("Accept")
	if len(values) == 0 || acceptsJSON(strings.Join(values, ",")) {
		return nil
	}
	return &apiError{kind: kindNotAcceptable, detail: "Books are available as " + jsonType + " only."}
}

// acceptsJSON evaluates a list of media ranges; the most specific one that covers application/json decides. Ranges that
// cannot be read are passed over, as clients send all sorts.
func acceptsJSON(accept string) bool {
	if strings.TrimSpace(accept) == "" {
		return true
	}
	specificity, accepted := 0, false
	for element := range strings.SplitSeq(accept, ",") {
		mediaType, params, err := mime.ParseMediaType(element)
		if err != nil {
			continue
		}
		var s int
		switch mediaType {
		case "*/*":
			s = 1
		case "application/*":
			s = 2
		case jsonType:
			s = 3
		}
		if s > specificity {
			specificity, accepted = s, quality(params["q"]) > 0
		}
	}
	return accepted
}

// quality reads a weight; a missing or unreadable one is 1.
func quality(q string) float64 {
	if weight, err := strconv.ParseFloat(q, 64); err == nil {
		return weight
	}
	return 1
}
