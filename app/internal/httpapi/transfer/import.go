package transfer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"

	"bookshelf/app/internal/bookimport"
	"bookshelf/app/internal/httpapi/exchange"
	"bookshelf/app/internal/httpapi/media"
	"bookshelf/app/internal/httpapi/problem"
	"bookshelf/app/internal/httpapi/query"
)

// importFindings is how many rows of each outcome a report lists: enough to mend a file by, and bounded whatever comes.
const importFindings = 1000

// importParameters are the parameters of an import, each with what it sets: the flags of bookd import that make sense for
// a request.
var importParameters = query.Table[bookimport.Options]{
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
	err := query.OneOf(&word, value, "true", "false")
	*dst = word == "true"
	return err
}

// Import answers 200 with a report on every row, or 400, 406, 408, 409, 413, 415, 503. The rows come in together or,
// with any other answer, not at all.
func (t *Transfers) Import() http.Handler {
	return exchange.Handle(func(w http.ResponseWriter, r *http.Request) error {
		opts := bookimport.Options{Name: "the request body", MaxFindings: importFindings}
		if err := query.Read(&opts, importParameters, r.URL.RawQuery); err != nil {
			return err
		}
		if err := media.RequireAcceptable(r); err != nil {
			return err
		}
		mediaType, err := media.Require(r.Header, media.CSV, media.JSONLines, media.NDJSON)
		if err != nil {
			return err
		}
		if opts.Format = bookimport.JSONLines; mediaType == media.CSV {
			opts.Format = bookimport.CSV
		}
		if r.ContentLength > t.opts.MaxImportBytes {
			return exchange.BodyTooLarge(t.opts.MaxImportBytes)
		}
		one, done, err := t.begin(w, r)
		if err != nil {
			return err
		}
		defer done()
		body := &pacedReader{transfer: one, in: http.MaxBytesReader(w, r.Body, t.opts.MaxImportBytes)}
		report, err := t.opts.Importer.Import(one.ctx, opts, body)
		if err != nil {
			return one.problem(t.importProblem(one.ctx, report, body.err, err))
		}
		return exchange.WriteJSON(w, http.StatusOK, report)
	})
}

// importProblem says how an import is answered that failed with err. readErr is why the body could not be read, if that was
// it.
func (t *Transfers) importProblem(ctx context.Context, report bookimport.Report, readErr, err error) error {
	input, isInput := errors.AsType[*bookimport.InputError](err)
	header, isHeader := errors.AsType[*bookimport.HeaderError](err)
	switch {
	case errors.Is(err, bookimport.ErrDuplicates):
		return &problem.Error{
			Kind: problem.ImportDuplicates,
			Detail: fmt.Sprintf("%d of %d rows are duplicates, so nothing was imported: see the report.",
				report.Duplicates, report.Rows),
			Report: report,
		}
	// The server ends the context when a body is late, as it does when the client leaves.
	case errors.Is(readErr, os.ErrDeadlineExceeded), readErr != nil && ctx.Err() == nil:
		return exchange.BodyProblem(readErr, t.opts.MaxImportBytes)
	case isHeader:
		return &problem.Error{Kind: problem.MalformedBody, Detail: sentence(header.Problem), Cause: err}
	case isInput && ctx.Err() == nil:
		return &problem.Error{Kind: problem.MalformedBody, Detail: sentence(input.Err.Error()), Cause: err}
	}
	return err
}

// sentence makes one of an error's text.
func sentence(text string) string { return "The request body cannot be imported: " + text + "." }
