package description

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"bookshelf/app/internal/httpapi/exchange"
)

// get asks for a part of the page; accept is the header Accept-Encoding.
func get(t *testing.T, name, accept string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/docs/", nil)
	r.SetPathValue("file", name)
	r.Header.Set("Accept-Encoding", accept)
	w := httptest.NewRecorder()
	rec, r := exchange.Begin(w, r, &exchange.Info{})
	ServePage().ServeHTTP(rec, r)
	return w
}

func TestThePageConsistsOfFilesThatAreThere(t *testing.T) {
	t.Parallel()
	for name, f := range docsFiles() {
		plain := string(f.body)
		if f.compressed {
			plain = inflate(t, f.body)
		}
		target := "the file " + name
		for accept, compressed := range map[string]bool{
			"": false, "br, gzip": true, "gzip;q=0": false, "identity": false, "gzip;q=0.5, *;q=0": true,
		} {
			w := get(t, name, accept)
			got := w.Body.String()
			if coding := w.Header().Get("Content-Encoding"); (coding == "gzip") != (compressed && f.compressed) {
				t.Errorf("%s for %q: Content-Encoding %q", target, accept, coding)
			} else if coding == "gzip" {
				got = inflate(t, w.Body.Bytes())
			}
			if w.Code != 200 || got != plain || w.Header().Get("Content-Type") != f.contentType {
				t.Errorf(
					"%s for %q: %d, %s, %d bytes",
					target,
					accept,
					w.Code,
					w.Header().Get("Content-Type"),
					len(got),
				)
			}
			if got := w.Header().Get("Content-Security-Policy"); got != docsPolicy {
				t.Errorf("%s: Content-Security-Policy = %q", target, got)
			}
		}
	}
	for _, name := range []string{"nothing.js", "swagger-ui.css.gz", "..", "swagger-ui.js"} {
		if w := get(t, name, ""); w.Code != 404 {
			t.Errorf("%s: %d, want 404", name, w.Code)
		}
	}
}

// The page names its parts itself; nothing in it may come from elsewhere, nor stand within it.
func TestThePageHasNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	page := string(docsPage)
	for _, found := range strings.FieldsFunc(page, func(r rune) bool { return r == '"' }) {
		if strings.Contains(found, "//") {
			t.Errorf("the page refers to %s", found)
		}
	}
	for _, tag := range []string{"<style", "style=", "onload=", "<script>"} {
		if strings.Contains(page, tag) {
			t.Errorf("the page has %s, which its policy forbids", tag)
		}
	}
	if strings.Contains(docsPolicy, "unsafe") {
		t.Errorf("the policy allows what is unsafe: %s", docsPolicy)
	}
}

func inflate(t *testing.T, body []byte) string {
	t.Helper()
	zr, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(zr)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}
