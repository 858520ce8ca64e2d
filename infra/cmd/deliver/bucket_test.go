package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"bookshelf/infra/backup"
	"bookshelf/infra/delivery"
)

// ownAddress is where containers reach this machine: the address that it would send from.
func ownAddress(t *testing.T) net.IP {
	t.Helper()
	conn, err := net.Dial("udp", "192.0.2.1:9") // nothing is sent
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).IP
}

// serveBucket serves a bucket called books by S3's protocol over TLS, and returns its endpoint and the PEM of the authority that vouches for it.
func serveBucket(t *testing.T) (endpoint, roots string) {
	t.Helper()
	memory := s3mem.New()
	if err := memory.CreateBucket("books"); err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	address := ownAddress(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{address},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", net.JoinHostPort(address.String(), "0"), &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}}, MinVersion: tls.VersionTLS12,
	})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: gofakes3.New(memory).Server(), ReadHeaderTimeout: time.Minute}
	go server.Serve(listener) // it ends when it is closed
	t.Cleanup(func() { _ = server.Close() })
	return listener.Addr().String(), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}))
}

// TestBackupsAreKeptInABucket is a repository by S3's protocol, with a real client and a server in this process.
//
//nolint:paralleltest // the steps are an order
func TestBackupsAreKeptInABucket(t *testing.T) {
	if os.Getenv("E2E") != "full" {
		t.Skip("only in the long form: make e2e-data")
	}
	b := newBench(t)
	endpoint, roots := serveBucket(t)
	for name, content := range map[string]string{"key": "AKIATEST", "secret": "hush-hush-hush", "roots.pem": roots} {
		b.must(os.WriteFile(filepath.Join(b.root, "infra", name), []byte(content), 0o600))
	}
	b.configure("  bookshelf:port: %s\n  bookshelf:appMemoryMiB: 64\n  bookshelf:databaseMemoryMiB: 256\n"+
		"  bookshelf:backup:\n    repository: {type: s3, bucket: books, endpoint: %q, region: here, uri_style: path, key_file: key, secret_file: secret, roots_file: roots.pem}\n",
		b.url[strings.LastIndex(b.url, ":")+1:], endpoint)
	b.up("--image", b.image)
	b.backups(1)
	if taken := b.take(backup.Incremental); taken.Verified == nil || taken.Fault != "" {
		t.Errorf("taken: %+v", taken)
	}
	if result := b.restore("LATEST"); result.Content.Rows() == 0 {
		t.Errorf("restored: %+v", result)
	}
	code, stdout, stderr := b.deliver("drill", "--json")
	var result delivery.DrillResult
	if err := json.Unmarshal([]byte(stdout), &result); err != nil || code != exitDone || !result.AllSame() {
		t.Errorf("drill: exit code %d, %v, %+v: %s", code, err, result.Report, stderr)
	}
	if strings.Contains(b.docker("inspect", b.container("backup")), "hush-hush-hush") {
		t.Error("docker inspect shows the key of the bucket")
	}
	// The backup container alone is on the way to the bucket.
	for _, instance := range b.instances() {
		out := strings.Contains(strings.Join(instance.Networks, " "), b.container("repository"))
		if out != (instance.Component == backup.Component) {
			t.Errorf("%s is on networks %v", instance.Name, instance.Networks)
		}
	}
}
