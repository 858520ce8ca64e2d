package bookjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/httpapi/problem"
)

const (
	// maxDepth is far more than a book needs and far less than what costs anything to skip.
	maxDepth = 16

	// maxMistakes and maxNameLen bound what an answer repeats of a request that is nothing but mistakes.
	maxMistakes = 100
	maxNameLen  = 100 // bytes
)

// draftReader reads a book.Draft from JSON token by token. encoding/json would take the last of repeated members, match
// names in any case and replace bytes that are not UTF-8, all in silence.
type draftReader struct {
	body     []byte
	patch    bool // null is allowed everywhere: it removes a member
	dec      *json.Decoder
	mistakes []problem.Field
}

// draftMember is a member that a client may send.
type draftMember struct {
	read func(*draftReader, *book.Draft) error
	copy func(dst, src *book.Draft)
}

// draftMembers are all of them.
var draftMembers = map[string]draftMember{
	"title": {
		read: func(d *draftReader, b *book.Draft) error { return d.text("/title", d.patch, &b.Title) },
		copy: func(dst, src *book.Draft) { dst.Title = src.Title },
	},
	"authors": {
		read: func(d *draftReader, b *book.Draft) error { return d.texts("/authors", &b.Authors) },
		copy: func(dst, src *book.Draft) { dst.Authors = src.Authors },
	},
	"isbn13": {
		read: func(d *draftReader, b *book.Draft) error { return d.text("/isbn13", true, &b.ISBN) },
		copy: func(dst, src *book.Draft) { dst.ISBN = src.ISBN },
	},
	"published_year": {
		read: func(d *draftReader, b *book.Draft) error { return d.year("/published_year", &b.PublishedYear) },
		copy: func(dst, src *book.Draft) { dst.PublishedYear = src.PublishedYear },
	},
	"language": {
		read: func(d *draftReader, b *book.Draft) error { return d.text("/language", true, &b.Language) },
		copy: func(dst, src *book.Draft) { dst.Language = src.Language },
	},
	"description": {
		read: func(d *draftReader, b *book.Draft) error { return d.text("/description", true, &b.Description) },
		copy: func(dst, src *book.Draft) { dst.Description = src.Description },
	},
}

// readOnlyMembers are those of a book that only the server sets. They get a message of their own, because clients send
// back what they have read.
var readOnlyMembers = []string{"id", "version", "created_at", "updated_at"}

// DecodeDraft reads one JSON object. Its error is a 400: either the first place where the text is not JSON, or every
// member that is unknown, repeated or of a wrong type.
func DecodeDraft(body []byte) (book.Draft, error) {
	d := &draftReader{body: body}
	draft, _, err := d.decode()
	return draft, err
}

// Patch is a merge patch for a book (RFC 7396).
type Patch struct {
	members map[string]bool // that the patch names
	values  book.Draft      // of those members; one that is null has its zero value
}

// DecodePatch is as strict as DecodeDraft. RFC 7396 would add members that a book does not have, which would not be kept.
func DecodePatch(body []byte) (Patch, error) {
	d := &draftReader{body: body, patch: true}
	values, members, err := d.decode()
	return Patch{members: members, values: values}, err
}

// Apply returns d with the members that the patch names.
func (p Patch) Apply(d book.Draft) book.Draft {
	for name := range p.members {
		draftMembers[name].copy(&d, &p.values)
	}
	return d
}

// decode reads the body to its end and returns which members it names.
func (d *draftReader) decode() (draft book.Draft, members map[string]bool, err error) {
	if i := invalidUTF8(d.body); i >= 0 {
		return book.Draft{}, nil, malformed(fmt.Sprintf("The request body is not valid UTF-8: see byte %d.", i))
	}
	d.dec = json.NewDecoder(bytes.NewReader(d.body))
	d.dec.UseNumber()
	members = map[string]bool{}
	if err := d.object(members, &draft); err != nil {
		return book.Draft{}, nil, err
	}
	end := d.dec.InputOffset()
	if _, err := d.dec.Token(); !errors.Is(err, io.EOF) {
		return book.Draft{}, nil, malformed(
			fmt.Sprintf("The request body must end after one JSON object; there is more from byte %d on.", end))
	}
	if len(d.mistakes) > 0 {
		return book.Draft{}, nil, &problem.Error{
			Kind: problem.MalformedBody, Detail: "The request body is not a book: see the members listed.", Fields: d.mistakes,
		}
	}
	return draft, members, nil
}

// malformed is for a body that cannot be read any further.
func malformed(detail string) error {
	return &problem.Error{Kind: problem.MalformedBody, Detail: detail}
}

// invalidUTF8 returns the index of the first byte that is not UTF-8, or -1.
func invalidUTF8(body []byte) int {
	for i := 0; i < len(body); {
		r, size := utf8.DecodeRune(body[i:])
		if r == utf8.RuneError && size <= 1 {
			return i
		}
		i += size
	}
	return -1
}

// mistake notes a member that is wrong in a body that can be read on, so that one answer names them all.
func (d *draftReader) mistake(pointer, format string, args ...any) {
	if len(d.mistakes) < maxMistakes {
		d.mistakes = append(d.mistakes, problem.Field{Pointer: pointer, Detail: fmt.Sprintf(format, args...)})
	}
}

// next returns the next token and its text in the body, or the 400 for a text that is not JSON.
func (d *draftReader) next() (json.Token, []byte, error) {
	start := d.dec.InputOffset()
	token, err := d.dec.Token()
	if err == nil {
		return token, d.body[start:d.dec.InputOffset()], nil
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return nil, nil, malformed(fmt.Sprintf("The request body is not JSON: %s, at byte %d.", syntax, syntax.Offset))
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		if len(bytes.TrimSpace(d.body)) == 0 {
			return nil, nil, malformed("The request has no body; it must be a JSON object.")
		}
		return nil, nil, malformed("The request body is not JSON: it ends too early.")
	}
	return nil, nil, malformed("The request body is not JSON: " + err.Error() + ".")
}

// object reads the whole body. It returns an error only where reading cannot go on; all else is noted.
func (d *draftReader) object(seen map[string]bool, draft *book.Draft) error {
	token, _, err := d.next()
	if err != nil {
		return err
	}
	if token != json.Delim('{') {
		return malformed("The request body must be a JSON object, is " + describe(token) + ".")
	}
	for d.dec.More() {
		token, raw, err := d.next()
		if err != nil {
			return err
		}
		name, ok := token.(string)
		if !ok {
			return malformed("The request body is not JSON: the name of a member must be a string.")
		}
		if loneSurrogate(raw) {
			return malformed(fmt.Sprintf("The name of a member before byte %d holds half of a surrogate pair.", d.dec.InputOffset()))
		}
		if err := d.member(name, seen, draft); err != nil {
			return err
		}
	}
	_, _, err = d.next() // the closing brace
	return err
}

// member reads the value of one member, or passes over it when the member should not be there.
func (d *draftReader) member(name string, seen map[string]bool, draft *book.Draft) error {
	pointer := "/" + escapePointer.Replace(name)
	if len(pointer) > maxNameLen {
		pointer = strings.ToValidUTF8(pointer[:maxNameLen], "") + "…"
	}
	known, ok := draftMembers[name]
	switch {
	case ok && seen[name]:
		d.mistake(pointer, "must not be given twice")
		return d.skip()
	case ok:
		seen[name] = true
		return known.read(d, draft)
	case slices.Contains(readOnlyMembers, name):
		d.mistake(pointer, "is set by the server and cannot be sent")
		return d.skip()
	default:
		d.mistake(pointer, "is not a member of a book; those are %s", strings.Join(slices.Sorted(maps.Keys(draftMembers)), ", "))
		return d.skip()
	}
}

// escapePointer writes a member's name as a reference token (RFC 6901, section 3).
var escapePointer = strings.NewReplacer("~", "~0", "/", "~1")

// text reads a string. When optional, null is allowed and means "".
func (d *draftReader) text(pointer string, optional bool, dst *string) error {
	token, raw, err := d.next()
	if err != nil {
		return err
	}
	switch value := token.(type) {
	case string:
		if loneSurrogate(raw) {
			d.mistake(pointer, "must be text; it holds half of a surrogate pair")
			return nil
		}
		*dst = value
		return nil
	case nil:
		if optional {
			return nil
		}
	}
	return d.wrongType(pointer, "a string", token)
}

// texts reads an array of strings, in a patch also null, which means nil. An empty one is not nil: whether that is allowed is for the rules of a book to say.
func (d *draftReader) texts(pointer string, dst *[]string) error {
	token, _, err := d.next()
	if err != nil {
		return err
	}
	if token == nil && d.patch {
		return nil
	}
	if token != json.Delim('[') {
		return d.wrongType(pointer, "an array of strings", token)
	}
	*dst = []string{}
	for i := 0; d.dec.More(); i++ {
		var text string
		if err := d.text(pointer+"/"+strconv.Itoa(i), false, &text); err != nil {
			return err
		}
		*dst = append(*dst, text)
	}
	_, _, err = d.next() // the closing bracket
	return err
}

// year reads a whole number, or null. 1999.0 and 2e3 are whole by JSON's reckoning, yet no client that means a year writes
// them; 32 bits are more than any year needs, so the rules of a book see every number that can be told to a person.
func (d *draftReader) year(pointer string, dst **int) error {
	token, _, err := d.next()
	if err != nil || token == nil {
		return err
	}
	number, ok := token.(json.Number)
	if !ok {
		return d.wrongType(pointer, "a whole number", token)
	}
	if year, err := strconv.ParseInt(number.String(), 10, 32); err == nil {
		*dst = new(int(year))
	} else {
		d.mistake(pointer, "must be a whole number of at most 32 bits, without fraction or exponent")
	}
	return nil
}

// wrongType notes a value of a wrong type, whose first token has been read, and passes over the rest of it.
func (d *draftReader) wrongType(pointer, want string, got json.Token) error {
	d.mistake(pointer, "must be %s, is %s", want, describe(got))
	return d.skipRest(got)
}

// skip passes over one value.
func (d *draftReader) skip() error {
	token, _, err := d.next()
	if err != nil {
		return err
	}
	return d.skipRest(token)
}

// skipRest passes over the rest of the value that begins with token. It counts brackets instead of calling itself, so that
// depth costs no stack.
func (d *draftReader) skipRest(token json.Token) error {
	depth := 0
	for {
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
		if depth > maxDepth {
			return malformed(fmt.Sprintf("The request body is nested more than %d deep.", maxDepth))
		}
		var err error
		if token, _, err = d.next(); err != nil {
			return err
		}
	}
}

// describe names a value by its first token, as messages say it.
func describe(token json.Token) string {
	switch value := token.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(value)
	case json.Number:
		return "a number"
	case string:
		return "a string"
	default:
		if value == json.Delim('[') {
			return "an array"
		}
		return "an object"
	}
}

// loneSurrogate reports whether the JSON string in raw holds an escape for one half of a surrogate pair without the other
// half. encoding/json would replace it, and no text in UTF-8 can hold it.
func loneSurrogate(raw []byte) bool {
	for i := 0; i+1 < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		i++
		unit := utf16Unit(raw[i:])
		switch {
		case unit < 0xD800 || unit > 0xDFFF:
			continue
		case unit >= 0xDC00 || len(raw) < i+7 || raw[i+5] != '\\':
			return true
		}
		if low := utf16Unit(raw[i+6:]); low < 0xDC00 || low > 0xDFFF {
			return true
		}
		i += 10 // the rest of uXXXX\uXXXX
	}
	return false
}

// utf16Unit reads uXXXX at the start of raw, or returns -1.
func utf16Unit(raw []byte) int {
	if len(raw) < 5 || raw[0] != 'u' {
		return -1
	}
	n, err := strconv.ParseUint(string(raw[1:5]), 16, 16)
	if err != nil {
		return -1
	}
	return int(n)
}
