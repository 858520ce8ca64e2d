// Package bookrow reads books from rows as the server sends them.
package bookrow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"bookshelf/app/internal/book"
)

// Columns are those of a book in the order in which decodeBook reads them. Written out, so that a column that a later
// version adds does not change the result of statements that a running process has prepared.
const Columns = `id, title, authors, isbn13, published_year, language, description, version, created_at, updated_at`

// columnOIDs are the types of Columns. The driver asks for all of them in binary form, except for text, which is the same
// in both.
var columnOIDs = [...]uint32{
	pgtype.Int8OID, pgtype.TextOID, pgtype.TextArrayOID, pgtype.TextOID, pgtype.Int2OID, pgtype.TextOID, pgtype.TextOID,
	pgtype.Int8OID, pgtype.TimestamptzOID, pgtype.TimestamptzOID,
}

// Width is how many columns there are.
const Width = len(columnOIDs)

// epoch is what timestamps count from, in microseconds of Unix time.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

// Scan reads a row that begins with Columns. It decodes the bytes that the server sent itself, where the driver's own
// way would find out for each row anew what goes where, and allocate for each value: half of what a list cost.
func Scan(row pgx.CollectableRow) (book.Book, error) {
	fields := row.FieldDescriptions()
	if len(fields) < len(columnOIDs) {
		return book.Book{}, fmt.Errorf("read a book: the row has %d columns", len(fields))
	}
	for i, want := range columnOIDs {
		binaryForm := fields[i].Format == pgx.BinaryFormatCode || want == pgtype.TextOID
		if fields[i].DataTypeOID != want || !binaryForm {
			return book.Book{}, fmt.Errorf("read a book: column %s has type %d in format %d",
				fields[i].Name, fields[i].DataTypeOID, fields[i].Format)
		}
	}
	b, err := decodeBook(row.RawValues())
	if err != nil {
		return book.Book{}, fmt.Errorf("read a book: %w", err)
	}
	return b, nil
}

// decodeBook reads the values of Columns (PostgreSQL's binary formats, as its receive functions have them).
func decodeBook(raw [][]byte) (book.Book, error) {
	const id, title, authors, isbn, year, language, description, version, created, updated = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9
	var b book.Book
	texts := textOf(raw[title], raw[isbn], raw[language], raw[description])
	b.Title, b.ISBN13, b.Language, b.Description = texts[0], texts[1], texts[2], texts[3]
	var err error
	if b.Authors, err = decodeTexts(raw[authors]); err != nil {
		return book.Book{}, fmt.Errorf("authors: %w", err)
	}
	if len(raw[id]) != 8 || len(raw[version]) != 8 {
		return book.Book{}, errors.New("the ID or the version is no number of 8 bytes")
	}
	b.ID = int64(binary.BigEndian.Uint64(raw[id]))
	b.Version = int64(binary.BigEndian.Uint64(raw[version]))
	switch {
	case raw[year] == nil:
	case len(raw[year]) == 2:
		b.PublishedYear = new(int(int16(binary.BigEndian.Uint16(raw[year]))))
	default:
		return book.Book{}, errors.New("the year is no number of 2 bytes")
	}
	if b.CreatedAt, err = decodeTime(raw[created]); err != nil {
		return book.Book{}, fmt.Errorf("created_at: %w", err)
	}
	if b.UpdatedAt, err = decodeTime(raw[updated]); err != nil {
		return book.Book{}, fmt.Errorf("updated_at: %w", err)
	}
	return b, nil
}

// textOf copies all texts of a row at once: one allocation for all of them. NULL is "".
func textOf(values ...[]byte) (texts [4]string) {
	var all strings.Builder
	length := 0
	for _, v := range values {
		length += len(v)
	}
	all.Grow(length)
	for _, v := range values {
		all.Write(v)
	}
	rest := all.String()
	for i, v := range values {
		texts[i], rest = rest[:len(v)], rest[len(v):]
	}
	return texts
}

// decodeTexts reads an array of one dimension without NULLs, which the schema's constraints make of every list of authors.
func decodeTexts(raw []byte) ([]string, error) {
	const header = 3*4 + 2*4 // dimensions, flags, type; length and lower bound
	if len(raw) < header || binary.BigEndian.Uint32(raw) != 1 {
		return nil, errors.New("not an array of one dimension")
	}
	count := int(binary.BigEndian.Uint32(raw[12:]))
	raw = raw[header:]
	if count > len(raw)/4 {
		return nil, errors.New("an array that is cut off")
	}
	all := string(raw) // with the lengths in between; still one allocation instead of one for each
	texts := make([]string, count)
	for i := range texts {
		if len(raw) < 4 {
			return nil, errors.New("an array that is cut off")
		}
		length := int(int32(binary.BigEndian.Uint32(raw)))
		if length < 0 || length > len(raw)-4 {
			return nil, errors.New("an array with a NULL, or that is cut off")
		}
		texts[i] = all[4 : 4+length]
		raw, all = raw[4+length:], all[4+length:]
	}
	return texts, nil
}

// decodeTime reads a timestamptz, which is microseconds.
func decodeTime(raw []byte) (time.Time, error) {
	if len(raw) != 8 {
		return time.Time{}, errors.New("no timestamp of 8 bytes")
	}
	micros := int64(binary.BigEndian.Uint64(raw))
	if micros == math.MaxInt64 || micros == math.MinInt64 {
		return time.Time{}, errors.New("an infinite timestamp")
	}
	return time.UnixMicro(epoch + micros).UTC(), nil
}
