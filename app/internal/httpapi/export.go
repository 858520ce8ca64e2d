package httpapi

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"

	"bookshelf/app/internal/bookexport"
)

// The types of files of books, for exports and imports alike. JSON lines go by two names, neither of them registered.
const (
	csvType    = "text/csv"
	jsonlType  = "application/jsonl"
	ndjsonType = "application/x-ndjson"
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
	{"csv", csvType, "; charset=utf-8; header=present", ".csv", bookexport.NewCSV}, // RFC 4180, section 3
	{"jsonl", jsonlType, "", ".jsonl", newJSONLines},
	{"", ndjsonType, "", ".ndjson", newJSONLines},
}

func newJSONLines(out io.Writer) (bookexport.Writer, error) { return bookexport.NewJSONLines(out), nil }

// describe says what the body is.
func (f fileType) describe(h http.Header) {
	h.Set("Content-Type", f.mediaType+f.params)
	h.Set("Content-Disposition", `attachment; filename="books`+f.extension+`"`)
}

// exportBuffer is how much of an export is sent at once.
const exportBuffer = 64 << 10

// handleBookExport answers 200 with the whole catalogue as a file, or 400, 406, 503. An export that fails when the answer has
// begun is cut off, so that no client takes it for complete.
func (a *API) handleBookExport() http.Handler {
	return a.handle(func(w http.ResponseWriter, r *http.Request) error {
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
		t, done, err := a.beginTransfer(w, r)
		if err != nil {
			return err
		}
		defer done()
		out := &pacedWriter{transfer: t, out: w}
		file.describe(w.Header())
		err = a.export(t.ctx, file, out)
		switch {
		case err == nil:
			return nil
		case !out.started: // so that it can still be a problem
			w.Header().Del("Content-Disposition")
			return t.problem(err)
		}
		in := infoFrom(r.Context())
		in.err, in.status = err, http.StatusInternalServerError
		if errors.Is(in.connection.Err(), context.Canceled) {
			in.status = statusClientGone
		}
		panic(http.ErrAbortHandler)
	})
}

// export writes all books to out, and nothing before the first piece is full or the last book is there.
func (a *API) export(ctx context.Context, file fileType, out io.Writer) error {
	buffer := bufio.NewWriterSize(out, exportBuffer)
	writer, err := file.open(buffer)
	if err != nil {
		return err
	}
	if err := a.Store.Export(ctx, writer.Write); err != nil {
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
var exportParameters = parameterTable[exportQuery]{
	"format": func(q *exportQuery, v string) error { return oneOf(&q.format, v, formats()...) },
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
	var query exportQuery
	if err := readParameters(&query, exportParameters, r.URL.RawQuery); err != nil {
		return fileType{}, err
	}
	if query.format != "" {
		i := slices.IndexFunc(fileTypes, func(file fileType) bool { return file.format == query.format })
		return fileTypes[i], nil
	}
	accept, best, most := r.Header.Values("Accept"), fileType{}, 0.0
	for _, file := range fileTypes {
		if q := acceptance(accept, file.mediaType); q > most {
			best, most = file, q
		}
	}
	if most == 0 {
		return fileType{}, &apiError{
			kind:   kindNotAcceptable,
			detail: "The catalogue is exported as " + csvType + " or " + jsonlType + " only.",
		}
	}
	return best, nil
}
