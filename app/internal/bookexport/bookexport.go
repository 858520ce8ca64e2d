// Package bookexport writes books as files that package bookimport reads back: CSV with a header, or JSON lines. A file holds
// what a client may say about a book, not what the server keeps beside it.
package bookexport

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"bookshelf/app/internal/book"
)

// Writer writes one file. It keeps no more than a row in memory beside what it passes on.
type Writer interface {
	// Write appends a book.
	Write(b book.Book) error
	// Close completes the file. What it was written to stays open.
	Close() error
}

// columns are those of a CSV file, by the names that the import knows them under.
var columns = []string{"title", "authors", "isbn13", "published_year", "language", "description"}

// authorSeparator stands between the names in a CSV field, as the import expects unless it is told otherwise.
const authorSeparator = ";"

// NewCSV returns a Writer of CSV (RFC 4180, with \n at the end of lines). Cells are as the catalogue has them: a spreadsheet
// may take one that begins with = for a formula.
func NewCSV(out io.Writer) (Writer, error) {
	w := &csvWriter{csv: csv.NewWriter(out), row: make([]string, len(columns))}
	if err := w.csv.Write(columns); err != nil {
		return nil, fmt.Errorf("write header: %w", err)
	}
	return w, nil
}

type csvWriter struct {
	csv *csv.Writer
	row []string
}

func (w *csvWriter) Write(b book.Book) error {
	authors, err := joinAuthors(b.Authors)
	if err != nil {
		return err
	}
	year := ""
	if b.PublishedYear != nil {
		year = strconv.Itoa(*b.PublishedYear)
	}
	w.row = append(w.row[:0], b.Title, authors, b.ISBN13, year, b.Language, b.Description)
	if err := w.csv.Write(w.row); err != nil {
		return fmt.Errorf("write book %d: %w", b.ID, err)
	}
	return nil
}

func (w *csvWriter) Close() error {
	w.csv.Flush()
	return w.csv.Error()
}

// joinAuthors puts all names in one field. Where they could not be told apart again they are an array of JSON, which the
// import takes as it is.
func joinAuthors(names []string) (string, error) {
	joined := strings.Join(names, authorSeparator)
	if strings.Count(joined, authorSeparator) == len(names)-1 && !strings.HasPrefix(joined, "[") {
		return joined, nil
	}
	array, err := json.Marshal(names)
	return string(array), err
}

// NewJSONLines returns a Writer of one JSON object a line, with null for what is not known.
func NewJSONLines(out io.Writer) Writer {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false) // nothing here is ever part of an HTML page
	return &jsonWriter{encoder: encoder}
}

type jsonWriter struct {
	encoder *json.Encoder
}

// line is a book in JSON, its members named as in the API.
type line struct {
	Title         string   `json:"title"`
	Authors       []string `json:"authors"`
	ISBN13        *string  `json:"isbn13"`
	PublishedYear *int     `json:"published_year"`
	Language      *string  `json:"language"`
	Description   *string  `json:"description"`
}

func (w *jsonWriter) Write(b book.Book) error {
	err := w.encoder.Encode(line{
		Title: b.Title, Authors: b.Authors, ISBN13: book.OrNil(b.ISBN13), PublishedYear: b.PublishedYear,
		Language: book.OrNil(b.Language), Description: book.OrNil(b.Description),
	})
	if err != nil {
		return fmt.Errorf("write book %d: %w", b.ID, err)
	}
	return nil
}

func (w *jsonWriter) Close() error { return nil }
