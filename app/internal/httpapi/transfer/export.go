package transfer

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"

	"bookshelf/app/internal/bookexport"
	"bookshelf/app/internal/httpapi/exchange"
	"bookshelf/app/internal/httpapi/media"
	"bookshelf/app/internal/httpapi/problem"
	"bookshelf/app/internal/httpapi/query"
)

// fileType is a type that books are exported as.
type fileType struct {
	format    string // the value of the parameter; "" for another name of a type
	mediaType string
	params    string // of the media type
	extension string
	open      func(io.Writer) (bookexport.Writer, error)
}

// fileTypes are in the order of our preference.
var fileTypes = []fileType{
	{"csv", media.CSV, "; charset=utf-8; header=present", ".csv", bookexport.NewCSV}, // RFC 4180, section 3
	{"jsonl", media.JSONLines, "", ".jsonl", newJSONLines},
	{"", media.NDJSON, "", ".ndjson", newJSONLines},
}

func newJSONLines(out io.Writer) (bookexport.Writer, error) { return bookexport.NewJSONLines(out), nil }

// describe says what the body is.
func (f fileType) describe(h http.Header) {
	h.Set("Content-Type", f.mediaType+f.params)
	h.Set("Content-Disposition", `attachment; filename="books`+f.extension+`"`)
}

// exportBuffer is how much of an export is sent at once.
const exportBuffer = 64 << 10

// Export answers 200 with the whole catalogue as a file, or 400, 406, 503. An export that fails when the answer has
// begun is cut off, so that no client takes it for complete.
func (t *Transfers) Export() http.Handler {
	return exchange.Handle(func(w http.ResponseWriter, r *http.Request) error {
		file, err := chooseFileType(r)
		if err != nil {
			return err
		}
		w.Header().Add("Vary", "Accept") // beside Origin, where browsers are let in
		if r.Method == http.MethodHead {
			file.describe(w.Header())
			w.WriteHeader(http.StatusOK)
			return nil
		}
		one, done, err := t.begin(w, r)
		if err != nil {
			return err
		}
		defer done()
		out := &pacedWriter{transfer: one, out: w}
		file.describe(w.Header())
		err = t.export(one.ctx, file, out)
		switch {
		case err == nil:
			return nil
		case !out.started: // so that it can still be a problem
			w.Header().Del("Content-Disposition")
			return one.problem(err)
		}
		in := exchange.From(r.Context())
		in.Err, in.Status = err, http.StatusInternalServerError
		if errors.Is(in.Connection.Err(), context.Canceled) {
			in.Status = exchange.StatusClientGone
		}
		panic(http.ErrAbortHandler)
	})
}

// export writes all books to out, and nothing before the first piece is full or the last book is there.
func (t *Transfers) export(ctx context.Context, file fileType, out io.Writer) error {
	buffer := bufio.NewWriterSize(out, exportBuffer)
	writer, err := file.open(buffer)
	if err != nil {
		return err
	}
	if err := t.store.Export(ctx, writer.Write); err != nil {
		return err
	}
	if err := writer.Close(); err != nil {
		return err
	}
	return buffer.Flush()
}

// exportQuery is what the parameters of an export say.
type exportQuery struct {
	format string // "" leaves it to the client's Accept headers
}

// exportParameters are the parameters of an export, each with what it sets.
var exportParameters = query.Table[exportQuery]{
	"format": func(q *exportQuery, v string) error { return query.OneOf(&q.format, v, formats()...) },
}

// formats are the values of the parameter.
func formats() []string {
	var names []string
	for _, file := range fileTypes {
		if file.format != "" {
			names = append(names, file.format)
		}
	}
	return names
}

// chooseFileType takes the type that the query names, or without one what the client's Accept headers like best.
func chooseFileType(r *http.Request) (fileType, error) {
	var chosen exportQuery
	if err := query.Read(&chosen, exportParameters, r.URL.RawQuery); err != nil {
		return fileType{}, err
	}
	if chosen.format != "" {
		i := slices.IndexFunc(fileTypes, func(file fileType) bool { return file.format == chosen.format })
		return fileTypes[i], nil
	}
	accept, best, most := r.Header.Values("Accept"), fileType{}, 0.0
	for _, file := range fileTypes {
		if q := media.Acceptance(accept, file.mediaType); q > most {
			best, most = file, q
		}
	}
	if most == 0 {
		return fileType{}, &problem.Error{
			Kind:   problem.NotAcceptable,
			Detail: "The catalogue is exported as " + media.CSV + " or " + media.JSONLines + " only.",
		}
	}
	return best, nil
}
