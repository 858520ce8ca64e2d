package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/bookimport"
	"bookshelf/app/internal/httpapi/media"
)

const importTarget = "/api/v1/books/import"

// upload is an import of a file of the type.
func upload(query, contentType, body string) request {
	return request{method: "POST", target: importTarget + query, header: http.Header{"Content-Type": {contentType}}, body: body}
}

func TestAnImportHandsOnWhatTheRequestSays(t *testing.T) {
	t.Parallel()
	base := bookimport.Options{Name: "the request body", MaxFindings: 1000, Format: bookimport.CSV}
	for name, test := range map[string]struct {
		query, contentType string
		change             func(*bookimport.Options)
	}{
		"CSV":                     {"", "text/csv", func(*bookimport.Options) {}},
		"CSV with its parameters": {"", "text/csv; charset=UTF-8; header=present", func(*bookimport.Options) {}},
		"JSON lines":              {"", "application/jsonl", func(o *bookimport.Options) { o.Format = bookimport.JSONLines }},
		"the other name":          {"", "application/x-ndjson", func(o *bookimport.Options) { o.Format = bookimport.JSONLines }},
		"updating":                {"?on_conflict=update", "text/csv", func(o *bookimport.Options) { o.OnConflict = "update" }},
		"a dry run":               {"?dry_run=true", "text/csv", func(o *bookimport.Options) { o.DryRun = true }},
		"no dry run":              {"?dry_run=false", "text/csv", func(*bookimport.Options) {}},
		"exactly":                 {"?exact=true", "text/csv", func(o *bookimport.Options) { o.Exact = true }},
		"without bad ISBNs":       {"?drop_bad_isbn=true", "text/csv", func(o *bookimport.Options) { o.DropBadISBN = true }},
		"other separators": {"?author_separator=+%26+&delimiter=%3B", "text/csv",
			func(o *bookimport.Options) { o.AuthorSeparator, o.Delimiter = " & ", ';' }},
		"tabs": {`?delimiter=\t`, "text/csv", func(o *bookimport.Options) { o.Delimiter = '\t' }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.importer.report = bookimport.Report{Rows: 1, Inserted: 1}
			w := b.do(t, upload(test.query, test.contentType, "title\n"))
			if w.Code != 200 || !strings.Contains(w.Body.String(), `"inserted":1`) {
				t.Errorf("%d %s, want 200 with the report", w.Code, w.Body)
			}
			want := base
			test.change(&want)
			if diff := gocmp.Diff(want, b.importer.opts); diff != "" || b.importer.read != "title\n" {
				t.Errorf("read %q with options (-want +got):\n%s", b.importer.read, diff)
			}
		})
	}
}

func TestAnImportThatIsRefused(t *testing.T) {
	t.Parallel()
	inInput := func(err error) error { return &bookimport.InputError{Name: "the request body", Err: err} }
	for name, test := range map[string]struct {
		request request
		err     error // of the importer
		status  int
		want    string // in the answer
	}{
		"JSON":      {upload("", "application/json", "{}"), nil, 415, "must be text/csv or application/jsonl or application/x-ndjson"},
		"a form":    {upload("", "multipart/form-data; boundary=x", "x"), nil, 415, "must be text/csv"},
		"Latin-1":   {upload("", "text/csv; charset=latin1", "x"), nil, 415, `charset=\"latin1\"`},
		"no header": {upload("", "text/csv; header=absent", "x"), nil, 415, `header=\"absent\"`},
		"compressed": {request{method: "POST", target: importTarget, body: "x", header: http.Header{
			"Content-Type": {"text/csv"}, "Content-Encoding": {"gzip"}}}, nil, 415, "must not be compressed"},
		"HTML is wanted": {request{method: "POST", target: importTarget, body: "x", header: http.Header{
			"Content-Type": {"text/csv"}, "Accept": {"text/html"}}}, nil, 406, "not-acceptable"},
		"an unknown parameter": {upload("?map=x", "text/csv", "x"), nil, 400,
			"those are author_separator, delimiter, drop_bad_isbn, dry_run, exact, on_conflict"},
		"several mistakes": {upload("?on_conflict=ask&dry_run=1&delimiter=ab", "text/csv", "x"), nil, 400,
			`{"parameter":"delimiter","detail":"must be one ASCII character other than a quotation mark, is \"ab\""},` +
				`{"parameter":"dry_run","detail":"must be one of true, false"},` +
				`{"parameter":"on_conflict","detail":"must be skip, update or fail, is \"ask\""}`},
		"too large":        {upload("", "text/csv", strings.Repeat("x", 4097)), nil, 413, "larger than 4096 bytes"},
		"an empty file":    {upload("", "text/csv", " "), inInput(errors.New("the file is empty")), 400, "the file is empty."},
		"a missing column": {upload("", "text/csv", "x"), inInput(&bookimport.HeaderError{Problem: "no title", Remedy: "--map"}), 400, "no title."},
		"no database":      {upload("", "text/csv", "x"), fmt.Errorf("begin: %w", book.ErrUnavailable), 503, "unavailable"},
		"a mistake":        {upload("", "text/csv", "x"), errors.New("hunter2"), 500, "internal"},
		"duplicates":       {upload("", "text/csv", "x"), bookimport.ErrDuplicates, 409, "import-duplicates"},
		"another method":   {request{method: "GET", target: importTarget}, nil, 405, "method-not-allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.importer.err = test.err
			b.importer.report = bookimport.Report{Rows: 3, Duplicates: 2}
			w := b.do(t, test.request)
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.want) || w.Header().Get("Content-Type") != media.Problem {
				t.Errorf("%d %s, want a %d problem with %s", w.Code, w.Body, test.status, test.want)
			}
			if strings.Contains(w.Body.String(), "--map") || strings.Contains(w.Body.String(), "hunter2") {
				t.Errorf("the answer tells what is no business of a client: %s", w.Body)
			}
			if (test.status == 409) != strings.Contains(w.Body.String(), `"report":{`) {
				t.Errorf("%s: a report belongs to duplicates alone", w.Body)
			}
			b.wantRoom(t)
		})
	}
}

// A body of unknown length is found to be too large only while it is read.
func TestAnImportOfUnknownLengthIsLimitedToo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	address := b.listen(t, nil)
	body := struct{ *strings.Reader }{strings.NewReader(strings.Repeat("x", 5000))} // hides its length from the client
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+importTarget, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/csv")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 413 || !res.Close {
		t.Errorf("%s, the connection is closed: %t; want 413 and true", res.Status, res.Close)
	}
}

func TestImportsAndExportsShareTheirPlaces(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.store.exportEnd = func(context.Context) error {
		if w := b.do(t, upload("", "text/csv", "x")); w.Code != 503 {
			t.Errorf("an import while an export is under way: %d, want 503", w.Code)
		}
		return nil
	}
	if w := b.do(t, request{method: "GET", target: exportTarget}); w.Code != 200 {
		t.Errorf("the export: %d", w.Code)
	}
}
