package probe

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Limits of a configuration.
const (
	// maxRate bounds the memory as well: a record of 8 bytes is kept for each request, 29 MB for an hour at 1,000 requests a second.
	maxRate = 5000
	// maxTime is the longest a request may take.
	maxTime = 10 * time.Minute
)

// Config says which requests are sent. Parse reads it from JSON, whose members are named beside the fields.
type Config struct {
	// Rate ("rate", default 100) is how many requests are sent in a second.
	Rate float64
	// Shares ("shares") divides them up by kind. By default they are 0.75, 0.2 and 0.05, or reads alone where there is no write.
	Shares Shares
	// Fresh ("fresh", default 0.2) is the share of requests that are sent on a connection of their own.
	Fresh float64
	// Timeout ("timeout", default 15s) is how long a request may take from the moment at which it is sent, dialling included.
	Timeout time.Duration
	// SlowFor ("slow_for", default 5s) is how long the body of a slow request takes to be sent.
	SlowFor time.Duration
	// Read ("read") are the requests that change nothing; they are sent in turn.
	Read []Request
	// Write ("write") is the request that adds something, nil where a service has none.
	Write *Request
	// VersionHeader ("version_header") is the response header in which the service says its version. An answer without it does not
	// come from the service.
	VersionHeader string
	// EAN13Prefix ("ean13_prefix", default 9790) is what every {{ean13}} begins with. The default is a range that no ISBN will ever be
	// in, because it is that of the ISMN (ISO 10957).
	EAN13Prefix string
	// RootCA ("root_ca") is the path of a PEM file with the certificates that are trusted for an https URL, "" for those of the system.
	RootCA string
	// ServerName ("server_name") is what the certificate has to be for, "" for the host of the URL.
	ServerName string
}

// Shares divides the requests up by kind. They add up to 1.
type Shares struct {
	Read  float64 // "read"
	Write float64 // "write"
	// Slow ("slow") are writes whose body is sent bit by bit, so that a replica has them for a while. A service without a write has
	// none: a response that is merely read slowly has left the replica long before.
	Slow float64
}

// Request is the template of a request. In path, body, key and the values of headers, {{run}} stands for the run's ID and {{n}} for the
// request's number in it; in a write also {{ean13}} for an EAN-13 that no other write has and {{uuid}} for a UUID.
type Request struct {
	// Method ("method") is GET by default for a read, POST for a write.
	Method string
	// Path ("path") is added to the base URL, and may have a query.
	Path string
	// Status ("status") lists the statuses that are expected.
	Status []int
	// Headers ("headers") are sent beside those that every request has.
	Headers map[string]string
	// Body and ContentType ("body", "content_type") are those of a write.
	Body, ContentType string
	// Key ("key") is what a write is found by in the database, by default {{ean13}} or {{uuid}}, whichever occurs in body or path.
	Key string
}

// Authorized returns the configuration with a bearer token (RFC 6750) in every request that has no Authorization of its own. The token is
// a secret, and so none of the configuration's members.
func (c Config) Authorized(token string) Config {
	authorized := func(r Request) Request {
		headers := map[string]string{"Authorization": "Bearer " + token}
		maps.Copy(headers, r.Headers)
		r.Headers = headers
		return r
	}
	reads := make([]Request, len(c.Read))
	for i, read := range c.Read {
		reads[i] = authorized(read)
	}
	c.Read = reads
	if c.Write != nil {
		c.Write = new(authorized(*c.Write))
	}
	return c
}

// Reads are the requests that change nothing, as they are sent for the first time in a run.
func (c Config) Reads(run string) []Request {
	w := newWords(c, run, time.Now())
	reads := make([]Request, len(c.Read))
	for i, read := range c.Read {
		read.Path = w.fill(read.Path, i, 0)
		headers := map[string]string{}
		for name, value := range read.Headers {
			headers[name] = w.fill(value, i, 0)
		}
		read.Headers = headers
		reads[i] = read
	}
	return reads
}

var (
	wordPattern   = regexp.MustCompile(`\{\{[^{}]*\}\}`)
	tokenPattern  = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$") // RFC 9110, section 5.6.2
	prefixPattern = regexp.MustCompile(`^[0-9]{1,6}$`)
	runPattern    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
)

// reserved are the headers that the probe itself sets.
var reserved = []string{"Connection", "Content-Length", "Content-Type", "Host", idempotencyKey, "Transfer-Encoding", "User-Agent"}

// Validate returns every problem that there is, joined, each naming its member.
func (c Config) Validate() error {
	var p problems
	p.check(c.Rate > 0 && c.Rate <= maxRate, "rate = %v: want a number above 0, at most %d", c.Rate, maxRate)
	p.check(c.Fresh >= 0 && c.Fresh <= 1, "fresh = %v: want a share from 0 to 1", c.Fresh)
	p.check(c.Timeout > 0 && c.Timeout <= maxTime, "timeout = %s: want more than 0s, at most %s", c.Timeout, maxTime)
	p.check(c.Timeout <= 0 || c.SlowFor > 0 && c.SlowFor < c.Timeout, "slow_for = %s: want more than 0s and less than timeout, which is %s", c.SlowFor, c.Timeout)
	p.check(tokenPattern.MatchString(c.VersionHeader), "version_header = %q: want the name of the response header with the service's version", c.VersionHeader)
	p.check(prefixPattern.MatchString(c.EAN13Prefix), "ean13_prefix = %q: want 1 to 6 digits", c.EAN13Prefix)
	c.validateShares(&p)
	p.check(len(c.Read) > 0, "read is empty: want at least one request that changes nothing")
	for i, read := range c.Read {
		read.validateRead(&p, fmt.Sprintf("read[%d]", i))
	}
	if c.Write != nil {
		c.Write.validateWrite(&p)
	}
	return errors.Join(p...)
}

func (c Config) validateShares(p *problems) {
	s := c.Shares
	for i, share := range []float64{s.Read, s.Write, s.Slow} {
		p.check(share >= 0 && share <= 1, "shares.%s = %v: want a share from 0 to 1", kind(i), share)
	}
	sum := s.Read + s.Write + s.Slow
	p.check(math.Abs(sum-1) < 1e-9, "shares add up to %v: want 1", sum)
	p.check(c.Write != nil || s.Write+s.Slow == 0, "shares.write and shares.slow: want 0, because there is no write")
	p.check(c.Write == nil || c.Write.Body != "" || s.Slow == 0, "shares.slow = %v: want 0, because the write has no body that could be sent slowly", s.Slow)
}

func (r Request) validateRead(p *problems, at string) {
	p.check(r.Method == http.MethodGet || r.Method == http.MethodHead, "%s.method = %q: want GET or HEAD", at, r.Method)
	p.check(r.Body == "" && r.ContentType == "", "%s has a body or content_type: want neither, it is a read", at)
	p.check(r.Key == "", "%s.key = %q: want none, it is a read", at, r.Key)
	r.validate(p, at, "{{run}}", "{{n}}")
}

func (r Request) validateWrite(p *problems) {
	methods := []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}
	p.check(slices.Contains(methods, r.Method), "write.method = %q: want one of %s", r.Method, strings.Join(methods, ", "))
	p.check(r.Body == "" || r.ContentType != "", "write.content_type is missing: want what the body is")
	unique := strings.Contains(r.Key, "{{ean13}}") || strings.Contains(r.Key, "{{uuid}}") || strings.Contains(r.Key, "{{n}}")
	p.check(unique, "write.key = %q: want what the write is found by, with {{ean13}}, {{uuid}} or {{n}} in it", r.Key)
	r.validate(p, "write", "{{run}}", "{{n}}", "{{ean13}}", "{{uuid}}")
}

func (r Request) validate(p *problems, at string, words ...string) {
	_, err := url.ParseRequestURI(r.Path)
	p.check(strings.HasPrefix(r.Path, "/") && err == nil && !strings.Contains(r.Path, "#"), "%s.path = %q: want a path that begins with /", at, r.Path)
	p.check(len(r.Status) > 0, "%s.status is empty: want the statuses that are expected", at)
	for _, status := range r.Status {
		p.check(status >= 200 && status < 500, "%s.status has %d: want statuses from 200 to 499", at, status)
	}
	templates := map[string]string{"path": r.Path, "body": r.Body, "key": r.Key, "content_type": r.ContentType}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		p.check(tokenPattern.MatchString(name), "%s.headers has %q: want the name of a header", at, name)
		p.check(!slices.Contains(reserved, http.CanonicalHeaderKey(name)), "%s.headers has %s: want others, the probe sets this one", at, name)
		templates["headers."+name] = r.Headers[name]
	}
	for _, name := range slices.Sorted(maps.Keys(templates)) {
		template := templates[name]
		p.check(name == "body" || !strings.ContainsFunc(template, func(r rune) bool { return r < ' ' || r == 0x7f }), "%s.%s has a control character", at, name)
		for _, word := range wordPattern.FindAllString(template, -1) {
			p.check(slices.Contains(words, word), "%s.%s has %s: want one of %s", at, name, word, strings.Join(words, ", "))
		}
	}
}

// problems collects what is wrong.
type problems []error

func (p *problems) check(ok bool, format string, args ...any) {
	if !ok {
		*p = append(*p, fmt.Errorf(format, args...))
	}
}
