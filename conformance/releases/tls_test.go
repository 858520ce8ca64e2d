package releases

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"bookshelf/conformance/internal/images"
)

// secureHost is the name that the certificate is for. It resolves nowhere but at the authority's name server.
const secureHost = "books.test"

// secureService probes over TLS what the environment's own service offers to read.
const secureService = `  bookshelf:service:
    version_header: X-Bookshelf-Version
    environment: {AUTH: 'off', HTTP_REQUEST_TIMEOUT: 12s}
    smoke: [/version]
    probe:
      shares: {read: 1, write: 0, slow: 0}
      version_header: X-Bookshelf-Version
      root_ca: %s
      server_name: %s
      read:
        - {path: '/api/v1/books?limit=5', status: [200]}`

// TestAnEnvironmentGetsItsCertificateAndReleasesUnderIt deploys an environment whose edge asks a real ACME server (Pebble) that really
// validates, and releases over HTTPS.
func TestAnEnvironmentGetsItsCertificateAndReleasesUnderIt(t *testing.T) {
	t.Parallel()
	if !full() {
		t.Skip("make e2e runs it: the edge's own tests get certificates from the same authority")
	}
	base := product(t)
	v1, v2 := images.Product(t, base, "v1"), images.Product(t, base, "v2")
	r := newRepository(t)
	plain, secure := freePort(t), freePort(t)
	ca := r.authority(plain)
	e := r.environmentOn(plain, "  bookshelf:tls: acme", "  bookshelf:hosts: "+secureHost,
		fmt.Sprintf("  bookshelf:httpsPort: %q", fmt.Sprint(secure)), "  bookshelf:acmeDirectory: "+ca.directory, "  bookshelf:acmeRoots: "+ca.trust,
		fmt.Sprintf("  bookshelf:url: https://127.0.0.1:%d", secure), fmt.Sprintf(secureService, ca.issuer, secureHost))
	root, err := os.ReadFile(ca.issuer)
	r.must(err)
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(root)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted, ServerName: secureHost}}
	e.url, e.client = fmt.Sprintf("https://127.0.0.1:%d", secure), &http.Client{
		Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	e.up(v1)
	var response *http.Response
	e.until("served with the authority's certificate", func() bool {
		var err error
		if response, err = e.get(e.url + "/version"); err != nil { //nolint:bodyclose // get closes it
			return false
		}
		return true
	})
	if hsts := response.Header.Get("Strict-Transport-Security"); response.StatusCode != http.StatusOK || hsts == "" {
		t.Errorf("over HTTPS: %s, HSTS %q", response.Status, hsts)
	}
	//nolint:bodyclose // get closes it
	if response, err := e.get(fmt.Sprintf("http://127.0.0.1:%d/version", plain)); err != nil || response.StatusCode != http.StatusPermanentRedirect {
		t.Errorf("over HTTP: %v, %v, want a redirect", response, err)
	}
	released, code := e.release(v2)
	e.wantReleased("over HTTPS: v2", released, code)
}

func (e *environment) get(url string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(e.t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := e.client.Do(request)
	if err != nil {
		return nil, err
	}
	return response, response.Body.Close()
}

// authority is a Pebble that asks for challenges on a port of this machine.
type authority struct {
	directory string
	// trust and issuer are PEM files: what the directory is trusted by, and what its certificates are.
	trust, issuer string
}

// bridge is this machine's address on the engine's own bridge. The engine does not always say it, the interface does.
func (r *repository) bridge() net.IP {
	t := r.t
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "docker", "network", "inspect", "bridge",
		"--format", `{{index .Options "com.docker.network.bridge.name"}}`).Output()
	r.must(err)
	on, err := net.InterfaceByName(strings.TrimSpace(string(out)))
	r.must(err)
	addresses, err := on.Addrs()
	r.must(err)
	for _, address := range addresses {
		if network, is := address.(*net.IPNet); is && network.IP.To4() != nil {
			return network.IP
		}
	}
	t.Fatalf("%s has no IPv4 address", on.Name)
	return nil
}

// authority starts one where containers reach it: on the engine's own bridge, which is on this machine alone.
func (r *repository) authority(challenges int) authority {
	t := r.t
	t.Helper()
	pebble := r.tool("pebble")
	bridge := r.bridge()
	dir := t.TempDir()
	a := authority{directory: fmt.Sprintf("https://%s:%d/dir", bridge, freePort(t)), trust: filepath.Join(dir, "trust.pem"), issuer: filepath.Join(dir, "issuer.pem")}
	listen, management := a.directory[len("https://"):len(a.directory)-len("/dir")], fmt.Sprintf("127.0.0.1:%d", freePort(t))
	key := filepath.Join(dir, "key.pem")
	r.selfSigned(a.trust, key, bridge)
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": listen, "managementListenAddress": management, "certificate": a.trust, "privateKey": key,
		"httpPort": challenges, "tlsPort": 1, // nobody there: http-01 or nothing
	}})
	r.must(err)
	file := filepath.Join(dir, "pebble.json")
	r.must(os.WriteFile(file, config, 0o600))
	process := exec.Command(pebble, "-config", file, "-dnsserver", r.resolver())
	process.Env = []string{"PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=20"}
	r.must(process.Start())
	t.Cleanup(func() {
		_ = process.Process.Kill()
		_ = process.Wait()
	})
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // the management's own
	for range 100 {
		var response *http.Response
		if response, err = client.Get("https://" + management + "/roots/0"); err == nil {
			var root []byte
			root, err = io.ReadAll(response.Body)
			response.Body.Close()
			r.must(err)
			r.must(os.WriteFile(a.issuer, root, 0o600))
			return a
		}
		<-time.After(100 * time.Millisecond)
	}
	t.Fatalf("Pebble does not answer: %v", err)
	return a
}

// selfSigned writes a certificate for an address, and its key.
func (r *repository) selfSigned(cert, key string, address net.IP) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	r.must(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "directory"}, IPAddresses: []net.IP{address, net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	r.must(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	r.must(err)
	r.must(os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	r.must(os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
}

// resolver is a name server to which every name is this machine. Pebble asks by TCP: two bytes of length before each message (RFC 1035,
// section 4.2.2).
func (r *repository) resolver() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	r.must(err)
	r.t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				answerNames(conn)
			}()
		}
	}()
	return listener.Addr().String()
}

func answerNames(conn net.Conn) {
	for {
		var length [2]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return
		}
		query := make([]byte, int(length[0])<<8|int(length[1]))
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		var message dnsmessage.Message
		if message.Unpack(query) != nil || len(message.Questions) != 1 {
			return
		}
		message.Response, message.Additionals = true, nil
		if q := message.Questions[0]; q.Type == dnsmessage.TypeA {
			message.Answers = []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class}, Body: &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
			}}
		}
		answer, err := message.Pack()
		if err != nil {
			return
		}
		if _, err := conn.Write(append([]byte{byte(len(answer) >> 8), byte(len(answer))}, answer...)); err != nil {
			return
		}
	}
}
