package httpapi

import (
	"bytes"
	"net/http"
	"net/netip"
	"testing"
)

func TestTheDescriptionIsServedToEverybody(t *testing.T) {
	t.Parallel()
	b := guarded(t, AuthRequired)
	w := b.do(t, request{method: "GET", target: "/openapi.yaml"})
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/yaml" || !bytes.Equal(w.Body.Bytes(), openAPI(t)) {
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

// Whoever asks for large files often must not get past the limits that requests have.
func TestThePageIsNoProbe(t *testing.T) {
	t.Parallel()
	b := setup(t, func(o *Options) { o.Guard.MaxInFlight = 1 })
	other := b.api.guard.Load(netip.MustParseAddr("203.0.113.7"), false)
	if err := other.Admit(); err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]int{
		"/docs": 503, "/docs/swagger-ui.css": 503, "/openapi.yaml": 503, "/livez": 200,
	} {
		if w := b.do(t, request{method: "GET", target: target}); w.Code != want {
			t.Errorf("%s while the service is full: %d, want %d", target, w.Code, want)
		}
	}
}
