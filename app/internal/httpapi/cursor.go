package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
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

// encodeCursor returns the text that continues the list of q behind position p. q must be in canonical form.
func encodeCursor(q book.Query, p book.Position) string {
	body, err := json.Marshal(cursor{
		Version: cursorVersion, List: fingerprint(q), ID: p.ID, Title: p.Title, Year: p.Year, Rank: p.Rank,
	})
	if err != nil {
		panic(err) // strings and numbers always encode
	}
	return base64.RawURLEncoding.EncodeToString(body)
}

// decodeCursor is the inverse of encodeCursor for the same list, and refuses everything else.
func decodeCursor(q book.Query, text string) (*book.Position, error) {
	errForeign := errors.New("is not one that this API handed out; start again without it")
	body, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, errForeign
	}
	var c cursor
	if err := json.Unmarshal(body, &c); err != nil || c.Version != cursorVersion {
		return nil, errForeign
	}
	if c.List != fingerprint(q) {
		return nil, errors.New("belongs to a list with another sort or other filters; start again without it")
	}
	p := book.Position{ID: c.ID, Title: c.Title, Year: c.Year, Rank: c.Rank}
	// There is one way to write each cursor. Comparing with it refuses unknown and repeated members, invalid UTF-8 and
	// trailing bits in one go.
	if encodeCursor(q, p) != text {
		return nil, errForeign
	}
	q.After = &p
	if _, err := q.Normalize(); err != nil {
		return nil, errForeign
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
