package edgetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// authority is a Pebble: an ACME server that really validates, and refuses some requests on purpose.
type authority struct {
	directory string
	roots     string // PEM file: whom to trust for the directory
	issuers   *x509.CertPool
	cmd       *exec.Cmd
}

// newAuthority starts one that asks for challenges on the port of challenges, and whose certificates live for validity.
func newAuthority(t *testing.T, challenges string, validity time.Duration) *authority {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "..", "..", ".tools", "bin", "pebble"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("REQUIRE_PEBBLE") == "1" {
			t.Fatalf("REQUIRE_PEBBLE=1: %v", err)
		}
		t.Skip("there is no .tools/bin/pebble; GOWORK=off go run -C tools ./install pebble builds it")
	}
	dir := t.TempDir()
	cert, key := selfSigned(t, dir, "127.0.0.1")
	listen, management := freeAddress(t), freeAddress(t)
	_, portText, err := net.SplitHostPort(challenges)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		t.Fatal(err)
	}
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": listen, "managementListenAddress": management,
		"certificate": cert, "privateKey": key,
		"httpPort": port, "tlsPort": 1, // nobody there: http-01 or nothing
		"profiles": map[string]any{"default": map[string]any{"description": "short", "validityPeriod": int(validity.Seconds())}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "pebble.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	a := &authority{directory: "https://" + listen + "/dir", roots: cert, issuers: x509.NewCertPool()}
	a.cmd = exec.Command(path, "-config", file, "-dnsserver", resolver(t))
	a.cmd.Env = []string{"PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=20"}
	log := &journal{}
	a.cmd.Stdout, a.cmd.Stderr = log, log
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = a.cmd.Process.Kill()
		_ = a.cmd.Wait()
		if t.Failed() {
			t.Logf("Pebble's log:\n%s", log)
		}
	})
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	eventually(t, "Pebble is up", time.Minute, func() error {
		res, err := client.Get("https://" + management + "/roots/0")
		if err != nil {
			return err
		}
		defer res.Body.Close()
		root, err := io.ReadAll(res.Body)
		if err != nil || !a.issuers.AppendCertsFromPEM(root) {
			return fmt.Errorf("no root: %w", err)
		}
		return nil
	})
	return a
}

// resolver is a name server to which every name is this machine. Pebble asks by TCP.
func resolver(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{Listener: listener, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		answer := new(dns.Msg).SetReply(q)
		if len(q.Question) == 1 && q.Question[0].Qtype == dns.TypeA {
			header := dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET}
			answer.Answer = []dns.RR{&dns.A{Hdr: header, A: net.IPv4(127, 0, 0, 1)}}
		}
		_ = w.WriteMsg(answer)
	})}
	go func() { _ = server.ActivateAndServe() }()
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String()
}

// selfSigned writes a certificate for a host and its key, and returns their paths.
func selfSigned(t *testing.T, dir, host string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	err = errors.Join(
		os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}
