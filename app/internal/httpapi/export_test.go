package httpapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/httpapi/media"
)

const exportTarget = "/api/v1/books/export"

func TestAnExportHasTheTypeThatIsAskedFor(t *testing.T) {
	t.Parallel()
	csv, jsonl := "text/csv; charset=utf-8; header=present", "application/jsonl"
	for name, test := range map[string]struct {
		query, accept string
		contentType   string // "" is a 406
		file          string
	}{
		"nothing is asked for":            {"", "", csv, "books.csv"},
		"anything":                        {"", "*/*", csv, "books.csv"},
		"CSV":                             {"", "text/csv", csv, "books.csv"},
		"JSON lines":                      {"", "application/jsonl", jsonl, "books.jsonl"},
		"JSON lines by their other name":  {"", "application/x-ndjson", "application/x-ndjson", "books.ndjson"},
		"JSON lines rather than CSV":      {"", "text/csv;q=0.5, application/jsonl", jsonl, "books.jsonl"},
		"JSON lines rather than anything": {"", "*/*;q=0.1, application/jsonl;q=0.2", jsonl, "books.jsonl"},
		"anything but CSV":                {"", "*/*, text/csv;q=0", jsonl, "books.jsonl"},
		"any text":                        {"", "text/*", csv, "books.csv"},
		"JSON":                            {"", "application/json", "", ""},
		"the parameter":                   {"?format=jsonl", "", jsonl, "books.jsonl"},
		"the parameter before Accept":     {"?format=jsonl", "text/csv", jsonl, "books.jsonl"},
		"the parameter for CSV":           {"?format=csv", "application/json", csv, "books.csv"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{}
			if test.accept != "" {
				header.Set("Accept", test.accept)
			}
			w := setupWith(t, "Emma").do(t, request{method: "GET", target: exportTarget + test.query, header: header})
			if test.contentType == "" {
				if w.Code != 406 || w.Header().Get("Content-Type") != media.Problem {
					t.Errorf("%d of %s, want a 406 problem", w.Code, w.Header().Get("Content-Type"))
				}
				return
			}
			if got := w.Header().Get("Content-Type"); w.Code != 200 || got != test.contentType {
				t.Errorf("%d of %s, want 200 of %s", w.Code, got, test.contentType)
			}
			if got, want := w.Header().Get("Content-Disposition"), `attachment; filename="`+test.file+`"`; got != want {
				t.Errorf("Content-Disposition = %s, want %s", got, want)
			}
			if !strings.Contains(w.Body.String(), "Emma") || w.Header().Get("Vary") != "Accept" {
				t.Errorf("Vary is %q, the body %q", w.Header().Get("Vary"), w.Body)
			}
		})
	}
}

func setupWith(t *testing.T, titles ...string) *bundle {
	t.Helper()
	b := setup(t)
	b.add(t, titles...)
	return b
}

func TestAnExportRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	b := setupWith(t, "Emma")
	for query, want := range map[string]string{
		"?format=xml":            `"parameter":"format","detail":"must be one of csv, jsonl"`,
		"?format=":               `must not be empty`,
		"?format=csv&format=csv": `must be given once`,
		"?author=x":              `is not a parameter here; those are format`,
	} {
		w := b.do(t, request{method: "GET", target: exportTarget + query})
		if w.Code != 400 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s, want a 400 with %s", query, w.Code, w.Body, want)
		}
	}
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
		w := b.do(t, request{method: method, target: exportTarget, body: minimalBook})
		if got := w.Header().Get("Allow"); w.Code != 405 || got != "GET, HEAD, OPTIONS" {
			t.Errorf("%s: %d, Allow %q, want a 405", method, w.Code, got)
		}
	}
}

func TestTheHeadOfAnExportCostsNothing(t *testing.T) {
	t.Parallel()
	b := setupWith(t, "Emma")
	b.store.hook = func(context.Context) error { t.Error("the store was asked"); return nil }
	w := b.do(t, request{method: "HEAD", target: exportTarget})
	if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), media.CSV) || w.Body.Len() > 0 {
		t.Errorf("%d of %s with %d bytes", w.Code, w.Header().Get("Content-Type"), w.Body.Len())
	}
}

// What fails before the first piece is sent is a problem like any other.
func TestAnExportThatDoesNotBeginIsAProblem(t *testing.T) {
	t.Parallel()
	b := setupWith(t, "Emma")
	b.store.exportEnd = func(context.Context) error { return book.ErrUnavailable }
	w := b.do(t, request{method: "GET", target: exportTarget})
	if w.Code != 503 || w.Header().Get("Content-Type") != media.Problem || w.Header().Get("Content-Disposition") != "" ||
		strings.Contains(w.Body.String(), "Emma") {
		t.Errorf("%d %v %s, want a 503 problem alone", w.Code, w.Header(), w.Body)
	}
	b.wantRoom(t)
}

// A client must not take the first half of an export for the whole.
func TestAnExportThatBreaksIsCutOff(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		end    func(context.Context) error
		change func(*Options)
		err    string
	}{
		"the database is gone": {func(context.Context) error { return errors.New("connection reset") }, func(*Options) {}, "connection reset"},
		"a panic":              {func(context.Context) error { panic("nil map") }, func(*Options) {}, "nil map"},
		"it takes too long": {
			func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
			func(o *Options) { o.Transfers.Timeout = time.Second }, "deadline exceeded",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, test.change)
			for range 20 { // more than one piece
				_, err := b.store.Create(t.Context(), book.Draft{
					Title: "Emma", Authors: []string{"Jane Austen"}, Description: strings.Repeat("x", 10_000),
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			b.store.exportEnd = test.end
			res, err := http.Get("http://" + b.listen(t, nil) + exportTarget)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if res.StatusCode != 200 || len(body) < 64<<10 || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s with %d bytes, %v; want an answer that begins and breaks off", res.Status, len(body), err)
			}
			lines := b.logs.lines(t)
			last := lines[len(lines)-1]
			if text, _ := last["error"].(string); last["status"] != 500.0 || !strings.Contains(text, test.err) {
				t.Errorf("logged as %v, want a 500 for %q", last, test.err)
			}
			b.wantRoom(t)
		})
	}
}

func TestAClientThatLeavesAnExportIsNoMistakeOfOurs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 20 {
		b.add(t, strings.Repeat("x", 10_000))
	}
	ctx, cancel := context.WithCancel(t.Context())
	b.store.exportEnd = func(ctx context.Context) error { cancel(); <-ctx.Done(); return ctx.Err() }
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.listen(t, nil)+exportTarget, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := http.DefaultClient.Do(req); err == nil {
		_, err = io.ReadAll(res.Body)
		res.Body.Close()
		if err == nil {
			t.Fatal("the export came to its end, so nothing was tried")
		}
	}
	for deadline := time.Now().Add(20 * time.Second); len(b.logs.lines(t)) == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the request is not logged")
		}
	}
	if line := b.logs.lines(t)[0]; line["status"] != 499.0 {
		t.Errorf("logged as %v, want 499", line)
	}
}

func TestOnlySoManyTransfersAreAdmitted(t *testing.T) {
	t.Parallel()
	b := setupWith(t, "Emma")
	busy := false
	b.store.exportEnd = func(context.Context) error {
		if busy {
			return nil
		}
		busy = true
		w := b.do(t, request{method: "GET", target: exportTarget})
		wantGolden(t, "too-many-transfers.golden", dump(t, w))
		return nil
	}
	for range 2 { // the place is free again
		if w := b.do(t, request{method: "GET", target: exportTarget}); w.Code != 200 {
			t.Errorf("%d %s, want 200", w.Code, w.Body)
		}
	}
	if !busy {
		t.Error("nothing was tried")
	}
}

// wantRoom makes sure that no transfer is counted any more: one more is admitted.
func (b *bundle) wantRoom(t *testing.T) {
	t.Helper()
	b.store.hook, b.store.exportEnd = nil, nil
	if w := b.do(t, request{method: "GET", target: exportTarget, header: http.Header{"Accept": {"*/*"}}}); w.Code != 200 {
		t.Errorf("the next transfer: %d %s, want it admitted", w.Code, w.Body)
	}
}
