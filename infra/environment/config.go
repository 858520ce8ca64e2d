package environment

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Namespace is the Pulumi configuration namespace of every key: bookshelf:port and so on.
const Namespace = "bookshelf"

// Limits of the configuration.
const (
	// minMemoryMiB is what the smallest container needs to start at all.
	minMemoryMiB = 32
	maxGrace     = time.Minute
	// drainTime is how long requests in flight may take after the grace period, on every stop of the app.
	drainTime = 20 * time.Second
)

// Config is the typed configuration of one environment. Its keys are explained in docs/configuration.md.
type Config struct {
	// Name is the environment's name, which is the Pulumi stack's: dev, staging, prod.
	Name string
	// Image and DatabaseImage are image references as the Docker engine takes them; a local image is its ID, sha256:….
	Image, DatabaseImage string
	// Bind and Port are where the API is published on the Docker host.
	Bind string
	Port int
	// App and Database are the limits of their containers.
	App, Database Limits
	// ShutdownGrace is how long the app keeps serving after it was told to stop, so that nobody is sent there any more.
	ShutdownGrace time.Duration
	// LogLevel is the least severe level that the app logs.
	LogLevel string
	// Verify says what is asked of the app's image before it runs.
	Verify Verification
}

// Verification is the policy about the app's image: "off", or signed with the pair of a public key ("key"), or by a workflow's
// identity ("keyless"). With anything but "off" the image must be named by digest.
type Verification struct {
	Mode             string
	Key              string // path of the public key, relative to the folder of the configuration
	Identity, Issuer string
}

// VerifyOff is the mode in which any image runs, also a local one.
const VerifyOff = "off"

// Limits is what a container may use of its host.
type Limits struct {
	MemoryMiB int
	// CPUs is a number of processors with at most one decimal place, "0.5" for a half.
	CPUs string
}

// defaults are the values of the keys that a stack does not set. Image has none: what runs is always said.
var defaults = map[string]string{
	"databaseImage":     "postgres:17-trixie",
	"bind":              "127.0.0.1",
	"port":              "8080",
	"appMemoryMiB":      "128",
	"appCpus":           "1",
	"databaseMemoryMiB": "512",
	"databaseCpus":      "1",
	"shutdownGrace":     "2s",
	"logLevel":          "info",
	"verify":            VerifyOff,
	"verifyKey":         "",
	"verifyIdentity":    "",
	"verifyIssuer":      "",
}

// Keys lists the configuration keys without their namespace, sorted.
func Keys() []string {
	keys := []string{"image"}
	for key := range defaults {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// Default returns the value that a key has when a stack does not set it, "" for a key that has none.
func Default(key string) string { return defaults[key] }

var (
	namePattern   = regexp.MustCompile(`^[a-z][a-z0-9-]{0,29}$`)
	imagePattern  = regexp.MustCompile(`^(sha256:[0-9a-f]{64}|[a-z0-9][a-zA-Z0-9._:/@-]*)$`)
	digestPattern = regexp.MustCompile(`@sha256:[0-9a-f]{64}$`)
	cpusPattern   = regexp.MustCompile(`^[0-9]{1,3}(\.[0-9])?$`)
)

// ValidName reports whether a name can be an environment's: it becomes part of container, network and volume names.
func ValidName(name string) bool { return namePattern.MatchString(name) }

// Load reads the configuration of the named environment through get, which returns "" for a key that is not set. The error joins
// every problem there is, each naming its key, and is returned before anything is created.
func Load(name string, get func(key string) string) (Config, error) {
	r := reader{get: get}
	if !ValidName(name) {
		r.problem("environment name %q: want 1 to 30 of a-z, 0-9 and -, starting with a letter", name)
	}
	c := Config{
		Name:          name,
		Image:         r.image("image"),
		DatabaseImage: r.image("databaseImage"),
		Bind:          r.address("bind"),
		Port:          r.number("port", 1, 65535),
		App:           Limits{MemoryMiB: r.number("appMemoryMiB", minMemoryMiB, 1<<20), CPUs: r.cpus("appCpus")},
		Database:      Limits{MemoryMiB: r.number("databaseMemoryMiB", 128, 1<<20), CPUs: r.cpus("databaseCpus")},
		ShutdownGrace: r.duration("shutdownGrace", maxGrace),
		LogLevel:      r.oneOf("logLevel", "debug", "info", "warn", "error"),
		Verify:        r.verification(),
	}
	if c.Verify.Mode != VerifyOff && c.Image != "" && !digestPattern.MatchString(c.Image) {
		r.invalid("image", c.Image, "NAME@sha256:…, because verify is "+c.Verify.Mode+" and only an image in a registry can be verified")
	}
	if err := errors.Join(r.problems...); err != nil {
		return Config{}, err
	}
	return c, nil
}

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

func (r *reader) image(key string) string {
	value := r.value(key)
	switch {
	case value == "":
		r.problem("%s:%s is not set: want the image to run, by digest or by the ID of a local one", Namespace, key)
	case !imagePattern.MatchString(value):
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

// verification reads the policy. A key of the other mode is a mistake to be told: somebody believes that it has an effect.
func (r *reader) verification() Verification {
	v := Verification{
		Mode: r.oneOf("verify", VerifyOff, "key", "keyless"),
		Key:  r.value("verifyKey"), Identity: r.value("verifyIdentity"), Issuer: r.value("verifyIssuer"),
	}
	for _, setting := range []struct{ mode, key, value string }{
		{"key", "verifyKey", v.Key}, {"keyless", "verifyIdentity", v.Identity}, {"keyless", "verifyIssuer", v.Issuer},
	} {
		switch {
		case v.Mode == setting.mode && setting.value == "":
			r.problem("%s:%s is not set: want one, because verify is %s", Namespace, setting.key, v.Mode)
		case v.Mode != setting.mode && setting.value != "":
			r.invalid(setting.key, setting.value, "none, because verify is "+v.Mode)
		}
	}
	return v
}
