// Package bookjson reads and writes books as JSON, as clients see them.
package bookjson

import (
	"strconv"
	"time"
	"unicode/utf8"

	"bookshelf/app/internal/book"
)

// This file is the one place where the domain's names and zero values become those of the contract. It writes JSON by
// itself, into one buffer of about the right size: encoding/json took a third of the time of a list, and most of its
// allocations. A test compares the two, byte by byte.

// Encode writes a book as clients see it. Every member is always there; null means "not known".
func Encode(b book.Book) []byte {
	return append(appendBook(make([]byte, 0, sizeOf(&b)+1), &b), '\n')
}

// EncodePage writes one page of a list; a cursor of "" is that of the last page, null.
func EncodePage(books []book.Book, cursor string) []byte {
	size := len(`{"items":[],"next_cursor":""}`) + len(cursor) + 1
	for i := range books {
		size += sizeOf(&books[i])
	}
	out := append(make([]byte, 0, size), `{"items":[`...)
	for i := range books {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendBook(out, &books[i])
	}
	out = append(out, `],"next_cursor":`...)
	out = appendOrNull(out, cursor)
	return append(out, '}', '\n')
}

// sizeOf is about how many bytes appendBook writes; more when much has to be escaped.
func sizeOf(b *book.Book) int {
	size := 300 + len(b.Title) + len(b.Description)
	for _, a := range b.Authors {
		size += len(a) + 3
	}
	return size
}

func appendBook(out []byte, b *book.Book) []byte {
	out = append(out, `{"id":`...)
	out = strconv.AppendInt(out, b.ID, 10)
	out = append(out, `,"title":`...)
	out = appendString(out, b.Title)
	out = append(out, `,"authors":[`...)
	for i, author := range b.Authors {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendString(out, author)
	}
	out = append(out, `],"isbn13":`...)
	out = appendOrNull(out, b.ISBN13)
	out = append(out, `,"published_year":`...)
	if b.PublishedYear == nil {
		out = append(out, "null"...)
	} else {
		out = strconv.AppendInt(out, int64(*b.PublishedYear), 10)
	}
	out = append(out, `,"language":`...)
	out = appendOrNull(out, b.Language)
	out = append(out, `,"description":`...)
	out = appendOrNull(out, b.Description)
	out = append(out, `,"version":`...)
	out = strconv.AppendInt(out, b.Version, 10)
	out = append(out, `,"created_at":`...)
	out = appendTime(out, b.CreatedAt)
	out = append(out, `,"updated_at":`...)
	out = appendTime(out, b.UpdatedAt)
	return append(out, '}')
}

// appendOrNull writes the domain's "" for "none" as null, so that clients need not know that convention.
func appendOrNull(out []byte, s string) []byte {
	if s == "" {
		return append(out, "null"...)
	}
	return appendString(out, s)
}

// appendTime writes a time in UTC (RFC 3339).
func appendTime(out []byte, t time.Time) []byte {
	out = append(out, '"')
	out = t.UTC().AppendFormat(out, time.RFC3339Nano)
	return append(out, '"')
}

// appendString writes a string (RFC 8259, section 7). Beyond what must be escaped, that is U+2028 and U+2029, which end a
// line in older JavaScript. Bytes that are not UTF-8 become the replacement character.
func appendString(out []byte, s string) []byte {
	const hex = "0123456789abcdef"
	out = append(out, '"')
	start := 0 // of what is written as it is
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		r, size := rune(c), 1
		if c >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(s[i:])
			if r != '\u2028' && r != '\u2029' && (r != utf8.RuneError || size > 1) {
				i += size
				continue
			}
		}
		out = append(out, s[start:i]...)
		switch {
		case r == '"' || r == '\\':
			out = append(out, '\\', c)
		case r == '\b':
			out = append(out, `\b`...)
		case r == '\f':
			out = append(out, `\f`...)
		case r == '\n':
			out = append(out, `\n`...)
		case r == '\r':
			out = append(out, `\r`...)
		case r == '\t':
			out = append(out, `\t`...)
		default:
			out = append(out, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
		}
		i += size
		start = i
	}
	out = append(out, s[start:]...)
	return append(out, '"')
}
