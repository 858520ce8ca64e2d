package bookimport

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxRecord is the most that one record may hold, in bytes; a longer one is skipped and rejected. It is far more than a
// book's longest fields take, and bounds the memory that a missing quotation mark can cost.
const maxRecord = 1 << 20

// recordReader cuts CSV (RFC 4180) into records and leaves their parsing to encoding/csv. That package alone would read a
// field whose closing quote is missing into memory to the end of the file, and could not go on after a damaged record.
type recordReader struct {
	in    *bufio.Reader
	comma byte
	plain bool  // quotes mean nothing: every line is a record
	line  int64 // the physical line that comes next
	buf   []byte
}

// errTooLong marks a record of more than maxRecord bytes.
var errTooLong = fmt.Errorf("is longer than %d bytes; is a closing quotation mark missing?", maxRecord)

// quoteState is where in a field the reader stands.
type quoteState int

const (
	fieldStart quoteState = iota
	unquoted
	quoted
	quoteInQuoted // the end of the field or the first half of an escaped quote
)

// next returns the bytes of the next record with its line end, and the physical lines that it begins and ends on. The
// bytes are valid until the next call. With errTooLong the record has been skipped; other errors are final.
func (r *recordReader) next() (record []byte, first, last int64, err error) {
	r.buf = r.buf[:0]
	state, tooLong := fieldStart, false
	for first = r.line; ; {
		chunk, err := r.in.ReadSlice('\n')
		state = r.advance(state, chunk)
		if len(r.buf)+len(chunk) > maxRecord {
			tooLong = true
		} else {
			r.buf = append(r.buf, chunk...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			switch {
			case state == quoted:
				return nil, first, r.line, fmt.Errorf("line %d: a quoted field begins in this record and never ends", first)
			case len(r.buf) == 0 && !tooLong:
				return nil, first, r.line, io.EOF
			}
		case err != nil:
			return nil, first, r.line, err
		}
		r.line++
		if state == quoted {
			continue
		}
		if tooLong {
			return nil, first, r.line - 1, errTooLong
		}
		return r.buf, first, r.line - 1, nil
	}
}

// advance follows the quotes of chunk. A quote has a meaning only where a field begins or inside a quoted one, so that a
// stray one (as in 5" disk) does not swallow the lines behind it.
func (r *recordReader) advance(state quoteState, chunk []byte) quoteState {
	if r.plain {
		return unquoted
	}
	for _, b := range chunk {
		switch {
		case state == quoted:
			if b == '"' {
				state = quoteInQuoted
			}
		case b == '"' && (state == fieldStart || state == quoteInQuoted):
			state = quoted
		case b == r.comma || b == '\n':
			state = fieldStart
		default:
			state = unquoted
		}
	}
	return state
}

// csvSource reads rows of a CSV file whose first record names the columns.
type csvSource struct {
	records *recordReader
	parsing *bufio.Reader // reused, because encoding/csv would make a buffer for every record
	header  []string
	columns [fieldCount]int // the column of each field, -1 for none
}

// newCSVSource reads the header and finds the fields' columns in it.
func newCSVSource(in *bufio.Reader, comma byte, mapping Mapping) (*csvSource, error) {
	s := &csvSource{records: &recordReader{in: in, comma: comma, line: 1}, parsing: bufio.NewReader(nil)}
	for {
		record, first, _, err := s.records.next()
		if errors.Is(err, io.EOF) {
			return nil, errors.New("the file is empty")
		}
		if err != nil {
			return nil, fmt.Errorf("read the header: %w", err)
		}
		s.header, err = s.parse(record)
		if err != nil {
			return nil, fmt.Errorf("line %d: read the header: %w", first, err)
		}
		if len(s.header) > 0 {
			break
		}
	}
	columns, err := mapping.resolve(s.header)
	if err != nil {
		return nil, err
	}
	s.columns = columns
	return s, nil
}

// parse returns the fields of one record, none for a blank line.
func (s *csvSource) parse(record []byte) ([]string, error) {
	s.parsing.Reset(bytes.NewReader(record))
	parser := csv.NewReader(s.parsing)
	parser.Comma = rune(s.records.comma)
	fields, err := parser.Read()
	var parseErr *csv.ParseError
	switch {
	case errors.Is(err, io.EOF):
		return nil, nil
	case errors.As(err, &parseErr):
		// Its line and column count from the record's start, which the caller's line number would contradict.
		return nil, parseErr.Err
	}
	return fields, err
}

// next returns the next row, with rejected set when it cannot be read as one.
func (s *csvSource) next() (row, error) {
	for {
		record, first, last, err := s.records.next()
		if errors.Is(err, errTooLong) {
			return unreadable(first, spanning(first, last, err)), nil
		}
		if err != nil {
			return row{}, err
		}
		fields, err := s.parse(record)
		switch {
		case err != nil:
			return unreadable(first, spanning(first, last, err)), nil
		case len(fields) == 0:
			continue
		case len(fields) != len(s.header):
			err := fmt.Errorf("has %d fields, the header has %d", len(fields), len(s.header))
			return row{line: first, rejected: &rejection{reason: ReasonColumns, detail: spanning(first, last, err)}}, nil
		}
		out := row{line: first}
		for f, column := range s.columns {
			if column >= 0 {
				out.values[f] = fields[column]
			}
		}
		return out, nil
	}
}

// spanning names the lines of a damaged record that is longer than one: it may have swallowed good ones.
func spanning(first, last int64, err error) string {
	if first == last {
		return "the row " + err.Error()
	}
	return fmt.Sprintf("the row, which reaches to line %d, %s", last, err)
}

// stripBOM skips the byte order mark that spreadsheets put before UTF-8, and refuses UTF-16.
func stripBOM(in *bufio.Reader) error {
	start, err := in.Peek(3)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch {
	case strings.HasPrefix(string(start), "\xef\xbb\xbf"):
		_, err := in.Discard(3)
		return err
	case strings.HasPrefix(string(start), "\xff\xfe"), strings.HasPrefix(string(start), "\xfe\xff"):
		return errors.New("the file is UTF-16; save it as UTF-8")
	}
	return nil
}
