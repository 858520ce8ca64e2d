// Package media knows the media types of bodies and answers, and judges by them the headers Accept and Content-Type.
package media

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"bookshelf/app/internal/httpapi/problem"
)

// The types of what is sent and received. JSON lines go by two names, neither of them registered.
const (
	JSON       = "application/json"
	MergePatch = "application/merge-patch+json"
	Problem    = "application/problem+json"
	CSV        = "text/csv"
	JSONLines  = "application/jsonl"
	NDJSON     = "application/x-ndjson"
)

// AcceptPatch is the header that names the types which a PATCH may have.
const AcceptPatch = "Accept-Patch"

// RequireAcceptable returns a 406 when the client's Accept headers rule application/json out (RFC 9110, section 12.5.1).
// Problems are sent regardless: an error that the client did not ask for is better than none.
func RequireAcceptable(r *http.Request) error {
	if Acceptance(r.Header.Values("Accept"), JSON) > 0 {
		return nil
	}
	return &problem.Error{Kind: problem.NotAcceptable, Detail: "Books are available as " + JSON + " only."}
}

// Acceptance is the weight that a client's Accept headers give to a media type, 0 for one that it cannot take. The most
// specific range that covers the type decides. Ranges that cannot be read are passed over, as clients send all sorts.
func Acceptance(headers []string, mediaType string) float64 {
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
			specificity, weight = s, Quality(params["q"])
		}
	}
	return weight
}

// Quality reads a weight; a missing or unreadable one is 1.
func Quality(q string) float64 {
	if weight, err := strconv.ParseFloat(q, 64); err == nil {
		return weight
	}
	return 1
}

// RequireJSON accepts the given type of JSON.
func RequireJSON(h http.Header, wantType string) error {
	_, err := Require(h, wantType)
	if e, ok := errors.AsType[*problem.Error](err); ok && wantType == MergePatch {
		e.Header = http.Header{AcceptPatch: {MergePatch}} // RFC 5789, section 2.2
	}
	return err
}

// Require accepts one of the given types in UTF-8, which is the only encoding that JSON has between systems (RFC 8259,
// section 8.1) and the one that CSV has here.
func Require(h http.Header, wanted ...string) (mediaType string, err error) {
	unsupported := func(format string, args ...any) error {
		return &problem.Error{Kind: problem.UnsupportedMediaType, Detail: fmt.Sprintf(format, args...)}
	}
	types := strings.Join(wanted, " or ")
	if coding := h.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return "", unsupported("The request body must not be compressed, Content-Encoding is %q.", coding)
	}
	values := h.Values("Content-Type")
	if len(values) != 1 {
		return "", unsupported("The request must have one Content-Type: %s.", types)
	}
	mediaType, params, err := mime.ParseMediaType(values[0])
	if err != nil || !slices.Contains(wanted, mediaType) {
		return "", unsupported("The request body must be %s, Content-Type is %q.", types, values[0])
	}
	for name, value := range params {
		switch {
		case name == "charset" && strings.EqualFold(value, "utf-8"):
		case name == "header" && strings.EqualFold(value, "present") && mediaType == CSV: // RFC 4180, section 3
		default:
			return "", unsupported("The only parameter that Content-Type may have is charset=utf-8, it has %s=%q.", name, value)
		}
	}
	return mediaType, nil
}
