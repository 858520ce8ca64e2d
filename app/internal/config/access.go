package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Access says who may use the API, and how much.
type Access struct {
	Auth           string         // "required", "public-read" or "off"
	AddressLimit   *Rate          // of each address; nil for none
	TokenLimit     *Rate          // of each token; nil for none
	TrustedProxies []netip.Prefix // whose X-Forwarded-For is believed
	CORSOrigins    []string       // whose pages may use the API; "*" for all
}

// Rate is a number of requests in a time.
type Rate struct {
	Requests int
	Window   time.Duration // whole seconds
}

// String writes the rate as it is configured.
func (r *Rate) String() string {
	if r == nil {
		return "off"
	}
	return fmt.Sprintf("%d/%v", r.Requests, r.Window)
}

// access reads who may use the API. The default refuses: a service that somebody forgot to configure must not be open.
// It limits no address, because behind a proxy that is not in the list of those trusted all clients have the proxy's.
func (b *binder) access(c *Access) {
	b.oneOf(&c.Auth, "AUTH", "required", "required", "public-read", "off")
	b.rate(&c.AddressLimit, "RATE_LIMIT_ADDRESS")
	b.rate(&c.TokenLimit, "RATE_LIMIT_TOKEN")
	b.prefixes(&c.TrustedProxies, "TRUSTED_PROXIES")
	b.origins(&c.CORSOrigins, "CORS_ORIGINS")
}

const (
	maxRateRequests = 1_000_000
	maxRateWindow   = 24 * time.Hour
)

// rate reads N/DURATION or off, which is the default.
func (b *binder) rate(dst **Rate, name string) {
	if text, ok := b.get(name, "off"); ok && text != "off" {
		requests, window, _ := strings.Cut(text, "/")
		n, err := strconv.Atoi(requests)
		d, durationErr := time.ParseDuration(window)
		switch {
		case err != nil || durationErr != nil:
			b.problem("%s: must be off or requests/duration such as 600/1m, is %q", name, text)
		case n < 1 || n > maxRateRequests:
			b.problem("%s: must allow from 1 to %d requests, allows %d", name, maxRateRequests, n)
		case d < time.Second || d > maxRateWindow || d%time.Second != 0:
			b.problem("%s: its duration must be whole seconds from 1s to %v, is %v", name, maxRateWindow, d)
		default:
			*dst = &Rate{Requests: n, Window: d}
		}
	}
	b.remember(Variable{Name: name, Default: "off", Value: (*dst).String()})
}

// prefixes reads a comma-separated list of networks in CIDR notation and of single addresses. The default is none.
func (b *binder) prefixes(dst *[]netip.Prefix, name string) {
	var shown []string
	if text, ok := b.get(name, ""); ok && text != "" {
		for element := range strings.SplitSeq(text, ",") {
			prefix, err := parsePrefix(strings.TrimSpace(element))
			if err != nil {
				b.problem("%s: must be addresses and networks such as 10.0.0.0/8, separated by commas; %q is none",
					name, element)
				continue
			}
			*dst = append(*dst, prefix)
			shown = append(shown, prefix.String())
		}
	}
	b.remember(Variable{Name: name, Value: strings.Join(shown, ",")})
}

// parsePrefix refuses a network with bits behind its length: 10.0.0.1/8 may have been meant as /32.
func parsePrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil || prefix != prefix.Masked() || prefix.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("not a network: %q", text)
	}
	return prefix, nil
}

// origins reads a comma-separated list of origins (RFC 6454, section 6.2), or * for all. The default is none.
func (b *binder) origins(dst *[]string, name string) {
	if text, ok := b.get(name, ""); ok && text != "" {
		for element := range strings.SplitSeq(text, ",") {
			origin := strings.TrimSpace(element)
			if !isOrigin(origin) && text != "*" {
				b.problem("%s: must be * or origins such as https://example.org, separated by commas; %q is none",
					name, element)
				continue
			}
			*dst = append(*dst, origin)
		}
	}
	b.remember(Variable{Name: name, Value: strings.Join(*dst, ",")})
}

// isOrigin knows the one form in which browsers send an origin; any other would never be the same as theirs.
func isOrigin(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.Hostname() != "" &&
		text == u.Scheme+"://"+u.Host && text == strings.ToLower(text) && !strings.Contains(text, "*")
}
