// Package bookimport brings books into the catalogue from CSV files and JSON lines: all that a file holds in one
// transaction, or nothing. Files come as they are found: rows that cannot be books are left out and accounted for one by
// one, and known damage is repaired where the repair is certain.
package bookimport

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"bookshelf/app/internal/postgres"
)

// Format is how a file writes its rows.
type Format string

// The formats.
const (
	CSV       Format = "csv"   // RFC 4180, with a header
	JSONLines Format = "jsonl" // one object a line
)

// Options say what is read and what is done with it. The zero value reads a comma-separated file or JSON lines and skips
// the books that are stored.
type Options struct {
	Name            string              // of the input, for its extension and for the report
	Format          Format              // "": by Name's extension, else by the first character
	Delimiter       byte                // between a CSV row's fields; 0 is a comma
	Mapping         Mapping             // columns that are not called by a usual name
	AuthorSeparator string              // between the names in one field; "" is ";"
	OnConflict      postgres.OnConflict // "" is postgres.Skip
	Exact           bool                // take titles and names as they stand, for a file that was exported from here
	DropBadISBN     bool                // take a book without its ISBN where that is unusable
	DryRun          bool                // do everything, then undo it
	Findings        io.Writer           // gets every Finding as a line of JSON; nil for none
	MaxFindings     int64               // of each outcome that the report itself holds; 0 is 20
}

// ParseOnConflict reads a name of what to do with a book that is stored already.
func ParseOnConflict(s string) (postgres.OnConflict, error) {
	known := []postgres.OnConflict{postgres.Skip, postgres.Update, postgres.Fail}
	if !slices.Contains(known, postgres.OnConflict(s)) {
		return "", fmt.Errorf("must be skip, update or fail, is %q", s)
	}
	return postgres.OnConflict(s), nil
}

// ParseDelimiter reads what stands between CSV fields: one character, or \t for a tab.
func ParseDelimiter(s string) (byte, error) {
	if s == `\t` {
		s = "\t"
	}
	if len(s) != 1 || s[0] >= 0x80 || strings.ContainsAny(s, "\"\r\n") {
		return 0, fmt.Errorf("must be one ASCII character other than a quotation mark, is %q", s)
	}
	return s[0], nil
}

// withDefaults fills in what the zero value stands for.
func (o Options) withDefaults() Options {
	if o.Delimiter == 0 {
		o.Delimiter = ','
	}
	if o.AuthorSeparator == "" {
		o.AuthorSeparator = ";"
	}
	if o.OnConflict == "" {
		o.OnConflict = postgres.Skip
	}
	if o.MaxFindings == 0 {
		o.MaxFindings = 20
	}
	return o
}

// Progress is how far an import has come.
type Progress struct {
	Bytes   int64 // read from the input
	Rows    int64 // read from the input
	Merging bool  // everything is read, the database merges
}

// batchSize is the number of rows that travel to the database at once; it bounds the memory.
const batchSize = 1000

// ErrDuplicates ends an import that must not meet any duplicate. Nothing was imported; the report lists them.
var ErrDuplicates = errors.New("there are duplicates, nothing was imported")

// InputError says that the input cannot be read as a file of books, or not to its end. Nothing was imported.
type InputError struct {
	Name string // of the input
	Err  error
}

// Error begins with the name.
func (e *InputError) Error() string { return e.Name + ": " + e.Err.Error() }

// Unwrap returns what is wrong.
func (e *InputError) Unwrap() error { return e.Err }

// HeaderError says that a CSV file's header lacks a column. It is wrapped in an InputError.
type HeaderError struct {
	Problem string
	Remedy  string // in flags of bookd import
}

// Error has both.
func (e *HeaderError) Error() string { return e.Problem + "; " + e.Remedy }

// Run reads books from in and merges them into the store. It calls progress after each batch. On an error nothing is
// imported; the report that comes with ErrDuplicates is complete, with any other error it is not.
func Run(ctx context.Context, opts Options, in io.Reader, store *postgres.Store, progress func(Progress)) (Report, error) {
	start := time.Now()
	opts = opts.withDefaults()
	counted := &countingReader{in: in}
	rows, format, err := openSource(bufio.NewReaderSize(counted, 64<<10), opts)
	if err != nil {
		return Report{}, &InputError{Name: opts.Name, Err: err}
	}
	imp, err := store.BeginImport(ctx)
	if err != nil {
		return Report{}, err
	}
	l := &load{
		opts: opts, now: start, imp: imp, progress: progress, input: counted,
		report: newReport(opts, format),
	}
	err = l.run(ctx, rows)
	// After a commit this does nothing; in every other case it is what keeps the promise of all or nothing.
	if rollbackErr := imp.Rollback(ctx); err == nil {
		err = rollbackErr
	}
	l.report.Seconds = time.Since(start).Seconds()
	return l.report.result(), err
}

// load is one import under way. It holds a batch of rows and a bounded report, whatever the size of the input; everything
// that needs to know all rows (which of them repeat others, which are stored) is left to the staging table.
type load struct {
	opts     Options
	now      time.Time // decides which year is the next
	imp      *postgres.Import
	input    *countingReader
	progress func(Progress)
	report   *recorder
	batch    []postgres.ImportRow
}

// run stages all rows, merges and commits.
func (l *load) run(ctx context.Context, rows source) error {
	for {
		r, err := rows.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return &InputError{Name: l.opts.Name, Err: err}
		}
		if err := l.add(ctx, r); err != nil {
			return err
		}
	}
	if err := l.flush(ctx); err != nil {
		return err
	}
	l.progress(Progress{Bytes: l.input.n, Rows: l.report.Rows, Merging: true})
	merged, err := l.imp.Merge(ctx, l.opts.OnConflict, l.report.duplicate)
	if err != nil {
		return err
	}
	if err := l.report.flush(); err != nil {
		return err
	}
	if l.opts.OnConflict == postgres.Fail && merged.Duplicates > 0 {
		return ErrDuplicates
	}
	l.report.merged(merged)
	if l.opts.DryRun {
		return nil // Run rolls back; everything before, constraints included, has been tried for real
	}
	return l.imp.Commit(ctx)
}

// add takes one row into the batch, or notes why not. Rows are judged here, not by the database: a violated constraint would
// end the whole transaction and could not name a line.
func (l *load) add(ctx context.Context, r row) error {
	l.report.Rows++
	draft, repairs, rejected := r.draft(l.opts, l.now)
	if rejected != nil {
		return l.report.rejected(r.line, *rejected)
	}
	l.report.repaired(repairs)
	l.batch = append(l.batch, postgres.ImportRow{Line: r.line, Draft: draft})
	if len(l.batch) < batchSize {
		return nil
	}
	return l.flush(ctx)
}

// flush sends the batch to the database.
func (l *load) flush(ctx context.Context) error {
	if len(l.batch) == 0 {
		return nil
	}
	if err := l.imp.Stage(ctx, l.batch); err != nil {
		return err
	}
	l.batch = l.batch[:0]
	l.progress(Progress{Bytes: l.input.n, Rows: l.report.Rows})
	return nil
}

// source yields the rows of a file; io.EOF ends it, any other error is final.
type source interface {
	next() (row, error)
}

// openSource finds out the format and prepares to read the first row.
func openSource(in *bufio.Reader, opts Options) (source, Format, error) {
	if err := stripBOM(in); err != nil {
		return nil, "", err
	}
	format := opts.Format
	if format == "" {
		format = detect(opts.Name, in)
	}
	if format == JSONLines {
		return newJSONSource(in, opts.Mapping), format, nil
	}
	rows, err := newCSVSource(in, opts.Delimiter, opts.Mapping)
	return rows, CSV, err
}

// detect goes by the extension, and where that says nothing by the content: a CSV header does not begin with a brace.
func detect(name string, in *bufio.Reader) Format {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".csv", ".tsv":
		return CSV
	case ".jsonl", ".ndjson":
		return JSONLines
	}
	start, _ := in.Peek(512) // what cannot be read now is an error soon
	if bytes.HasPrefix(bytes.TrimLeftFunc(start, unicode.IsSpace), []byte("{")) {
		return JSONLines
	}
	return CSV
}

// countingReader counts what was read, for the progress.
type countingReader struct {
	in io.Reader
	n  int64
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.in.Read(p)
	r.n += int64(n)
	return n, err
}
