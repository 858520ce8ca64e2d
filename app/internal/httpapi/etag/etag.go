// Package etag reads and writes the validators of RFC 9110, section 8.8.3, and the conditions of requests.
package etag

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/httpapi/problem"
)

// Revalidate lets a client keep what it has read, as long as it asks each time whether that is still so. What carries no
// validator stays under the no-store that every response begins with.
const Revalidate = "private, no-cache"

// Tag is a validator of RFC 9110, section 8.8.3.
type Tag struct {
	weak   bool
	opaque string // between the quotes
}

// String writes the tag as a header holds it.
func (t Tag) String() string {
	if t.weak {
		return `W/"` + t.opaque + `"`
	}
	return `"` + t.opaque + `"`
}

// OfVersion is a book's tag. It is strong: a version's representation never changes.
func OfVersion(version int64) Tag { return Tag{opaque: strconv.FormatInt(version, 10)} }

// version is the inverse of OfVersion; ok is false for a tag that no book has.
func (t Tag) version() (version int64, ok bool) {
	version, err := strconv.ParseInt(t.opaque, 10, 64)
	return version, err == nil && version > 0 && OfVersion(version).opaque == t.opaque
}

// OfContent is the tag of a list, whose rows have versions but which has none itself. It is weak, because it does not
// cover the Link header that comes with the body.
func OfContent(body []byte) Tag {
	sum := sha256.Sum256(body)
	return Tag{weak: true, opaque: base64.RawURLEncoding.EncodeToString(sum[:16])}
}

// tagList is the value of If-Match or If-None-Match; nil when the request does not have the header.
type tagList struct {
	any  bool // *
	tags []Tag
}

// readTags reads a header that may be given in several lines, which together are one list (RFC 9110, section 5.3).
func readTags(h http.Header, name string) (*tagList, error) {
	lines := h.Values(name)
	if len(lines) == 0 {
		return nil, nil
	}
	text := strings.Trim(strings.Join(lines, ","), " \t")
	if text == "*" {
		return &tagList{any: true}, nil
	}
	tags, ok := parseTags(text)
	if !ok {
		return nil, problem.OfHeader(name, `must be * or entity tags such as "1", separated by commas`)
	}
	return &tagList{tags: tags}, nil
}

// parseTags reads a list of one or more tags. Empty elements are passed over, as section 5.6.1.2 wants.
func parseTags(text string) (tags []Tag, ok bool) {
	for rest := text; ; {
		rest = strings.TrimLeft(rest, " \t,")
		if rest == "" {
			return tags, len(tags) > 0
		}
		var tag Tag
		rest, tag.weak = strings.CutPrefix(rest, "W/") // in this case only
		if !strings.HasPrefix(rest, `"`) {
			return nil, false
		}
		tag.opaque, rest, ok = strings.Cut(rest[1:], `"`)
		if !ok || strings.ContainsFunc(tag.opaque, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			return nil, false
		}
		rest = strings.TrimLeft(rest, " \t")
		if rest != "" && rest[0] != ',' {
			return nil, false
		}
		tags = append(tags, tag)
	}
}

// has reports whether the list names the current tag. Strong comparison takes weak tags for different from everything,
// themselves included; weak comparison looks at the text alone (section 8.8.3.2).
func (l *tagList) has(current Tag, strong bool) bool {
	return l.any || slices.ContainsFunc(l.tags, func(t Tag) bool {
		return t.opaque == current.opaque && !(strong && (t.weak || current.weak))
	})
}

// versions are those that the list names by the same comparison.
func (l *tagList) versions(strong bool) *book.Versions {
	if l == nil {
		return nil
	}
	out := &book.Versions{All: l.any}
	for _, t := range l.tags {
		if version, ok := t.version(); ok && !(strong && t.weak) {
			out.List = append(out.List, version)
		}
	}
	return out
}

// conditions are the preconditions of a request. Those that compare times do not apply: books are not served with one.
type conditions struct {
	match, noneMatch *tagList
}

func readConditions(h http.Header) (c conditions, err error) {
	if c.match, err = readTags(h, "If-Match"); err != nil {
		return conditions{}, err
	}
	c.noneMatch, err = readTags(h, "If-None-Match")
	return c, err
}

// ForChange is the condition under which a book may be changed; required says that there must be one. Section 13.1.1
// compares If-Match strongly, and section 13.1.2 compares If-None-Match weakly. The error is a 400 or a 428.
func ForChange(h http.Header, required bool) (book.Condition, error) {
	c, err := readConditions(h)
	if err != nil {
		return book.Condition{}, err
	}
	if required && c.match == nil {
		return book.Condition{}, &problem.Error{
			Kind:   problem.PreconditionRequired,
			Detail: "A change must name the version it is meant for: If-Match with the ETag of the book as it was read.",
		}
	}
	return book.Condition{Match: c.match.versions(true), NoneMatch: c.noneMatch.versions(false)}, nil
}

// ForRead judges a representation that is about to be sent by the conditions of its request, in the order of section
// 13.2.2. When unchanged is true, the client has it already. The error is book.ErrStale, or a 400.
func ForRead(h http.Header, current Tag) (unchanged bool, err error) {
	c, err := readConditions(h)
	if err != nil {
		return false, err
	}
	if c.match != nil && !c.match.has(current, true) {
		return false, book.ErrStale
	}
	return c.noneMatch != nil && c.noneMatch.has(current, false), nil
}

// Known reports whether If-None-Match names the tag of something that has no other condition. The error is a 400.
func Known(h http.Header, current Tag) (bool, error) {
	list, err := readTags(h, "If-None-Match")
	return list != nil && list.has(current, false), err
}
