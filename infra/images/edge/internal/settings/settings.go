// Package settings reads the edge's configuration from the environment. There is no other: what changes while the edge runs
// is its slots, through the admin socket.
package settings

import (
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The ways to get certificates, as EDGE_TLS names them.
const (
	TLSOff      = "off"      // plain HTTP only
	TLSACME     = "acme"     // from an ACME directory, by http-01
	TLSInternal = "internal" // from an authority of the edge's own, kept with its data
	TLSFiles    = "files"    // from two files
)

// Settings are all variables. Times are as parsed; addresses are what net.Listen takes.
type Settings struct {
	HTTPAddr, HTTPSAddr, MetricsAddr string
	HTTPSPort                        int // where clients reach HTTPSAddr

	AdminSocket string
	Data        string // slots.json, and Caddy's certificates

	TLS           string
	Hosts         []string
	ACMEDirectory string
	ACMEEmail     string
	ACMERoots     string // PEM file, "" for the system's
	CertFile      string
	KeyFile       string
	RenewCheck    time.Duration // how often certificates are looked at

	ReadyPath string
	RetryFor  time.Duration
	Grace     time.Duration
	AccessLog bool
}

// InvalidError lists every problem at once, each with its variable.
type InvalidError struct{ Problems []string }

func (e *InvalidError) Error() string { return strings.Join(e.Problems, "\n") }

// Load reads the variables whose names begin with EDGE_ from an environment as os.Environ gives it. The error is an
// *InvalidError.
func Load(environ []string) (Settings, error) {
	b := &binder{environment: map[string]string{}}
	for _, line := range environ {
		if name, value, _ := strings.Cut(line, "="); strings.HasPrefix(name, "EDGE_") {
			b.environment[name] = value
		}
	}
	s := Settings{
		HTTPAddr:    b.address("EDGE_HTTP_ADDR", ":8080"),
		HTTPSAddr:   b.address("EDGE_HTTPS_ADDR", ":8443"),
		MetricsAddr: b.address("EDGE_METRICS_ADDR", ":9090"),
		HTTPSPort:   b.port("EDGE_HTTPS_PORT", 443),
		AdminSocket: b.path("EDGE_ADMIN_SOCKET", "/run/edge/admin.sock"),
		Data:        b.path("EDGE_DATA", "/data"),
		TLS:         b.oneOf("EDGE_TLS", TLSOff, TLSACME, TLSInternal, TLSFiles),
		ReadyPath:   b.path("EDGE_READY_PATH", "/readyz"),
		RetryFor:    b.duration("EDGE_RETRY_FOR", 5*time.Second, 100*time.Millisecond, time.Minute),
		Grace:       b.duration("EDGE_GRACE", 20*time.Second, time.Second, 10*time.Minute),
		AccessLog:   b.oneOf("EDGE_ACCESS_LOG", "off", "on") == "on",
	}
	// A unix socket's path is limited by the kernel; net.Listen would only say "invalid argument".
	if len(s.AdminSocket) > 100 {
		b.problem("EDGE_ADMIN_SOCKET", "must not be longer than 100 bytes, has %d", len(s.AdminSocket))
	}
	s.certificates(b)
	b.leftovers()
	if len(b.problems) > 0 {
		return Settings{}, &InvalidError{b.problems}
	}
	return s, nil
}

// certificates reads what belongs to a way of getting them. A variable of another way is a mistake: it would do nothing.
func (s *Settings) certificates(b *binder) {
	only := func(name string, ways ...string) bool {
		if slices.Contains(ways, s.TLS) {
			return true
		}
		if _, set := b.environment[name]; set {
			b.problem(name, "is only for EDGE_TLS=%s, which is %q", strings.Join(ways, " or "), s.TLS)
			delete(b.environment, name)
		}
		return false
	}
	if only("EDGE_HOSTS", TLSACME, TLSInternal) {
		s.hosts(b)
	}
	if only("EDGE_ACME_DIRECTORY", TLSACME) {
		s.ACMEDirectory = b.text("EDGE_ACME_DIRECTORY", "https://acme-v02.api.letsencrypt.org/directory")
		if u, err := url.Parse(s.ACMEDirectory); err != nil || u.Scheme != "https" || u.Host == "" {
			b.problem("EDGE_ACME_DIRECTORY", "must be an https URL, is %q", s.ACMEDirectory)
		}
	}
	if only("EDGE_ACME_EMAIL", TLSACME) {
		s.ACMEEmail = b.text("EDGE_ACME_EMAIL", "")
		if s.ACMEEmail != "" && !strings.Contains(s.ACMEEmail, "@") {
			b.problem("EDGE_ACME_EMAIL", "must be an address of mail, is %q", s.ACMEEmail)
		}
	}
	if only("EDGE_ACME_ROOTS", TLSACME) {
		s.ACMERoots = b.file("EDGE_ACME_ROOTS")
	}
	if only("EDGE_RENEW_CHECK", TLSACME, TLSInternal) {
		s.RenewCheck = b.duration("EDGE_RENEW_CHECK", 10*time.Minute, time.Second, time.Hour)
	}
	for name, file := range map[string]*string{"EDGE_CERT_FILE": &s.CertFile, "EDGE_KEY_FILE": &s.KeyFile} {
		if !only(name, TLSFiles) {
			continue
		}
		if _, set := b.environment[name]; !set {
			b.problem(name, "is required with EDGE_TLS=files")
		}
		*file = b.file(name)
	}
}

// hostName is a DNS name as RFC 1123 has it. A wildcard needs another challenge than http-01.
var hostName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func (s *Settings) hosts(b *binder) {
	list := b.text("EDGE_HOSTS", "")
	if list == "" {
		b.problem("EDGE_HOSTS", "is required with EDGE_TLS=%s", s.TLS)
		return
	}
	for host := range strings.SplitSeq(list, ",") {
		host = strings.ToLower(strings.TrimSpace(host))
		if !hostName.MatchString(host) && net.ParseIP(host) == nil {
			b.problem("EDGE_HOSTS", "must be names of hosts with commas between them; %q is none", host)
		}
		s.Hosts = append(s.Hosts, host)
	}
}

// HTTPPort is the port of HTTPAddr.
func (s Settings) HTTPPort() int {
	port, _ := portOf(s.HTTPAddr)
	return port
}
