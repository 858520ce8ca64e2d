package httpapi

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestTheDescriptionIsServedToEverybody(t *testing.T) {
	t.Parallel()
	b := guarded(t, AuthRequired)
	w := b.do(t, request{method: "GET", target: "/openapi.yaml"})
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/yaml" || !bytes.Equal(w.Body.Bytes(), openAPI) {
		t.Errorf("%d, %s, %d bytes; want the document", w.Code, w.Header().Get("Content-Type"), w.Body.Len())
	}
	again := request{
		method: "GET",
		target: "/openapi.yaml",
		header: http.Header{"If-None-Match": {w.Header().Get("ETag")}},
	}
	if w := b.do(t, again); w.Code != 304 || w.Body.Len() != 0 {
		t.Errorf("with its tag: %d and %d bytes, want 304 and none", w.Code, w.Body.Len())
	}
	other := request{method: "GET", target: "/openapi.yaml", header: http.Header{"If-None-Match": {`W/"other"`}}}
	if w := b.do(t, other); w.Code != 200 {
		t.Errorf("with another tag: %d, want 200", w.Code)
	}
}

func TestThePageConsistsOfFilesThatAreThere(t *testing.T) {
	t.Parallel()
	b := guarded(t, AuthRequired)
	for name, f := range docsFiles() {
		plain := string(f.body)
		if f.compressed {
			plain = inflate(t, f.body)
		}
		target := strings.TrimSuffix("/docs/"+name, "/")
		for accept, compressed := range map[string]bool{
			"": false, "br, gzip": true, "gzip;q=0": false, "identity": false, "gzip;q=0.5, *;q=0": true,
		} {
			w := b.do(t, request{method: "GET", target: target, header: http.Header{"Accept-Encoding": {accept}}})
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
		if w := b.do(t, request{method: "GET", target: "/docs/" + name}); w.Code != 404 {
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

// Whoever asks for large files often must not get past the limits that requests have.
func TestThePageIsNoProbe(t *testing.T) {
	t.Parallel()
	b := setup(t, func(o *Options) { o.MaxInFlight = 1 })
	if !b.api.requests.take("another client", 1) {
		t.Fatal("there is no room at all")
	}
	for target, want := range map[string]int{
		"/docs": 503, "/docs/swagger-ui.css": 503, "/openapi.yaml": 503, "/livez": 200,
	} {
		if w := b.do(t, request{method: "GET", target: target}); w.Code != want {
			t.Errorf("%s while the service is full: %d, want %d", target, w.Code, want)
		}
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
