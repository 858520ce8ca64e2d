// Package config turns the environment into a checked configuration. Nothing else in the service reads the environment.
//
// A value that is malformed or out of range is an error and never falls back to a default, and all problems are reported
// together, so that a deployment is mended in one go. docs/configuration.md lists every variable; a test compares the two.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Lookup finds an environment variable; os.LookupEnv is one.
type Lookup func(name string) (value string, ok bool)

// Config is everything the service can be told.
type Config struct {
	HTTP     HTTP
	Database Database
	Cache    Cache
	Access   Access
	Tracing  Tracing
	Shutdown Shutdown
	LogLevel slog.Level

	variables []Variable
}

// HTTP configures both listeners and the limits of the API.
type HTTP struct {
	Addr              string        // of the API
	AdminAddr         string        // of metrics and profiles
	ReadHeaderTimeout time.Duration // for the request line and the headers
	ReadTimeout       time.Duration // for the whole request
	WriteTimeout      time.Duration // from the end of the request's headers to the end of the response
	IdleTimeout       time.Duration // between two requests on one connection
	RequestTimeout    time.Duration // from the end of a request's headers to its answer
	ReadyTimeout      time.Duration // for the checks behind /readyz
	MaxBodyBytes      int64
	MaxHeaderBytes    int
	Retention         time.Duration // of the responses to requests with an Idempotency-Key
	RequireIfMatch    bool          // refuse changes of a book that do not say which version they are meant for

	MaxConnections       int   // that are open at the same time
	MaxInFlight          int   // requests that are answered at the same time
	MaxBodyBytesInFlight int64 // of all their bodies and answers together, files of books aside

	MaxImportBytes  int64
	MaxTransfers    int           // exports and imports at once
	TransferTimeout time.Duration // for the whole of one
}

// Database says where PostgreSQL is and how to log in.
type Database struct {
	Host           string // name, address, or absolute path of a directory with a socket
	Port           int
	Name           string
	User           string // empty when LoginFile is used
	Password       Secret
	PasswordFile   string // read again at each new connection; empty when Password is used
	LoginFile      string // user and password, in their place; read again at each new connection
	SSLMode        string // as in libpq
	SSLRootCert    string // PEM file; empty for the system's authorities
	MaxConns       int
	ConnectTimeout time.Duration
}

// Cache says whether answers are kept in memory.
type Cache struct {
	On       bool
	MaxBytes int64
}

// Shutdown times the way from SIGTERM to the end of the process.
type Shutdown struct {
	Grace   time.Duration // how long the API goes on serving with readiness off
	Timeout time.Duration // everything, Grace included
}

// Variable is one environment variable as it was understood.
type Variable struct {
	Name     string
	Default  string // empty when there is none
	Required bool
	Value    string // effective; redacted if secret
}

// Load reads everything that serving needs. The error joins all problems.
func Load(lookup Lookup) (Config, error) {
	var c Config
	b := binder{lookup: lookup}
	b.api(&c.HTTP)
	b.server(&c.HTTP)
	b.access(&c.Access)
	b.database(&c.Database)
	b.cache(&c.Cache)
	// Both fit into the 10 s between SIGTERM and SIGKILL that Docker gives by default.
	b.duration(&c.Shutdown.Grace, "SHUTDOWN_GRACE", 2*time.Second, 0, time.Hour)
	b.duration(&c.Shutdown.Timeout, "SHUTDOWN_TIMEOUT", 9*time.Second, time.Millisecond, 2*time.Hour)
	b.level(&c.LogLevel)
	b.tracing(&c.Tracing)
	// Comparisons come last and only when every value could be read: comparing a value that was refused would report the
	// same mistake twice.
	if len(b.problems) == 0 {
		b.consistent(c)
	}
	return b.result(c)
}

// LoadMaintenance reads what the commands that only use the database need.
func LoadMaintenance(lookup Lookup) (Config, error) {
	var c Config
	b := binder{lookup: lookup}
	b.database(&c.Database)
	b.level(&c.LogLevel)
	return b.result(c)
}

// LoadHealthcheck reads what is needed to ask the process in the same container for its health.
func LoadHealthcheck(lookup Lookup) (Config, error) {
	var c Config
	b := binder{lookup: lookup}
	b.api(&c.HTTP)
	return b.result(c)
}

// Variables lists what was read, in the order of the documentation.
func (c Config) Variables() []Variable { return c.variables }

// LogValue implements slog.LogValuer: the effective values under the names of their variables, secrets redacted.
func (c Config) LogValue() slog.Value {
	attrs := make([]slog.Attr, 0, len(c.variables))
	for _, v := range c.variables {
		if v.Value != "" {
			attrs = append(attrs, slog.String(v.Name, v.Value))
		}
	}
	return slog.GroupValue(attrs...)
}

// api reads what a probe from inside the container has to know as well.
func (b *binder) api(c *HTTP) {
	b.address(&c.Addr, "HTTP_ADDR", ":8080")
	b.duration(&c.ReadyTimeout, "READY_TIMEOUT", 2*time.Second, time.Millisecond, time.Minute)
	b.address(&c.AdminAddr, "ADMIN_ADDR", ":9090")
}

// server reads the rest of what listening needs. No time-out can be switched off: net/http takes 0 for "wait for ever",
// and one client that sends a byte now and then would hold a connection and its memory for good.
func (b *binder) server(c *HTTP) {
	b.duration(&c.ReadHeaderTimeout, "HTTP_READ_HEADER_TIMEOUT", 5*time.Second, time.Millisecond, time.Hour)
	b.duration(&c.ReadTimeout, "HTTP_READ_TIMEOUT", 15*time.Second, time.Millisecond, time.Hour)
	b.duration(&c.WriteTimeout, "HTTP_WRITE_TIMEOUT", 30*time.Second, time.Millisecond, time.Hour)
	// Above the 60 s that proxies commonly keep idle connections for. The side that closes first must be the one that sends
	// requests, or one is lost now and then to a connection that has just been closed.
	b.duration(&c.IdleTimeout, "HTTP_IDLE_TIMEOUT", 75*time.Second, time.Millisecond, time.Hour)
	b.duration(&c.RequestTimeout, "HTTP_REQUEST_TIMEOUT", 5*time.Second, time.Millisecond, time.Hour)
	// The largest book within the rules, with every character escaped, takes a quarter of the default.
	integer(b, &c.MaxBodyBytes, "MAX_BODY_BYTES", 1<<20, 1<<10, 64<<20)
	// A cursor holds a title, of up to 2,000 bytes before its encoding, and stands in the request line.
	integer(b, &c.MaxHeaderBytes, "MAX_HEADER_BYTES", 16<<10, 4<<10, 1<<20)
	// Of the 128 MiB that containers get, one address can take half with connections (25 KiB each), and bodies, which
	// take up to four times their size, the other half. With the default pool, many more requests than are answered in
	// time.
	integer(b, &c.MaxConnections, "MAX_CONNECTIONS", 4096, 2, 1_000_000)
	integer(b, &c.MaxInFlight, "MAX_IN_FLIGHT", 1024, 1, 1_000_000)
	integer(b, &c.MaxBodyBytesInFlight, "MAX_BODY_BYTES_IN_FLIGHT", 16<<20, 1<<10, 4<<30)
	// Some hundred thousand books.
	integer(b, &c.MaxImportBytes, "MAX_IMPORT_BYTES", 64<<20, 1<<10, 4<<30)
	// Each transfer keeps a connection to the database; what is left of them serves everybody else.
	integer(b, &c.MaxTransfers, "MAX_TRANSFERS", 2, 1, 100)
	b.duration(&c.TransferTimeout, "HTTP_TRANSFER_TIMEOUT", 15*time.Minute, time.Second, 24*time.Hour)
	// A client gives up on a request long before; a batch that failed at night is run again the next evening at the latest.
	b.duration(&c.Retention, "IDEMPOTENCY_RETENTION", 24*time.Hour, time.Second, 30*24*time.Hour)
	b.boolean(&c.RequireIfMatch, "REQUIRE_IF_MATCH", false)
}

// database reads the parts of a connection rather than a URL: a URL would carry the password into every place where URLs
// are printed.
func (b *binder) database(c *Database) {
	b.required(&c.Host, "DB_HOST", 4096)
	integer(b, &c.Port, "DB_PORT", 5432, 1, 65535)
	// PostgreSQL cuts longer identifiers to 63 bytes without an error, which would connect to something else.
	b.required(&c.Name, "DB_NAME", 63)
	b.login(c)
	b.oneOf(&c.SSLMode, "DB_SSLMODE", "prefer", "disable", "allow", "prefer", "require", "verify-ca", "verify-full")
	b.rootCert(c)
	integer(b, &c.MaxConns, "DB_MAX_CONNS", 10, 1, 1000)
	// Shorter than the default time-out of a request, so that an unreachable server is told from a slow one.
	b.duration(&c.ConnectTimeout, "DB_CONNECT_TIMEOUT", 3*time.Second, time.Millisecond, time.Minute)
}

// cache reads whether there is one. The default size holds some 20,000 books, in the memory that a container is given.
func (b *binder) cache(c *Cache) {
	var text string
	b.oneOf(&text, "READ_CACHE", "off", "off", "on")
	c.On = text == "on"
	integer(b, &c.MaxBytes, "READ_CACHE_BYTES", 16<<20, 1<<20, 64<<30)
}

// consistent reports values that are fine alone but not together.
func (b *binder) consistent(c Config) {
	if c.HTTP.Addr == c.HTTP.AdminAddr && port(c.HTTP.Addr) != 0 {
		b.problem("ADMIN_ADDR: must differ from HTTP_ADDR, both are %q", c.HTTP.Addr)
	}
	ordered := func(small, large string, s, l time.Duration) {
		if s >= l {
			b.problem("%s: must be shorter than %s (%v), is %v", small, large, l, s)
		}
	}
	if c.HTTP.MaxBodyBytesInFlight < c.HTTP.MaxBodyBytes {
		b.problem("MAX_BODY_BYTES_IN_FLIGHT: must not be less than MAX_BODY_BYTES (%d), is %d",
			c.HTTP.MaxBodyBytes, c.HTTP.MaxBodyBytesInFlight)
	}
	ordered("SHUTDOWN_GRACE", "SHUTDOWN_TIMEOUT", c.Shutdown.Grace, c.Shutdown.Timeout)
	// A request that may work longer than its response may take would be cut off without an answer.
	ordered("HTTP_REQUEST_TIMEOUT", "HTTP_WRITE_TIMEOUT", c.HTTP.RequestTimeout, c.HTTP.WriteTimeout)
}

// result is all or nothing: half a configuration must not be used by accident.
func (b *binder) result(c Config) (Config, error) {
	if len(b.problems) > 0 {
		return Config{}, fmt.Errorf("configuration: %w", errors.Join(b.problems...))
	}
	c.variables = b.variables
	return c, nil
}
