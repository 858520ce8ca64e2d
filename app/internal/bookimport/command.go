package bookimport

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"bookshelf/app/internal/postgres"
)

const usage = `Usage: bookd import [flags] FILE|-

Brings books into the catalogue from a CSV file with a header, or from JSON lines; - reads standard input. A file comes in
as a whole or, on any error or interruption, not at all. Rows that cannot be books are left out and listed with their line
and the reason. Running an import again adds nothing.

Two books are the same when they have the same ISBN, or both have none and title, authors and year are the same.

Fields: title, authors (both needed), isbn13, isbn10, published_year, language, description. Columns with these and other
usual names (author, isbn, year, lang, language_code …) are found by themselves; --map names any other.

Flags:
`

const examples = `
Examples:
  bookd import books.csv
  bookd import --dry-run --report left-out.jsonl books.csv
  bookd import --map title=name --map published_year=released --author-separator " & " list.csv
  bookd import --delimiter '\t' --on-conflict update export.tsv
  zcat books.jsonl.gz | bookd import --format jsonl -
`

// UsageError says that the command line is wrong; nothing was read or changed.
type UsageError struct {
	Err error
}

// Error ends with where to look.
func (e *UsageError) Error() string { return e.Err.Error() + " (bookd import --help tells more)" }

// Unwrap returns the cause.
func (e *UsageError) Unwrap() error { return e.Err }

// flags is the parsed command line.
type flags struct {
	options    Options
	file       string // "-" for standard input
	reportFile string
	json       bool
}

// Command runs the import command with args, the part of the command line behind the word "import": it opens the store and
// the file, shows the progress on stderr and writes the report to stdout. A wrong command line is a *UsageError.
func Command(
	ctx context.Context, args []string, open func(context.Context) (*postgres.Store, error),
	stdin io.Reader, stdout, stderr io.Writer,
) error {
	f, err := parse(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return &UsageError{Err: err}
	}
	in, size, err := openInput(f.file, stdin)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // only read from
	// A read from a terminal or another program's output cannot be interrupted, but the pipe that stands before it can be
	// closed. The goroutine behind it then ends with its next write, or with the process.
	stop := context.AfterFunc(ctx, func() { in.CloseWithError(context.Cause(ctx)) })
	defer stop()

	// The database comes last: a wrong command line or file name is told without one.
	store, err := open(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	return f.execute(ctx, in, size, store, stdout, stderr)
}

// execute imports and reports.
func (f *flags) execute(
	ctx context.Context, in io.Reader, size int64, store *postgres.Store, stdout, stderr io.Writer,
) (err error) {
	if f.reportFile != "" {
		file, createErr := os.Create(f.reportFile)
		if createErr != nil {
			return fmt.Errorf("create the report: %w", createErr)
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		f.options.Findings = file
	}
	// Progress goes to stderr and the report to stdout, so that the report can be piped on.
	progress := newProgressPrinter(stderr, size, time.Now)
	report, err := Run(ctx, f.options, in, store, progress.show)
	progress.done()
	if err != nil && !errors.Is(err, ErrDuplicates) {
		return err
	}
	return errors.Join(f.write(report, stdout), err) // with ErrDuplicates, the report is what the operator needs
}

func (f *flags) write(report Report, stdout io.Writer) error {
	if !f.json {
		return report.WriteText(stdout)
	}
	encoder := json.NewEncoder(stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(report)
}

// parse reads the command line. Flags may stand before and behind the file.
func parse(args []string, stdout io.Writer) (*flags, error) {
	f := &flags{options: Options{Mapping: Mapping{}}}
	var format, delimiter, onConflict string
	set := flag.NewFlagSet("import", flag.ContinueOnError)
	set.SetOutput(io.Discard) // errors are returned, and help is written below
	set.StringVar(&format, "format", "", "csv or jsonl; by default the file's extension or its content decides")
	set.Var(f.options.Mapping, "map", "take a field from the column `FIELD=COLUMN`; FIELD= leaves it out; may be repeated")
	set.StringVar(&delimiter, "delimiter", ",", `the character between CSV fields; \t is a tab`)
	set.StringVar(&f.options.AuthorSeparator, "author-separator", ";", "the text between the names in one field")
	set.StringVar(&onConflict, "on-conflict", "skip",
		"what to do with a book that is stored already: skip it, update it (fields\nempty in the file keep what is stored), or fail and import nothing")
	set.BoolVar(&f.options.Exact, "exact", false,
		"take titles and names as they stand, without mending: for a file exported from here")
	set.BoolVar(&f.options.DropBadISBN, "drop-bad-isbn", false, "import a book without its ISBN where that is unusable, instead of rejecting it")
	set.BoolVar(&f.options.DryRun, "dry-run", false, "do everything, report, and undo it")
	set.StringVar(&f.reportFile, "report", "", "write every row that is left out to this `file`, as JSON lines")
	set.BoolVar(&f.json, "json", false, "print the report as JSON")

	var files []string
	for rest := args; ; {
		err := set.Parse(rest)
		if errors.Is(err, flag.ErrHelp) {
			io.WriteString(stdout, usage)
			set.SetOutput(stdout)
			set.PrintDefaults()
			io.WriteString(stdout, examples)
		}
		if err != nil {
			return nil, err
		}
		if set.NArg() == 0 {
			break
		}
		files, rest = append(files, set.Arg(0)), set.Args()[1:]
	}
	switch len(files) {
	case 0:
		return nil, errors.New("no file is given; - reads standard input")
	case 1:
		f.file, f.options.Name = files[0], files[0]
		if f.file == "-" {
			f.options.Name = "standard input"
		}
	default:
		return nil, fmt.Errorf("one file at a time, not %d: %q", len(files), files)
	}
	return f, f.choose(format, delimiter, onConflict)
}

// choose checks the flags that take one of a few values.
func (f *flags) choose(format, delimiter, onConflict string) error {
	o := &f.options
	o.Format = Format(format)
	if !slices.Contains([]Format{"", CSV, JSONLines}, o.Format) {
		return fmt.Errorf("--format must be csv or jsonl, is %q", format)
	}
	var err error
	if o.OnConflict, err = ParseOnConflict(onConflict); err != nil {
		return fmt.Errorf("--on-conflict %w", err)
	}
	if o.Delimiter, err = ParseDelimiter(delimiter); err != nil {
		return fmt.Errorf("--delimiter %w", err)
	}
	if o.AuthorSeparator == "" {
		return errors.New("--author-separator must not be empty")
	}
	return nil
}

// openInput opens the file or stdin behind a pipe. size is in bytes, 0 where it is not known beforehand.
func openInput(name string, stdin io.Reader) (in *io.PipeReader, size int64, err error) {
	source := io.NopCloser(stdin)
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, 0, fmt.Errorf("open the file to import: %w", err)
		}
		info, err := file.Stat()
		if err == nil && info.IsDir() {
			err = fmt.Errorf("%s is a directory, not a file", name)
		}
		if err != nil {
			file.Close()
			return nil, 0, err
		}
		source, size = file, info.Size()
	}
	in, out := io.Pipe()
	go func() {
		_, err := io.Copy(out, source)
		source.Close()
		out.CloseWithError(err) // nil is io.EOF to the reader
	}()
	return in, size, nil
}
