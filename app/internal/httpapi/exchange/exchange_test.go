package exchange

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"bookshelf/app/internal/httpapi/guard"
	"bookshelf/app/internal/httpapi/problem"
)

// begin starts a request where all clients together may hold so many bytes, of which another one holds five.
func begin(t *testing.T, body string, maxHeld int64) (*Recorder, *http.Request, *Info) {
	t.Helper()
	g := guard.New(guard.Options{MaxInFlight: 2, MaxBodyBytesInFlight: maxHeld}, time.Now, nil)
	if err := g.Load(netip.MustParseAddr("203.0.113.7"), false).HoldAnswer(5); err != nil {
		t.Fatal(err)
	}
	in := &Info{ID: "test", Client: netip.MustParseAddr("203.0.113.8")}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", strings.NewReader(body))
	r.ContentLength = -1 // as that of a body whose length is not known
	rec, r := Begin(httptest.NewRecorder(), r, in)
	in.Load = g.Load(in.Client, false)
	t.Cleanup(in.Load.Release)
	return rec, r, in
}

func TestTheOutcomeIsTheAnswerUnlessSomethingOverridesIt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		sent     []int
		override int
		want     int
	}{
		"nothing is sent":            {nil, 0, 200},
		"an error":                   {[]int{404}, 0, 404},
		"an early hint, then a book": {[]int{103, 201}, 0, 201},
		"an answer that broke off":   {[]int{200}, 500, 500},
	} {
		rec, _, in := begin(t, "", 100)
		for _, status := range test.sent {
			rec.WriteHeader(status)
		}
		in.Status = test.override
		if got := rec.Outcome(); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}

func TestABodyIsReadWithinItsBounds(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		body    string
		maxHeld int64
		want    problem.Kind // the zero kind is none
	}{
		"as large as it may be":       {"0123456789", 100, problem.Kind{}},
		"larger":                      {"0123456789x", 100, problem.BodyTooLarge},
		"while others hold much room": {"0123456789", 8, problem.Overloaded},
	} {
		rec, r, _ := begin(t, test.body, test.maxHeld)
		body, err := ReadBody(rec, r, 10)
		var got problem.Kind
		if e, ok := errors.AsType[*problem.Error](err); ok {
			got = e.Kind
		}
		if got != test.want || err == nil && string(body) != test.body {
			t.Errorf("%s: %q, %v", name, body, err)
		}
	}
}
