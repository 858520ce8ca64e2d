package guard

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"
)

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
			g := New(Options{TrustedProxies: proxies}, time.Now, nil)
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/livez", nil)
			r.RemoteAddr = test.remote
			r.Header["X-Forwarded-For"] = test.forwarded
			if got := g.ClientAddress(r).String(); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestANetworkOfIPv6IsOneClient(t *testing.T) {
	t.Parallel()
	key := func(text string) string { return keyOf(netip.MustParseAddr(text)) }
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
	g := New(Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, time.Now, nil)
	f.Fuzz(func(t *testing.T, forwarded string) {
		address := func(forwarded string) netip.Addr {
			header := http.Header{"X-Forwarded-For": {forwarded}}
			return g.ClientAddress(&http.Request{RemoteAddr: "10.0.0.1:1", Header: header})
		}
		got := address(forwarded)
		if !got.IsValid() || got.Zone() != "" || got.Is4In6() {
			t.Fatalf("%q names %v", forwarded, got)
		}
		if other := address("198.51.100.1, " + forwarded); other != got && !g.trusted(got) {
			t.Errorf("%q names %v, but behind another address it names %v", forwarded, got, other)
		}
	})
}
