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
	b := setup(t, func(o *Options) { o.AddressLimit = limited("address", 2) })
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
		o.AddressLimit, o.TokenLimit = limited("address", 100), limited("token", 1)
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
	b := guarded(t, AuthRequired, func(o *Options) { o.AddressLimit = limited("address", 1) })
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
	b := setup(t, func(o *Options) { o.MaxInFlight = 4 }) // of which one address has half
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
	b := setup(t, func(o *Options) { o.MaxBodyBytesInFlight = 10_000 })
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
	if b.api.bodies.used != 0 || b.api.requests.used != 0 {
		t.Errorf("%d bytes of %d requests are held after the last", b.api.bodies.used, b.api.requests.used)
	}
}

func TestALargeAnswerIsRefusedWhenThereIsNoRoomButNotThatOfAChange(t *testing.T) {
	t.Parallel()
	b := setup(t, func(o *Options) { o.MaxBodyBytesInFlight = 1000 })
	b.api.bodies.take("192.0.2.1", 450) // the address of every request here
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
	if used := b.api.bodies.used; used != 450 {
		t.Errorf("%d bytes are held in the end, want the 450 of this test", used)
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

func TestClientAddress(t *testing.T) {
	t.Parallel()
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for name, test := range map[string]struct {
		remote    string
		forwarded []string
		want      string
	}{
		"a client that connects itself":      {"203.0.113.7:1234", nil, "203.0.113.7"},
		"a client that claims to be another": {"203.0.113.7:1234", []string{"198.51.100.1"}, "203.0.113.7"},
		"behind one proxy":                   {"10.0.0.1:1234", []string{"203.0.113.7"}, "203.0.113.7"},
		"behind two proxies":                 {"10.0.0.1:1234", []string{"203.0.113.7, 10.0.0.2"}, "203.0.113.7"},
		"what a client put in front":         {"10.0.0.1:1234", []string{"::1, 10.9.9.9, 203.0.113.7"}, "203.0.113.7"},
		"in several headers":                 {"10.0.0.1:1234", []string{"::1", "203.0.113.7", "10.0.0.2"}, "203.0.113.7"},
		"nothing but proxies":                {"10.0.0.1:1234", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		"a proxy that says nothing":          {"10.0.0.1:1234", nil, "10.0.0.1"},
		"what is no address":                 {"10.0.0.1:1234", []string{"203.0.113.7, unknown, 10.0.0.2"}, "10.0.0.2"},
		"an empty element":                   {"10.0.0.1:1234", []string{"203.0.113.7,"}, "10.0.0.1"},
		"with a port":                        {"10.0.0.1:1234", []string{"203.0.113.7:5555"}, "203.0.113.7"},
		"IPv6":                               {"[fd00::1]:1234", []string{"2001:db8::7"}, "2001:db8::7"},
		"IPv6 with a port":                   {"[fd00::1]:1234", []string{"[2001:db8::7]:5555"}, "2001:db8::7"},
		"IPv4 written as IPv6":               {"[::ffff:10.0.0.1]:1234", []string{"::ffff:203.0.113.7"}, "203.0.113.7"},
		"a zone":                             {"10.0.0.1:1234", []string{"fe80::1%eth0"}, "fe80::1"},
		"no TCP connection":                  {"@", []string{"203.0.113.7"}, "invalid IP"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(o *Options) { o.TrustedProxies = proxies })
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/livez", nil)
			r.RemoteAddr = test.remote
			r.Header["X-Forwarded-For"] = test.forwarded
			if got := b.api.clientAddress(r).String(); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// Nothing is believed unless a proxy is trusted, and then the limit is that of the client behind it.
func TestTheLimitIsThatOfTheClientBehindATrustedProxy(t *testing.T) {
	t.Parallel()
	for trusted, want := range map[string]int{"192.0.2.0/24": 200, "10.0.0.0/8": 429} { // requests come from 192.0.2.1
		b := setup(t, func(o *Options) {
			o.AddressLimit, o.TrustedProxies = limited("address", 1), []netip.Prefix{netip.MustParsePrefix(trusted)}
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

func TestANetworkOfIPv6IsOneClient(t *testing.T) {
	t.Parallel()
	key := func(text string) string { return clientKey(netip.MustParseAddr(text)) }
	if key("2001:db8::1") != key("2001:db8::ffff:1") || key("2001:db8::1") == key("2001:db8:0:1::1") {
		t.Errorf("%s, %s, %s", key("2001:db8::1"), key("2001:db8::ffff:1"), key("2001:db8:0:1::1"))
	}
	if key("192.0.2.1") == key("192.0.2.2") {
		t.Error("two IPv4 addresses are one client")
	}
}

// Whatever the header says, the client is one address, none of the proxies in front of it unless there is nothing else,
// and what stands to the left of it does not matter.
func FuzzClientAddress(f *testing.F) {
	for _, seed := range []string{
		"", "203.0.113.7", "10.0.0.1, 203.0.113.7", "::ffff:1.2.3.4,", "[::1]:80", "fe80::1%eth0", "a\nb",
	} {
		f.Add(seed)
	}
	api := New(Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	f.Fuzz(func(t *testing.T, forwarded string) {
		address := func(forwarded string) netip.Addr {
			header := http.Header{"X-Forwarded-For": {forwarded}}
			return api.clientAddress(&http.Request{RemoteAddr: "10.0.0.1:1", Header: header})
		}
		got := address(forwarded)
		if !got.IsValid() || got.Zone() != "" || got.Is4In6() {
			t.Fatalf("%q names %v", forwarded, got)
		}
		if other := address("198.51.100.1, " + forwarded); other != got && !api.trusted(got) {
			t.Errorf("%q names %v, but behind another address it names %v", forwarded, got, other)
		}
	})
}
