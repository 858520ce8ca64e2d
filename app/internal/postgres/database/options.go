// Package database is the way to a database: how to log in, a pool of connections, and which errors say that there is none.
package database

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Options say which database to connect to and how. Host, Port, Name and User are required; the zero value of everything
// else is usable.
type Options struct {
	Host string // a name, an address, or an absolute path: the directory of a Unix socket
	Port uint16
	Name string // of the database
	User string // not with LoginFile

	// PasswordFile is read at every new connection, so that a rotated password needs no restart; line ends at its end do
	// not count. At most one of Password, PasswordFile and LoginFile may be set.
	PasswordFile string
	Password     string
	// LoginFile holds two lines, the user and its password, and is read like PasswordFile. When either file changes,
	// connections of the former login end within a second of being idle.
	LoginFile string
	// ObserveLogin is called with the user when the pool goes over to another login. nil: nobody wants to know.
	ObserveLogin func(user string)

	SSLMode         string // as libpq's sslmode: disable, allow, prefer (when ""), require, verify-ca, verify-full
	SSLRootCert     string // PEM file with the authorities that the server's certificate may be of; "": the system's
	ApplicationName string // shown in pg_stat_activity and in the server's log

	MaxConns         int32         // 0: the larger of 4 and the number of CPUs
	MaxConnLifetime  time.Duration // 0: 1 h
	MaxConnIdleTime  time.Duration // 0: 30 min
	ConnectTimeout   time.Duration // 0: 5 s; for one attempt to connect
	StatementTimeout time.Duration // 0: none; the server ends a statement that takes longer

	Tracer pgx.QueryTracer // is told of every statement; nil: nobody is
}

// defaultConnectTimeout is short enough for a readiness check to see an unreachable server as such.
const defaultConnectTimeout = 5 * time.Second

// validate returns every problem at once.
func (o Options) validate() error {
	var problems []error
	for _, part := range []struct{ name, value string }{{"host", o.Host}, {"name", o.Name}, {"user", o.User}} {
		if part.value == "" && (part.name != "user" || o.LoginFile == "") {
			problems = append(problems, fmt.Errorf("the database's %s is not set", part.name))
		}
	}
	if o.Port == 0 {
		problems = append(problems, errors.New("the database's port is not set"))
	}
	if o.Password != "" && o.PasswordFile != "" {
		problems = append(problems, errors.New("the database's password and its file are both set"))
	}
	if o.LoginFile != "" && (o.User != "" || o.Password != "" || o.PasswordFile != "") {
		problems = append(problems, errTwoLogins)
	}
	return errors.Join(problems...)
}

// Config is the configuration of a pool. It is built from parts: a connection string made by concatenation breaks at the first quote or
// percent sign in a password. The password is never part of a string that an error could show.
func (o Options) Config() (*pgxpool.Config, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	sslMode := o.SSLMode
	if sslMode == "" {
		sslMode = "prefer"
	}
	words := map[string]string{
		"host": o.Host, "port": strconv.Itoa(int(o.Port)), "dbname": o.Name, "user": o.User, "sslmode": sslMode,
	}
	if o.SSLRootCert != "" {
		words["sslrootcert"] = o.SSLRootCert
	}
	cfg, err := pgxpool.ParseConfig(keywords(words))
	if err != nil {
		return nil, fmt.Errorf("configure the connection to database %s: %w", o.Name, err)
	}
	conn := cfg.ConnConfig
	conn.Password = o.Password
	conn.ConnectTimeout = defaultConnectTimeout
	if o.ConnectTimeout > 0 {
		conn.ConnectTimeout = o.ConnectTimeout
	}
	conn.RuntimeParams["application_name"] = o.ApplicationName
	// The default path looks into a schema named like the user first, where that user could put a table of its own.
	conn.RuntimeParams["search_path"] = "public"
	conn.RuntimeParams["statement_timeout"] = strconv.FormatInt(o.StatementTimeout.Milliseconds(), 10)
	conn.Tracer = o.Tracer
	if o.MaxConns > 0 {
		cfg.MaxConns = o.MaxConns
	}
	if o.MaxConnLifetime > 0 {
		cfg.MaxConnLifetime = o.MaxConnLifetime
	}
	if o.MaxConnIdleTime > 0 {
		cfg.MaxConnIdleTime = o.MaxConnIdleTime
	}
	if o.inFiles() {
		cfg.BeforeConnect = o.beforeConnect
	}
	return cfg, nil
}

// keywords writes a connection string of key = 'value' pairs (libpq manual, section "Keyword/Value Connection Strings").
func keywords(values map[string]string) string {
	escape := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	var b strings.Builder
	for key, value := range values {
		fmt.Fprintf(&b, "%s='%s' ", key, escape.Replace(value))
	}
	return b.String()
}
