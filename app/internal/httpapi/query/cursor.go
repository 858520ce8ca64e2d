package query

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net/url"
	"strconv"

	"bookshelf/app/internal/book"
)

// cursorVersion changes when the meaning of a cursor does, so that those handed out before are refused, not misread.
const cursorVersion = 1

// cursor is what the opaque text holds, as JSON in base64url. It is neither secret nor signed: whoever forges one gets a
// page of the list that starts somewhere else, which any sort and filter could show as well.
type cursor struct {
	Version int    `json:"v"`
	List    string `json:"l"` // fingerprint of sort and filters
	ID      int64  `json:"i"`
	Title   string `json:"t,omitempty"`
	Year    *int   `json:"y,omitempty"`

	Rank float32 `json:"r,omitempty"`
}

// errForeignCursor is told to who sends a cursor that was made up.
var errForeignCursor = errors.New("is not one that this API handed out; start again without it")

// seal writes a cursor of the present version. There is one way to write each.
func (c cursor) seal() string {
	c.Version = cursorVersion
	body, err := json.Marshal(c)
	if err != nil {
		panic(err) // strings and numbers always encode
	}
	return base64.RawURLEncoding.EncodeToString(body)
}

// openCursor is the inverse of seal for the same list, and refuses everything else.
func openCursor(list, text string) (cursor, error) {
	body, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return cursor{}, errForeignCursor
	}
	var c cursor
	if err := json.Unmarshal(body, &c); err != nil || c.Version != cursorVersion {
		return cursor{}, errForeignCursor
	}
	if c.List != list {
		return cursor{}, errors.New("belongs to a list with another sort or other filters; start again without it")
	}
	// Comparing with the one way to write it refuses unknown and repeated members, invalid UTF-8 and trailing bits in
	// one go.
	if c.seal() != text {
		return cursor{}, errForeignCursor
	}
	return c, nil
}

// Cursor returns the text that continues the list of q behind position p. q must be in canonical form.
func Cursor(q book.Query, p book.Position) string {
	return cursor{List: fingerprint(q), ID: p.ID, Title: p.Title, Year: p.Year, Rank: p.Rank}.seal()
}

// decodeCursor is the inverse of Cursor for the same list, and refuses everything else.
func decodeCursor(q book.Query, text string) (*book.Position, error) {
	c, err := openCursor(fingerprint(q), text)
	if err != nil {
		return nil, err
	}
	p := book.Position{ID: c.ID, Title: c.Title, Year: c.Year, Rank: c.Rank}
	q.After = &p
	if _, err := q.Normalize(); err != nil {
		return nil, errForeignCursor
	}
	return &p, nil
}

// fingerprint identifies the list that q asks for: its sort and filters, not its limit, which may change from page to page.
func fingerprint(q book.Query) string {
	year := ""
	if q.Year != nil {
		year = strconv.Itoa(*q.Year)
	}
	h := fnv.New64a()
	// Quoting keeps ("a", "b") and ("ab", "") apart.
	fmt.Fprintf(h, "%d %t %q %q %q %q %q", q.Sort.Key, q.Sort.Descending, q.Author, q.Title, q.ISBN, year, q.Language)
	if q.Text != "" || q.AuthorPrefix != "" {
		// Only then, so that cursors from before there was a search stay those of their lists.
		fmt.Fprintf(h, " %q %q", q.Text, q.AuthorPrefix)
	}
	return strconv.FormatUint(h.Sum64(), 36)
}

// NextLink is a Link header (RFC 8288) to the page behind cursor: the same path and query with another cursor.
func NextLink(u *url.URL, cursor string) string {
	values := u.Query()
	values.Set("cursor", cursor)
	return "<" + u.EscapedPath() + "?" + values.Encode() + `>; rel="next"`
}
