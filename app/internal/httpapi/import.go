package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"bookshelf/app/internal/bookimport"
)

// Importer brings files of books into the catalogue. Its errors are those of bookimport.Run.
type Importer interface {
	Import(ctx context.Context, opts bookimport.Options, in io.Reader) (bookimport.Report, error)
}

// importFindings is how many rows of each outcome a report lists: enough to mend a file by, and bounded whatever comes.
const importFindings = 1000

// importParameters are the parameters of an import, each with what it sets: the flags of bookd import that make sense for
// a request.
var importParameters = parameterTable[bookimport.Options]{
	"on_conflict": func(o *bookimport.Options, v string) (err error) {
		o.OnConflict, err = bookimport.ParseOnConflict(v)
		return err
	},
	"delimiter": func(o *bookimport.Options, v string) (err error) {
		o.Delimiter, err = bookimport.ParseDelimiter(v)
		return err
	},
	"author_separator": func(o *bookimport.Options, v string) error { o.AuthorSeparator = v; return nil },
	"drop_bad_isbn":    func(o *bookimport.Options, v string) error { return boolean(&o.DropBadISBN, v) },
	"dry_run":          func(o *bookimport.Options, v string) error { return boolean(&o.DryRun, v) },
	"exact":            func(o *bookimport.Options, v string) error { return boolean(&o.Exact, v) },
}

// boolean reads a switch.
func boolean(dst *bool, value string) error {
	var word string
	err := oneOf(&word, value, "true", "false")
	*dst = word == "true"
	return err
}

// handleBookImport answers 200 with a report on every row, or 400, 406, 408, 409, 413, 415, 503. The rows come in together or,
// with any other answer, not at all.
func (a *API) handleBookImport() http.Handler {
	return a.handle(func(w http.ResponseWriter, r *http.Request) error {
		opts := bookimport.Options{Name: "the request body", MaxFindings: importFindings}
		if err := readParameters(&opts, importParameters, r.URL.RawQuery); err != nil {
			return err
		}
		if err := requireAcceptable(r); err != nil {
			return err
		}
		mediaType, err := requireType(r.Header, csvType, jsonlType, ndjsonType)
		if err != nil {
			return err
		}
		if opts.Format = bookimport.JSONLines; mediaType == csvType {
			opts.Format = bookimport.CSV
		}
		if r.ContentLength > a.MaxImportBytes {
			return bodyTooLarge(a.MaxImportBytes)
		}
		t, done, err := a.beginTransfer(w, r)
		if err != nil {
			return err
		}
		defer done()
		body := &pacedReader{transfer: t, in: http.MaxBytesReader(w, r.Body, a.MaxImportBytes)}
		report, err := a.Importer.Import(t.ctx, opts, body)
		if err != nil {
			return t.problem(a.importProblem(t.ctx, report, body.err, err))
		}
		return writeJSON(w, http.StatusOK, report)
	})
}

// importProblem says how an import is answered that failed with err. readErr is why the body could not be read, if that was
// it.
func (a *API) importProblem(ctx context.Context, report bookimport.Report, readErr, err error) error {
	input, isInput := errors.AsType[*bookimport.InputError](err)
	header, isHeader := errors.AsType[*bookimport.HeaderError](err)
	switch {
	case errors.Is(err, bookimport.ErrDuplicates):
		return &apiError{
			kind: kindImportDuplicates,
			detail: fmt.Sprintf("%d of %d rows are duplicates, so nothing was imported: see the report.",
				report.Duplicates, report.Rows),
			report: report,
		}
	// The server ends the context when a body is late, as it does when the client leaves.
	case errors.Is(readErr, os.ErrDeadlineExceeded), readErr != nil && ctx.Err() == nil:
		return bodyProblem(readErr, a.MaxImportBytes)
	case isHeader:
		return &apiError{kind: kindMalformedBody, detail: sentence(header.Problem), cause: err}
	case isInput && ctx.Err() == nil:
		return &apiError{kind: kindMalformedBody, detail: sentence(input.Err.Error()), cause: err}
	}
	return err
}

// sentence makes one of an error's text.
func sentence(text string) string { return "The request body cannot be imported: " + text + "." }
