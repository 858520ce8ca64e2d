package environment

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	imagePattern  = regexp.MustCompile(`^(sha256:[0-9a-f]{64}|[a-z0-9][a-zA-Z0-9._:/@-]*)$`)
	digestPattern = regexp.MustCompile(`@sha256:[0-9a-f]{64}$`)
	cpusPattern   = regexp.MustCompile(`^[0-9]{1,3}(\.[0-9])?$`)
	hostPattern   = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)
)

// reader collects every problem instead of stopping at the first.
type reader struct {
	get      func(string) string
	problems []error
}

func (r *reader) problem(format string, args ...any) {
	r.problems = append(r.problems, fmt.Errorf(format, args...))
}

func (r *reader) invalid(key, value, want string) {
	r.problem("%s:%s = %q: want %s", Namespace, key, value, want)
}

func (r *reader) value(key string) string {
	if value := r.get(key); value != "" {
		return value
	}
	return defaults[key]
}

// image reads the reference of an image, "" where none is set.
func (r *reader) image(key string) string {
	value := r.value(key)
	if value != "" && !imagePattern.MatchString(value) {
		r.invalid(key, value, "an image reference such as registry/name@sha256:… or sha256:…")
	}
	return value
}

func (r *reader) address(key string) string {
	value := r.value(key)
	if _, err := netip.ParseAddr(value); err != nil {
		r.invalid(key, value, "an IP address")
	}
	return value
}

func (r *reader) number(key string, least, most int) int {
	value := r.value(key)
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		r.invalid(key, value, fmt.Sprintf("a whole number from %d to %d", least, most))
	}
	return n
}

func (r *reader) cpus(key string) string {
	value := r.value(key)
	if n, err := strconv.ParseFloat(value, 64); err != nil || n < 0.1 || !cpusPattern.MatchString(value) {
		r.invalid(key, value, "a number of processors from 0.1 on with at most one decimal place, such as 0.5 or 2")
	}
	return value
}

func (r *reader) duration(key string, most time.Duration) time.Duration {
	value := r.value(key)
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 || d > most {
		r.invalid(key, value, fmt.Sprintf("a duration from 0s to %s, such as 2s", most))
	}
	return d
}

func (r *reader) oneOf(key string, allowed ...string) string {
	value := r.value(key)
	if !slices.Contains(allowed, value) {
		r.invalid(key, value, "one of "+strings.Join(allowed, ", "))
	}
	return value
}

// url reads where clients reach the environment, the fallback where it is not set.
func (r *reader) url(key, fallback string) string {
	value := r.value(key)
	if value == "" {
		return fallback
	}
	u, err := url.Parse(value)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.Path != "" || u.RawQuery != "" {
		r.invalid(key, value, "http:// or https:// with a host and perhaps a port, and nothing behind")
	}
	return value
}

// hosts reads a list of host names, separated by commas.
func (r *reader) hosts(key string) []string {
	value := r.value(key)
	if value == "" {
		return nil
	}
	hosts := strings.Split(value, ",")
	for i, host := range hosts {
		hosts[i] = strings.TrimSpace(host)
		if !hostPattern.MatchString(hosts[i]) {
			r.invalid(key, value, "host names in lower case, separated by commas")
			break
		}
	}
	return hosts
}

var variablePattern = regexp.MustCompile(`^[A-Z_][A-Z0-9_]*$`)

// service reads what is to be known of the service, and the variables that this stack gives it instead of or beside the service's own.
func (r *reader) service(key, variables string) Service {
	s, err := parseService(r.value(key))
	if err != nil {
		r.problem("%s:%s: %w", Namespace, key, err)
	}
	var given map[string]string
	if err := json.Unmarshal([]byte(r.value(variables)), &given); err != nil {
		r.problem("%s:%s: want a mapping of variables to texts (in quotes, where they could be numbers, true or off): %w", Namespace, variables, err)
	}
	own := s.Environment
	s.Environment = map[string]string{}
	maps.Copy(s.Environment, own)
	maps.Copy(s.Environment, given)
	for name := range given {
		if !variablePattern.MatchString(name) {
			r.invalid(variables, name, "names of variables, in capitals")
		}
	}
	return s
}

// object reads a JSON object that another package understands.
func (r *reader) object(key string) json.RawMessage {
	value := r.value(key)
	var object map[string]any
	if err := json.Unmarshal([]byte(value), &object); err != nil {
		r.problem("%s:%s: want a mapping of settings: %w", Namespace, key, err)
	}
	return json.RawMessage(value)
}

// setting is one of those that only one mode of another key asks for.
type setting struct {
	mode, key, value string
	required         bool
}

// belong makes sure that what a mode needs is set, and that nothing is which has no effect in it: somebody believes that it has one.
func (r *reader) belong(key, mode string, settings ...setting) {
	for _, s := range settings {
		switch {
		case mode == s.mode && s.required && s.value == "":
			r.problem("%s:%s is not set: want one, because %s is %s", Namespace, s.key, key, mode)
		case mode != s.mode && s.value != "":
			r.invalid(s.key, s.value, "none, because "+key+" is "+mode)
		}
	}
}

func (r *reader) verification() Verification {
	v := Verification{
		Mode: r.oneOf("verify", VerifyOff, "key", "keyless"),
		Key:  r.value("verifyKey"), Identity: r.value("verifyIdentity"), Issuer: r.value("verifyIssuer"),
	}
	r.belong("verify", v.Mode,
		setting{"key", "verifyKey", v.Key, true}, setting{"keyless", "verifyIdentity", v.Identity, true}, setting{"keyless", "verifyIssuer", v.Issuer, true})
	return v
}
