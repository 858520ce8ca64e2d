package settings

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTheDefaultsServePlainHTTP(t *testing.T) {
	t.Parallel()
	got, err := Load([]string{"HOME=/", "PATH=/bin"})
	if err != nil {
		t.Fatal(err)
	}
	want := Settings{
		HTTPAddr: ":8080", HTTPSAddr: ":8443", MetricsAddr: ":9090", HTTPSPort: 443,
		AdminSocket: "/run/edge/admin.sock", Data: "/data", TLS: TLSOff,
		ReadyPath: "/readyz", RetryFor: 5 * time.Second, Grace: 20 * time.Second,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.HTTPPort() != 8080 {
		t.Errorf("the port is %d", got.HTTPPort())
	}
}

func TestHostsAreAListWithCommas(t *testing.T) {
	t.Parallel()
	got, err := Load([]string{"EDGE_TLS=internal", "EDGE_HOSTS=Shop.Example, api.shop.example,192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"shop.example", "api.shop.example", "192.0.2.1"}, got.Hosts); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestABadVariableIsNamed(t *testing.T) {
	t.Parallel()
	acme := []string{"EDGE_TLS=acme", "EDGE_HOSTS=a.example"}
	for name, c := range map[string]struct {
		environ []string
		want    string
	}{
		"an address without a port":  {[]string{"EDGE_HTTP_ADDR=localhost"}, "EDGE_HTTP_ADDR: must be host:port"},
		"a port by name":             {[]string{"EDGE_METRICS_ADDR=:http"}, "EDGE_METRICS_ADDR: must be host:port"},
		"port 0":                     {[]string{"EDGE_HTTPS_ADDR=:0"}, "EDGE_HTTPS_ADDR: must be host:port"},
		"a port of six digits":       {[]string{"EDGE_HTTPS_PORT=443443"}, "EDGE_HTTPS_PORT: must be a port"},
		"set but empty":              {[]string{"EDGE_READY_PATH="}, "EDGE_READY_PATH: is set but empty"},
		"a relative path":            {[]string{"EDGE_DATA=data"}, "EDGE_DATA: must be an absolute path"},
		"a long socket":              {[]string{"EDGE_ADMIN_SOCKET=/" + strings.Repeat("x", 120)}, "EDGE_ADMIN_SOCKET: must not be longer"},
		"a number without a unit":    {[]string{"EDGE_RETRY_FOR=5"}, "EDGE_RETRY_FOR: must be a duration"},
		"no patience":                {[]string{"EDGE_RETRY_FOR=0s"}, "EDGE_RETRY_FOR: must be from"},
		"far too much patience":      {[]string{"EDGE_GRACE=24h"}, "EDGE_GRACE: must be from"},
		"neither on nor off":         {[]string{"EDGE_ACCESS_LOG=yes"}, "EDGE_ACCESS_LOG: must be one of off, on"},
		"an unknown way":             {[]string{"EDGE_TLS=on"}, "EDGE_TLS: must be one of off, acme, internal, files"},
		"a misspelt name":            {[]string{"EDGE_HOST=a.example"}, "EDGE_HOST: there is no such variable"},
		"hosts without certificates": {[]string{"EDGE_HOSTS=a.example"}, "EDGE_HOSTS: is only for EDGE_TLS=acme or internal"},
		"certificates without hosts": {[]string{"EDGE_TLS=acme"}, "EDGE_HOSTS: is required"},
		"a wildcard":                 {[]string{"EDGE_TLS=acme", "EDGE_HOSTS=*.example"}, `"*.example" is none`},
		"a hole in the list":         {[]string{"EDGE_TLS=acme", "EDGE_HOSTS=a.example,"}, `"" is none`},
		"a directory in the clear":   {append(acme, "EDGE_ACME_DIRECTORY=http://ca.example/dir"), "EDGE_ACME_DIRECTORY: must be an https URL"},
		"mail to nobody":             {append(acme, "EDGE_ACME_EMAIL=nobody"), "EDGE_ACME_EMAIL: must be an address"},
		"roots that are not there":   {append(acme, "EDGE_ACME_ROOTS=/nowhere/roots.pem"), "EDGE_ACME_ROOTS: open /nowhere/roots.pem"},
		"a check too often":          {append(acme, "EDGE_RENEW_CHECK=1ms"), "EDGE_RENEW_CHECK: must be from"},
		"files without files":        {[]string{"EDGE_TLS=files"}, "EDGE_CERT_FILE: is required"},
		"a file for another way":     {append(acme, "EDGE_CERT_FILE=/cert.pem"), "EDGE_CERT_FILE: is only for EDGE_TLS=files"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Load(c.environ)
			if _, ok := errors.AsType[*InvalidError](err); !ok || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v; want one with %q", err, c.want)
			}
		})
	}
}

func TestEveryProblemIsOneLine(t *testing.T) {
	t.Parallel()
	_, err := Load([]string{"EDGE_TLS=files", "EDGE_CERT_FILE=/nowhere", "EDGE_GRACE=soon", "EDGE_COLOUR=blue"})
	if err == nil || len(strings.Split(err.Error(), "\n")) != 4 {
		t.Errorf("not four lines for four problems: %v", err)
	}
}

// The page and the program must name the same variables.
func TestTheReadmeListsEveryVariable(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("settings.go")
	if err != nil {
		t.Fatal(err)
	}
	names := func(pattern string, text []byte) map[string]bool {
		found := map[string]bool{}
		for _, match := range regexp.MustCompile(pattern).FindAllSubmatch(text, -1) {
			found[string(match[1])] = true
		}
		return found
	}
	inPage, inSource := names("(?m)^\\| `(EDGE_[A-Z_]+)`", page), names(`"(EDGE_[A-Z]+_*[A-Z_]*)"`, source)
	if diff := cmp.Diff(inSource, inPage); diff != "" {
		t.Errorf("(-settings.go +README.md):\n%s", diff)
	}
}
