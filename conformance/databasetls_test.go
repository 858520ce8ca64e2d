package conformance

import (
	"archive/tar"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority signs certificates of servers.
type authority struct {
	t           *testing.T
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	a := authority{t: t}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "an authority for tests"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	a.key = newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue makes a certificate for a host name, and its key, both in PEM.
func (a authority) issue(host string) (certificate, key []byte) {
	a.t.Helper()
	own := newKey(a.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &own.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// file writes the authority's certificate where a container's user can read it.
func (a authority) file() string {
	a.t.Helper()
	path := filepath.Join(a.t.TempDir(), "ca.crt")
	if err := os.WriteFile(path, a.pem, 0o444); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// encrypt makes the database take nothing but TLS, with a certificate for its name.
func (d database) encrypt(t *testing.T, a authority) {
	t.Helper()
	certificate, key := a.issue(d.host)
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for name, content := range map[string][]byte{"server.crt": certificate, "server.key": key} {
		// PostgreSQL insists on a key that nobody else can read. 999 is its user.
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Uid: 999, Gid: 999, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	given := exec.CommandContext(t.Context(), "docker", "cp", "--archive", "-", d.host+":/etc")
	given.Stdin = &archive
	if out, err := given.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	docker(t, "exec", "--user", "postgres", d.host, "sh", "-c", `printf 'local all postgres trust\nhostssl all all all scram-sha-256\n' > "$PGDATA/pg_hba.conf"`)
	for _, statement := range []string{
		"ALTER SYSTEM SET ssl_cert_file = '/etc/server.crt'", "ALTER SYSTEM SET ssl_key_file = '/etc/server.key'", "ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()",
	} {
		docker(t, "exec", "--user", "postgres", d.host, "psql", "--quiet", "--command", statement)
	}
	eventually(t, "PostgreSQL speaks TLS", func() string {
		if on := docker(t, "exec", "--user", "postgres", d.host, "psql", "--tuples-only", "--no-align", "--command", "SHOW ssl"); on != "on" {
			return "without: " + on
		}
		return ""
	})
}

// TestTheServiceKnowsItsDatabaseByItsCertificate is about a database that is reached over a network which is not its own.
func TestTheServiceKnowsItsDatabaseByItsCertificate(t *testing.T) {
	t.Parallel()
	image := imageUnderTest(t)
	d, ours := startDatabase(t), newAuthority(t)
	d.encrypt(t, ours)
	alias := uniqueName()
	docker(t, "network", "disconnect", d.network, d.host)
	docker(t, "network", "connect", "--alias", alias, d.network, d.host)
	trusted, stranger := ours.file(), newAuthority(t).file()

	for name, test := range map[string]struct {
		host, mode, roots string
		want              string // of the complaint, "" where it works
	}{
		"its name, of an authority that is trusted": {d.host, "verify-full", trusted, ""},
		"another name": {alias, "verify-full", trusted, "certificate is valid for " + d.host},
		"another name, where names do not matter":         {alias, "verify-ca", trusted, ""},
		"an authority of somebody else":                   {d.host, "verify-full", stranger, "certificate signed by unknown authority"},
		"an authority of somebody else, without its name": {d.host, "verify-ca", stranger, "certificate signed by unknown authority"},
		"no TLS, which the server does not take":          {d.host, "disable", "", "no encryption"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := []string{"--rm", "--env", "DB_HOST=" + test.host, "--env", "DB_SSLMODE=" + test.mode}
			if test.roots != "" {
				args = append(args, "--volume", test.roots+":/run/secrets/ca.crt:ro", "--env", "DB_SSLROOTCERT=/run/secrets/ca.crt")
			}
			out, err := tryDocker(t.Context(), d.run("bookshelf_owner", append(args, image, "migrate")...)...)
			if (err == nil) != (test.want == "") || !strings.Contains(out, test.want) {
				t.Errorf("%v: %s, want %q", err, out, test.want)
			}
		})
	}
}
