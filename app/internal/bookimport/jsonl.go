package bookimport

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// jsonSource reads rows of JSON lines: one object a line, unknown members ignored.
type jsonSource struct {
	lines   *recordReader
	mapping Mapping
	empty   bool // nothing but blank lines so far
}

// newJSONSource reads lines with a recordReader that knows no quotes: JSON has no line ends within its strings.
func newJSONSource(in *bufio.Reader, mapping Mapping) *jsonSource {
	return &jsonSource{lines: &recordReader{in: in, line: 1, plain: true}, mapping: mapping, empty: true}
}

// next returns the next row, with rejected set when its line cannot be read as a book.
func (s *jsonSource) next() (row, error) {
	for {
		line, number, _, err := s.lines.next()
		switch {
		case errors.Is(err, errTooLong):
			s.empty = false
			return unreadable(number, fmt.Sprintf("the line is longer than %d bytes", maxRecord)), nil
		case errors.Is(err, io.EOF) && s.empty:
			return row{}, errors.New("the file is empty")
		case err != nil:
			return row{}, err
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		s.empty = false
		return s.decode(line, number), nil
	}
}

func (s *jsonSource) decode(line []byte, number int64) row {
	if !utf8.Valid(line) {
		return unreadable(number, "the line is not valid UTF-8") // encoding/json would put replacement characters into it
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(line, &members); err != nil || members == nil {
		return unreadable(number, "the line is not a JSON object"+because(err))
	}
	out := row{line: number}
	for f := range fieldCount {
		raw, ok := s.mapping.member(f, members)
		if !ok {
			continue
		}
		if err := out.set(f, raw); err != nil {
			out.rejected = &rejection{reason: fieldReasons[f], detail: fmt.Sprintf("%s: %s", f, err)}
			break
		}
	}
	return out
}

// set reads a member: text, null, a number where one makes sense, or a list of authors.
func (r *row) set(f field, raw json.RawMessage) error {
	switch {
	case string(raw) == "null":
		return nil
	case raw[0] == '"':
		return json.Unmarshal(raw, &r.values[f])
	case f == fieldAuthors && raw[0] == '[':
		if err := json.Unmarshal(raw, &r.authors); err != nil {
			return errors.New("must be a list of strings")
		}
		return nil
	case strings.ContainsRune("-0123456789", rune(raw[0])) && (f == fieldYear || f == fieldISBN13 || f == fieldISBN10):
		r.values[f] = string(raw)
		return nil
	case f == fieldAuthors:
		return errors.New("must be a list of strings")
	}
	return errors.New("must be a string")
}

func unreadable(line int64, detail string) row {
	return row{line: line, rejected: &rejection{reason: ReasonUnreadable, detail: detail}}
}

// because appends the cause where there is one.
func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}
