package guard

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// ClientAddress returns where a request comes from: the other end of the connection or, where that is a proxy that is
// trusted, the last address in X-Forwarded-For that is none. Everything to the left of it can be the client's
// invention. The zero address stands for one that cannot be read.
func (g *Guard) ClientAddress(r *http.Request) netip.Addr {
	end, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{} // not a TCP connection
	}
	client := end.Addr().Unmap()
	if !g.trusted(client) {
		return client
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, text := range slices.Backward(hops) {
		hop, ok := parseHop(text)
		if !ok {
			return client // the last proxy that wrote something readable answers for it
		}
		client = hop
		if !g.trusted(client) {
			break
		}
	}
	return client
}

// parseHop reads an address as proxies write it, some with a port.
func parseHop(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	if addr, err := netip.ParseAddr(text); err == nil {
		return addr.Unmap().WithZone(""), true
	}
	if end, err := netip.ParseAddrPort(text); err == nil {
		return end.Addr().Unmap().WithZone(""), true
	}
	return netip.Addr{}, false
}

func (g *Guard) trusted(addr netip.Addr) bool {
	for _, prefix := range g.opts.TrustedProxies {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// keyOf is what a client is known by. Of an IPv6 address that is the network of 64 bits, because each of its hosts
// may use as many addresses as it likes.
func keyOf(addr netip.Addr) string {
	if addr.Is6() {
		if prefix, err := addr.Prefix(64); err == nil {
			return prefix.String()
		}
	}
	return addr.String()
}
