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
	if acceptance(r.Header.Values("Accept"), jsonType) > 0 {
		return nil
	}
	return &apiError{kind: kindNotAcceptable, detail: "Books are available as " + jsonType + " only."}
}

// acceptance is the weight that a client's Accept headers give to a media type, 0 for one that it cannot take. The most
// specific range that covers the type decides. Ranges that cannot be read are passed over, as clients send all sorts.
func acceptance(headers []string, mediaType string) float64 {
	accept := strings.Join(headers, ",")
	if strings.TrimSpace(accept) == "" {
		return 1
	}
	mainType, _, _ := strings.Cut(mediaType, "/")
	specificity, weight := 0, 0.0
	for element := range strings.SplitSeq(accept, ",") {
		mediaRange, params, err := mime.ParseMediaType(element)
		if err != nil {
			continue
		}
		var s int
		switch mediaRange {
		case "*/*":
			s = 1
		case mainType + "/*":
			s = 2
		case mediaType:
			s = 3
		}
		if s > specificity {
			specificity, weight = s, quality(params["q"])
		}
	}
	return weight
}

// quality reads a weight; a missing or unreadable one is 1.
func quality(q string) float64 {
	if weight, err := strconv.ParseFloat(q, 64); err == nil {
		return weight
	}
	return 1
}
