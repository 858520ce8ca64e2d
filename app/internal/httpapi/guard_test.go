package httpapi

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"bookshelf/app/internal/ratelimit"
)

func limited(name string, quota int) *ratelimit.Limiter {
	return ratelimit.New(ratelimit.Policy{Name: name, Quota: quota, Window: time.Minute})
}

func TestAnAddressBeyondItsLimitIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t, func(o *Options) { o.Guard.AddressLimit = limited("address", 2) })
	list := request{method: "GET", target: "/api/v1/books"}
	w := b.do(t, list)
	if got := w.Header().Get("RateLimit"); w.Code != 200 || got != `"address";r=1;t=30` {
		t.Errorf("first request: %d, RateLimit %s", w.Code, got)
	}
	if w := b.do(t, request{method: "GET", target: "/no/such/path"}); w.Code != 404 {
		t.Errorf("second request: %d, want 404", w.Code)
	}
	for _, r := range []request{list, {method: "GET", target: "/no/such"}, {method: "BREW", target: list.target}} {
		if w := b.do(t, r); w.Code != 429 {
			t.Errorf("%s %s: %d, want 429", r.method, r.target, w.Code)
		}
	}
	wantGolden(t, "rate-limited.golden", dump(t, b.do(t, list)))
	for _, path := range []string{"/livez", "/readyz", "/version"} {
		w := b.do(t, request{method: "GET", target: path})
		if w.Code != 200 || w.Header().Get("RateLimit") != "" {
			t.Errorf("%s: %d, RateLimit %q, want it never limited", path, w.Code, w.Header().Get("RateLimit"))
		}
	}
}

func TestATokenHasALimitOfItsOwn(t *testing.T) {
	t.Parallel()
	b := guarded(t, AuthRequired, func(o *Options) {
		o.Guard.AddressLimit, o.Guard.TokenLimit = limited("address", 100), limited("token", 1)
	})
	read := func(text string) *httptest.ResponseRecorder {
		return b.do(t, request{method: "GET", target: "/api/v1/books", header: bearer(text)})
	}
	w := read("admin")
	if got := strings.Join(w.Header().Values("RateLimit"), ", "); got != `"address";r=99;t=1, "token";r=0;t=60` {
		t.Errorf("RateLimit: %s", got)
	}
	if got := strings.Join(w.Header().Values("RateLimit-Policy"), ", "); got != `"address";q=100;w=60, "token";q=1;w=60` {
		t.Errorf("RateLimit-Policy: %s", got)
	}
	if w := read("admin"); w.Code != 429 || w.Header().Get("Retry-After") != "60" ||
		!strings.Contains(w.Body.String(), "This token") {
		t.Errorf("the same token again: %d, %s", w.Code, w.Body)
	}
	if w := read("books-read"); w.Code != 200 {
		t.Errorf("another token: %d, want 200", w.Code)
	}
}

// Guessing tokens is limited by address, and each guess that was refused so is not even looked up.
func TestGuessesAreLimitedBeforeTheyAreLookedUp(t *testing.T) {
	t.Parallel()
	b := guarded(t, AuthRequired, func(o *Options) { o.Guard.AddressLimit = limited("address", 1) })
	for _, want := range []int{401, 429, 429} {
		w := b.do(t, request{method: "GET", target: "/api/v1/books", header: bearer("guess")})
		if w.Code != want {
			t.Errorf("status %d, want %d", w.Code, want)
		}
	}
}

// parked makes the store hold requests until the function that it returns is called; entered gets a value for each.
func (b *bundle) parked() (entered <-chan struct{}, release func()) {
	in, out := make(chan struct{}), make(chan struct{})
	b.store.hook = func(context.Context) error {
		in <- struct{}{}
		<-out
		return nil
	}
	return in, func() { close(out) }
}

func TestBeyondTheLimitRequestsAreRefusedAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, func(o *Options) { o.Guard.MaxInFlight = 4 }) // of which one address has half
	entered, release := b.parked()
	list := request{method: "GET", target: "/api/v1/books"}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if w := b.do(t, list); w.Code != 200 {
				t.Errorf("within the limit: %d, want 200", w.Code)
			}
		})
		<-entered
	}
	wantGolden(t, "overloaded.golden", dump(t, b.do(t, list)))
	for _, path := range []string{"/livez", "/readyz", "/version"} {
		if w := b.do(t, request{method: "GET", target: path}); w.Code != 200 {
			t.Errorf("%s meanwhile: %d, want 200", path, w.Code)
		}
	}
	release()
	wg.Wait()
	b.store.hook = nil
	if w := b.do(t, list); w.Code != 200 {
		t.Errorf("afterwards: %d, want 200", w.Code)
	}
}

func TestManyLargeBodiesAtOnceAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t, func(o *Options) { o.Guard.MaxBodyBytesInFlight = 10_000 })
	entered, release := b.parked()
	create := request{
		method: "POST", target: "/api/v1/books",
		body: `{"title": "Dune", "authors": ["Frank Herbert"], "isbn13":` + strings.Repeat(" ", 3000) + `null}`,
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if w := b.do(t, create); w.Code != 201 {
			t.Errorf("the first: %d, want 201", w.Code)
		}
	})
	<-entered // the whole body is in memory
	w := b.do(t, create)
	if w.Code != 503 || !strings.Contains(w.Body.String(), "problem:overloaded") ||
		w.Header().Get("Connection") != "close" {
		t.Errorf("the second: %d %s", w.Code, w.Body)
	}
	release()
	wg.Wait()
	b.store.hook = nil
	if w := b.do(t, create); w.Code != 201 {
		t.Errorf("afterwards: %d, want 201", w.Code)
	}
	if got := b.room(); got != 10_000 {
		t.Errorf("after the last, there is room for %d bytes, want all", got)
	}
}

// room is how many bytes other clients can make the service hold.
func (b *bundle) room() (bytes int) {
	for client := netip.MustParseAddr("198.18.0.0"); ; client = client.Next() {
		load := b.api.guard.Load(client, false)
		defer load.Release()
		if load.HoldAnswer(1) != nil {
			return bytes
		}
		bytes++
	}
}

func TestALargeAnswerIsRefusedWhenThereIsNoRoomButNotThatOfAChange(t *testing.T) {
	t.Parallel()
	b := setup(t, func(o *Options) { o.Guard.MaxBodyBytesInFlight = 1000 })
	other := b.api.guard.Load(netip.MustParseAddr("192.0.2.1"), false) // the address of every request here
	if err := other.HoldAnswer(450); err != nil {
		t.Fatal(err)
	}
	create := request{method: "POST", target: "/api/v1/books", body: minimalBook}
	if w := b.do(t, create); w.Code != 201 { // its answer is beyond the half, but the book is there
		t.Errorf("create: %d %s, want 201", w.Code, w.Body)
	}
	if w := b.do(t, request{method: "GET", target: "/api/v1/books/1"}); w.Code != 503 {
		t.Errorf("read: %d, want 503", w.Code)
	}
	if w := b.do(t, request{method: "GET", target: "/readyz"}); w.Code != 200 {
		t.Errorf("a probe: %d, want 200", w.Code)
	}
	if got := b.room(); got != 550 {
		t.Errorf("in the end there is room for %d bytes, want all but the 450 of this test", got)
	}
}

func TestEveryAnswerTellsBrowsersToDoNothingWithIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for target, cacheControl := range map[string]string{
		"/api/v1/books": "private, no-cache", "/api/v1/books/7": "no-store",
		"/no/such/path": "no-store", "/livez": "no-store",
	} {
		h := b.do(t, request{method: "GET", target: target, header: http.Header{"Origin": {"https://a.example"}}}).
			Header()
		for name, want := range map[string]string{
			"X-Content-Type-Options":      "nosniff",
			"Content-Security-Policy":     "default-src 'none'; frame-ancestors 'none'",
			"Referrer-Policy":             "no-referrer",
			"Cache-Control":               cacheControl,
			"Access-Control-Allow-Origin": "",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s = %q, want %q", target, name, got, want)
			}
		}
	}
}

func TestPagesOfConfiguredOriginsMayUseTheAPI(t *testing.T) {
	t.Parallel()
	b := guarded(t, AuthRequired, func(o *Options) { o.CORSOrigins = []string{"https://a.example"} })
	preflight := func(origin string) http.Header {
		w := b.do(t, request{method: "OPTIONS", target: "/api/v1/books", header: http.Header{
			"Origin": {
				origin,
			}, "Access-Control-Request-Method": {"PUT"}, "Access-Control-Request-Headers": {"authorization,content-type"},
		}})
		if w.Code != 204 || w.Header().Get("Allow") == "" {
			t.Errorf("preflight from %s: %d, Allow %q", origin, w.Code, w.Header().Get("Allow"))
		}
		return w.Header()
	}
	h := preflight("https://a.example")
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": "https://a.example", "Access-Control-Allow-Methods": "PUT",
		"Access-Control-Allow-Headers": "authorization,content-type", "Access-Control-Max-Age": "600",
		"Access-Control-Allow-Credentials": "",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	for _, origin := range []string{"https://b.example", "http://a.example", "https://a.example.org", "null"} {
		if got := preflight(origin).Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("a page of %s is allowed as %s", origin, got)
		}
	}
	// A page must be able to read the refusal, too.
	w := b.do(t, request{method: "GET", target: "/api/v1/books", header: http.Header{"Origin": {"https://a.example"}}})
	if w.Code != 401 || w.Header().Get("Access-Control-Allow-Origin") != "https://a.example" ||
		!strings.Contains(w.Header().Get("Access-Control-Expose-Headers"), "Retry-After") {
		t.Errorf("without a token: %d, %v", w.Code, w.Header())
	}
}

// Nothing is believed unless a proxy is trusted, and then the limit is that of the client behind it.
func TestTheLimitIsThatOfTheClientBehindATrustedProxy(t *testing.T) {
	t.Parallel()
	for trusted, want := range map[string]int{"192.0.2.0/24": 200, "10.0.0.0/8": 429} { // requests come from 192.0.2.1
		b := setup(t, func(o *Options) {
			o.Guard.AddressLimit, o.Guard.TrustedProxies = limited("address", 1), []netip.Prefix{netip.MustParsePrefix(trusted)}
		})
		var last int
		for _, client := range []string{"203.0.113.7", "203.0.113.8"} {
			header := http.Header{"X-Forwarded-For": {client}}
			last = b.do(t, request{method: "GET", target: "/api/v1/books", header: header}).Code
		}
		if last != want {
			t.Errorf("with %s trusted, another client behind the same proxy: %d, want %d", trusted, last, want)
		}
		line := b.logs.lines(t)[0]
		if got, want := line["client_address"], map[int]string{200: "203.0.113.7", 429: "192.0.2.1"}[want]; got != want {
			t.Errorf("the log names the client %v, want %s", got, want)
		}
	}
}
