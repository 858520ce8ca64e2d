package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// environment is a Lookup over a map.
func environment(vars ...map[string]string) Lookup {
	all := map[string]string{}
	for _, m := range vars {
		maps.Copy(all, m)
	}
	return func(name string) (string, bool) {
		value, ok := all[name]
		return value, ok
	}
}

var required = map[string]string{"DB_HOST": "db", "DB_NAME": "bookshelf", "DB_USER": "app"}

func TestLoadWithRequiredVariablesOnly(t *testing.T) {
	t.Parallel()
	got, err := Load(environment(required))
	if err != nil {
		t.Fatal(err)
	}
	got.variables = nil
	want := Config{
		HTTP: HTTP{
			Addr: ":8080", AdminAddr: ":9090", ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second,
			WriteTimeout: 30 * time.Second, IdleTimeout: 75 * time.Second, RequestTimeout: 5 * time.Second,
			ReadyTimeout: 2 * time.Second, MaxBodyBytes: 1 << 20, MaxHeaderBytes: 16384,
			MaxConnections: 4096, MaxInFlight: 1024, MaxBodyBytesInFlight: 16 << 20,
			Retention: 24 * time.Hour, MaxImportBytes: 64 << 20, MaxTransfers: 2, TransferTimeout: 15 * time.Minute,
		},
		Database: Database{
			Host: "db", Port: 5432, Name: "bookshelf", User: "app", SSLMode: "prefer", MaxConns: 10, ConnectTimeout: 3 * time.Second,
		},
		Cache:    Cache{MaxBytes: 16 << 20},
		Access:   Access{Auth: "required"},
		Tracing:  Tracing{Sampler: "parentbased_always_on", Ratio: 1},
		Shutdown: Shutdown{Grace: 2 * time.Second, Timeout: 9 * time.Second},
		LogLevel: slog.LevelInfo,
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(Config{}, Secret{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// secretFile is a file with such content.
func secretFile(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestALoginFileStandsForUserAndPassword(t *testing.T) {
	t.Parallel()
	file := secretFile(t, "app\ns3cret\n")
	for name, load := range map[string]func(Lookup) (Config, error){"serve": Load, "maintenance": LoadMaintenance} {
		got, err := load(environment(map[string]string{"DB_HOST": "db", "DB_NAME": "bookshelf", "DB_LOGIN_FILE": file}))
		if err != nil || got.Database.LoginFile != file || got.Database.User != "" {
			t.Errorf("%s: %+v, %v", name, got.Database, err)
		}
	}
	empty := secretFile(t, "\n")
	for file, want := range map[string]string{"": "DB_LOGIN_FILE: is set but empty", empty: "DB_LOGIN_FILE: read the database login: " + empty + " is empty"} {
		_, err := Load(environment(map[string]string{"DB_HOST": "db", "DB_NAME": "bookshelf", "DB_LOGIN_FILE": file}))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", file, err, want)
		}
	}
}

func TestLoadTakesEveryVariable(t *testing.T) {
	t.Parallel()
	file := secretFile(t, "s3cret\n")
	set := map[string]string{
		"HTTP_ADDR": "127.0.0.1:0", "ADMIN_ADDR": "[::1]:0", "HTTP_READ_HEADER_TIMEOUT": "1s", "HTTP_READ_TIMEOUT": "2s",
		"HTTP_WRITE_TIMEOUT": "4s", "HTTP_IDLE_TIMEOUT": "5s", "HTTP_REQUEST_TIMEOUT": "3s", "READY_TIMEOUT": "6s",
		"MAX_BODY_BYTES": "2048", "MAX_HEADER_BYTES": "8192", "DB_HOST": "/run/postgresql", "DB_PORT": "5433", "DB_NAME": "n",
		"DB_USER": "u", "DB_PASSWORD_FILE": file, "DB_SSLMODE": "verify-full", "DB_SSLROOTCERT": file, "DB_MAX_CONNS": "3", "DB_CONNECT_TIMEOUT": "7s",
		"SHUTDOWN_GRACE": "0s", "SHUTDOWN_TIMEOUT": "1m", "LOG_LEVEL": "warn", "AUTH": "public-read",
		"RATE_LIMIT_ADDRESS": "600/1m0s", "RATE_LIMIT_TOKEN": "10/1s", "TRUSTED_PROXIES": "10.0.0.0/8,::1/128",
		"CORS_ORIGINS":    "https://a.example,http://localhost:8000",
		"MAX_CONNECTIONS": "9", "MAX_IN_FLIGHT": "7", "MAX_BODY_BYTES_IN_FLIGHT": "4096", "REQUIRE_IF_MATCH": "true",
		"MAX_TRANSFERS": "3", "MAX_IMPORT_BYTES": "4096", "HTTP_TRANSFER_TIMEOUT": "1h0m0s",
		"IDEMPOTENCY_RETENTION": "48h0m0s", "OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector:4318/base",
		"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25", "READ_CACHE": "on", "READ_CACHE_BYTES": "2097152",
	}
	got, err := Load(environment(set))
	if err != nil {
		t.Fatal(err)
	}
	if got.LogLevel != slog.LevelWarn || got.Database.PasswordFile != file || got.HTTP.MaxBodyBytes != 2048 ||
		!got.HTTP.RequireIfMatch || got.Cache != (Cache{On: true, MaxBytes: 2 << 20}) {
		t.Errorf("got %+v", got)
	}
	for _, v := range got.Variables() {
		want := set[v.Name]
		if want == "1m" {
			want = "1m0s" // values are shown in Go's canonical form
		}
		if v.Value != want {
			t.Errorf("%s is shown as %q, want %q", v.Name, v.Value, want)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	empty, login := secretFile(t, "\n"), secretFile(t, "app\ns3cret\n")
	tests := map[string]struct {
		set  map[string]string
		want string
	}{
		"a collector that is no URL": {
			map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"},
			"OTEL_EXPORTER_OTLP_ENDPOINT: must be the URL of a collector",
		},
		"a collector with a password": {
			map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://u:p@collector:4318"},
			"OTEL_EXPORTER_OTLP_ENDPOINT: must be the URL of a collector such as http://collector:4318, without user",
		},
		"an unknown sampler": {
			map[string]string{"OTEL_TRACES_SAMPLER": "jaeger_remote"}, "OTEL_TRACES_SAMPLER: must be one of always_on",
		},
		"a share above all": {
			map[string]string{"OTEL_TRACES_SAMPLER_ARG": "1.5"}, `OTEL_TRACES_SAMPLER_ARG: must be a number from 0 to 1, is "1.5"`,
		},
		"an empty value":               {map[string]string{"HTTP_ADDR": ""}, "HTTP_ADDR: is set but empty"},
		"a blank value":                {map[string]string{"DB_HOST": " "}, "DB_HOST: is set but empty"},
		"an address without a port":    {map[string]string{"HTTP_ADDR": "localhost"}, `HTTP_ADDR: must be host:port`},
		"a port with a name":           {map[string]string{"HTTP_ADDR": ":http"}, "HTTP_ADDR: must be host:port"},
		"a port too large":             {map[string]string{"ADMIN_ADDR": ":65536"}, "ADMIN_ADDR: must be host:port"},
		"both servers on one port":     {map[string]string{"ADMIN_ADDR": ":8080"}, "ADMIN_ADDR: must differ from HTTP_ADDR"},
		"a duration without a unit":    {map[string]string{"READY_TIMEOUT": "5"}, `READY_TIMEOUT: must be a duration such as "2s", is "5"`},
		"a time-out switched off":      {map[string]string{"HTTP_READ_TIMEOUT": "0s"}, "HTTP_READ_TIMEOUT: must be from 1ms to 1h0m0s, is 0s"},
		"a negative duration":          {map[string]string{"SHUTDOWN_GRACE": "-1s"}, "SHUTDOWN_GRACE: must be from 0s"},
		"a grace as long as the whole": {map[string]string{"SHUTDOWN_GRACE": "9s"}, "SHUTDOWN_GRACE: must be shorter than SHUTDOWN_TIMEOUT (9s), is 9s"},
		"work longer than the answer":  {map[string]string{"HTTP_REQUEST_TIMEOUT": "30s"}, "HTTP_REQUEST_TIMEOUT: must be shorter than HTTP_WRITE_TIMEOUT"},
		"a size with a unit":           {map[string]string{"MAX_BODY_BYTES": "1M"}, `MAX_BODY_BYTES: must be a whole number, is "1M"`},
		"a size too small":             {map[string]string{"MAX_BODY_BYTES": "1"}, "MAX_BODY_BYTES: must be from 1024 to 67108864, is 1"},
		"a number beyond 64 bits":      {map[string]string{"DB_MAX_CONNS": "99999999999999999999"}, "DB_MAX_CONNS: must be a whole number"},
		"port 0 of the database":       {map[string]string{"DB_PORT": "0"}, "DB_PORT: must be from 1 to 65535, is 0"},
		"a login beside a user":        {map[string]string{"DB_LOGIN_FILE": login}, "DB_USER: must not be set together with DB_LOGIN_FILE"},
		"authorities nobody asks for":  {map[string]string{"DB_SSLROOTCERT": login}, `DB_SSLROOTCERT: has no effect while DB_SSLMODE is "prefer"`},
		"authorities that are missing": {map[string]string{"DB_SSLMODE": "verify-ca", "DB_SSLROOTCERT": "/no/ca.crt"}, "DB_SSLROOTCERT: open /no/ca.crt"},
		"white space in a name":        {map[string]string{"DB_NAME": "book shelf"}, "DB_NAME: must not contain white space"},
		"a name PostgreSQL would cut":  {map[string]string{"DB_USER": strings.Repeat("x", 64)}, "DB_USER: must not be longer than 63 bytes, has 64"},
		"an unknown TLS mode":          {map[string]string{"DB_SSLMODE": "on"}, "DB_SSLMODE: must be one of disable, allow, prefer"},
		"an unknown level":             {map[string]string{"LOG_LEVEL": "INFO"}, "LOG_LEVEL: must be one of debug, info, warn, error"},
		"an unknown kind of access":    {map[string]string{"AUTH": "none"}, "AUTH: must be one of required"},
		"a cache that is true":         {map[string]string{"READ_CACHE": "true"}, `READ_CACHE: must be one of off, on, is "true"`},
		"a cache without room":         {map[string]string{"READ_CACHE_BYTES": "0"}, "READ_CACHE_BYTES: must be from 1048576"},
		"a limit without a duration":   {map[string]string{"RATE_LIMIT_TOKEN": "100"}, "must be off or"},
		"a limit of nothing":           {map[string]string{"RATE_LIMIT_ADDRESS": "0/1s"}, "must allow from 1 to 1000000"},
		"a limit in half a second":     {map[string]string{"RATE_LIMIT_TOKEN": "1/500ms"}, "must be whole seconds"},
		"a proxy's name":               {map[string]string{"TRUSTED_PROXIES": "::1, edge"}, "must be addresses"},
		"a path behind an origin":      {map[string]string{"CORS_ORIGINS": "https://a.example/"}, "must be * or origins"},
		"an origin with a wildcard":    {map[string]string{"CORS_ORIGINS": "https://*.example"}, "must be * or origins"},
		"every origin and another":     {map[string]string{"CORS_ORIGINS": "https://a.example,*"}, `"*" is none`},
		"room for not even one body":   {map[string]string{"MAX_BODY_BYTES_IN_FLIGHT": "1024"}, "must not be less than"},
		"a network that is an address": {map[string]string{"TRUSTED_PROXIES": "10.0.0.1/8"}, `"10.0.0.1/8" is none`},
		"a switch in another word":     {map[string]string{"REQUIRE_IF_MATCH": "yes"}, `REQUIRE_IF_MATCH: must be one of true, false, is "yes"`},
		"an empty password":            {map[string]string{"DB_PASSWORD": "\n"}, "DB_PASSWORD: is set but empty"},
		"a password and its file":      {map[string]string{"DB_PASSWORD": "hunter2", "DB_PASSWORD_FILE": empty}, "DB_PASSWORD: must not be set together with DB_PASSWORD_FILE"},
		"an empty password file":       {map[string]string{"DB_PASSWORD_FILE": empty}, "DB_PASSWORD_FILE: file " + empty + " is empty"},
		"a missing password file":      {map[string]string{"DB_PASSWORD_FILE": "/no/such/file"}, "DB_PASSWORD_FILE: open /no/such/file"},
		"a password file without path": {map[string]string{"DB_PASSWORD_FILE": ""}, "DB_PASSWORD_FILE: is set but empty"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Load(environment(required, test.set))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error = %v, want it to contain %q", err, test.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows a secret: %v", err)
			}
			if n := strings.Count(err.Error(), "\n") + 1; n != 1 {
				t.Errorf("one mistake is reported as %d: %v", n, err)
			}
			if !reflect.ValueOf(got).IsZero() {
				t.Errorf("got %+v beside the error", got)
			}
		})
	}
}

func TestLoadReportsEveryProblemAtOnce(t *testing.T) {
	t.Parallel()
	_, err := Load(environment(map[string]string{
		"HTTP_ADDR": "x", "DB_PORT": "x", "LOG_LEVEL": "x", "SHUTDOWN_GRACE": "x", "DB_USER": "u",
	}))
	if err == nil {
		t.Fatal("no error")
	}
	for _, name := range []string{"HTTP_ADDR", "DB_HOST", "DB_NAME", "DB_PORT", "LOG_LEVEL", "SHUTDOWN_GRACE"} {
		if !strings.Contains(err.Error(), name+": ") {
			t.Errorf("%s is missing in: %v", name, err)
		}
	}
}

func TestCommandsAskForWhatTheyNeed(t *testing.T) {
	t.Parallel()
	if _, err := LoadHealthcheck(environment(map[string]string{"LOG_LEVEL": "nonsense"})); err != nil {
		t.Errorf("healthcheck: %v", err)
	}
	if _, err := LoadMaintenance(environment(required, map[string]string{"HTTP_ADDR": "nonsense"})); err != nil {
		t.Errorf("migrate: %v", err)
	}
	if _, err := LoadMaintenance(environment()); err == nil {
		t.Error("migrate does without a database")
	}
}

// One row of the documentation stands for each variable, with its default.
func TestDocumentationListsTheVariables(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n## Variables\n")
	section, _, _ = strings.Cut(section, "\n## ")
	if !found {
		t.Fatal("the section Variables is missing")
	}
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|([^|]*)\\|").FindAllStringSubmatch(section, -1) {
		documented = append(documented, row[1]+" "+strings.Trim(strings.TrimSpace(row[2]), "`"))
	}
	c, err := Load(environment(required))
	if err != nil {
		t.Fatal(err)
	}
	var read []string
	for _, v := range c.Variables() {
		fallback := v.Default
		if v.Required {
			fallback = "required"
		}
		read = append(read, v.Name+" "+fallback)
	}
	if diff := cmp.Diff(documented, read); diff != "" {
		t.Errorf("(-documented +read):\n%s", diff)
	}
	if n := leaves(reflect.TypeFor[Config]()); n != len(read) {
		t.Errorf("Config has %d fields, but %d variables are read", n, len(read))
	}
}

// leaves counts the exported fields of a struct, those of nested structs included.
func leaves(t reflect.Type) int {
	n := 0
	for field := range t.Fields() {
		switch {
		case !field.IsExported():
		case field.Type.Kind() == reflect.Struct && field.Type != reflect.TypeFor[Secret]():
			n += leaves(field.Type)
		default:
			n++
		}
	}
	return n
}

func TestSecretIsNeverPrinted(t *testing.T) {
	t.Parallel()
	const text = "hunter2"
	secret := NewSecret(text)
	nested := struct{ S Secret }{secret}
	var prints []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%o", "%p", "%T", "%w"} {
		prints = append(prints, fmt.Sprintf(verb, secret), fmt.Sprintf(verb, &secret), fmt.Sprintf(verb, nested))
	}
	prints = append(prints, secret.String(), secret.GoString(), fmt.Sprint(nested), fmt.Sprintln(map[Secret]Secret{secret: secret}))
	for _, v := range []any{secret, &secret, nested, []Secret{secret}, map[string]Secret{"s": secret}, Config{Database: Database{Password: secret}}} {
		encoded, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var logged bytes.Buffer
		slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "v", v)
		slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "v", v)
		prints = append(prints, string(encoded), logged.String())
	}
	for _, printed := range prints {
		if strings.Contains(printed, text) || strings.Contains(printed, fmt.Sprintf("%x", text)) {
			t.Errorf("printed %q", printed)
		}
	}
	if secret.Reveal() != text {
		t.Error("Reveal does not return the text")
	}
}

func TestEffectiveConfigurationIsLoggedWithoutSecrets(t *testing.T) {
	t.Parallel()
	c, err := Load(environment(required, map[string]string{"DB_PASSWORD": "hunter2\r\n", "DB_PORT": "5433"}))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Database.Password.Reveal(); got != "hunter2" {
		t.Errorf("password = %q, want it without its line end", got)
	}
	var line bytes.Buffer
	slog.New(slog.NewJSONHandler(&line, nil)).Info("serving", "config", c)
	var parsed struct{ Config map[string]string }
	if err := json.Unmarshal(line.Bytes(), &parsed); err != nil {
		t.Fatal(err)
	}
	if parsed.Config["DB_PASSWORD"] != "[redacted]" || parsed.Config["DB_PORT"] != "5433" || parsed.Config["HTTP_ADDR"] != ":8080" {
		t.Errorf("config = %v", parsed.Config)
	}
	if _, there := parsed.Config["DB_PASSWORD_FILE"]; there {
		t.Errorf("a variable without a value is logged: %v", slices.Sorted(maps.Keys(parsed.Config)))
	}
}
