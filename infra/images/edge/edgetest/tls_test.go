package edgetest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
)

const host = "shop.example.test"

// client speaks to the edge as if host were its name.
func (e *edge) client(roots *x509.CertPool, keep bool) *http.Client {
	return &http.Client{
		Timeout: 20 * time.Second,
		Transport: &http.Transport{
			ForceAttemptHTTP2: true,
			DisableKeepAlives: !keep,
			TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, network, e.https)
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// good sends one request, which must be answered with 200.
func good(client *http.Client, url string) (answer, error) {
	a, err := fetch(client, url)
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("status %d", a.status)
	}
	return a, err
}

// speaks checks what every way of getting certificates has in common.
func (e *edge) speaks(roots *x509.CertPool) {
	e.t.Helper()
	e.eventually("HTTPS is answered", func() error { _, err := good(e.client(roots, true), "https://"+host+"/"); return err })
	a, err := good(e.client(roots, true), "https://"+host+"/")
	if err != nil {
		e.t.Fatal(err)
	}
	port := e.environment["EDGE_HTTPS_PORT"]
	if a.proto != 2 || a.header.Get("Delivery-Slot") != "blue" || a.header.Get("Strict-Transport-Security") != "max-age=31536000" ||
		a.header.Get("Alt-Svc") != `h3=":`+port+`"; ma=86400` || strings.Contains(a.header.Get("Server"), "Caddy") {
		e.t.Errorf("the answer is by HTTP/%d with %v", a.proto, a.header)
	}
	quick := &http3.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS13}}
	defer quick.Close()
	if a, err = good(&http.Client{Transport: quick, Timeout: 20 * time.Second}, "https://"+e.https+"/"); err != nil || a.proto != 3 {
		e.t.Errorf("by HTTP/3: %v", err)
	}
	plain, err := http.NewRequestWithContext(e.t.Context(), http.MethodPost, "http://"+e.http+"/a/b?c=d", strings.NewReader("body"))
	if err != nil {
		e.t.Fatal(err)
	}
	plain.Host = host
	res, err := http.DefaultTransport.RoundTrip(plain)
	if err != nil {
		e.t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusPermanentRedirect || res.Header.Get("Location") != "https://"+host+":"+port+"/a/b?c=d" || res.Header.Get("Server") != "" {
		e.t.Errorf("plain HTTP is answered by %s with %v", res.Status, res.Header)
	}
	for name, old := range map[string]*tls.Config{
		"TLS 1.1":           {MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10},
		"a cipher of CBC":   {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA}},
		"no forward secret": {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}},
	} {
		old.RootCAs, old.ServerName = roots, host
		if conn, err := tls.Dial("tcp", e.https, old); err == nil {
			conn.Close()
			e.t.Errorf("%s is accepted", name)
		}
	}
}

func pool(t *testing.T, file string) *x509.CertPool {
	t.Helper()
	t.Helper()
	roots := x509.NewCertPool()
	text, err := os.ReadFile(file)
	if err != nil || !roots.AppendCertsFromPEM(text) {
		t.Fatalf("no certificate in %s: %v", file, err)
	}
	return roots
}

func TestWithoutTLSHTTP2IsSpokenToo(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.start()
	e.set(ask("", slot("blue", 100, newReplica(t, "blue"))))
	e.healthy()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	a, err := good(&http.Client{Transport: &http.Transport{Protocols: protocols}}, "http://"+e.http+"/")
	if err != nil || a.proto != 2 || a.header.Get("Strict-Transport-Security") != "" {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestCertificatesFromFiles(t *testing.T) {
	t.Parallel()
	cert, key := selfSigned(t, t.TempDir(), host)
	e := newEdge(t, "EDGE_TLS", "files", "EDGE_CERT_FILE", cert, "EDGE_KEY_FILE", key)
	e.start()
	e.set(ask("", slot("blue", 100, newReplica(t, "blue"))))
	e.healthy()
	e.speaks(pool(t, cert))
}

func TestCertificatesFromAnAuthorityOfItsOwn(t *testing.T) {
	t.Parallel()
	e := newEdge(t, "EDGE_TLS", "internal", "EDGE_HOSTS", host)
	e.start()
	e.set(ask("", slot("blue", 100, newReplica(t, "blue"))))
	e.healthy()
	e.speaks(pool(t, filepath.Join(e.dir, "caddy", "pki", "authorities", "local", "root.crt")))
	if got := e.metric(`edge_certificate_failing{host="` + host + `"}`); got != "0" {
		t.Errorf("the metric of failures is %q", got)
	}
}

// The whole life of a certificate: issued after a real validation, renewed under load, kept when the authority is gone.
func TestCertificatesFromACMEAreRenewedUnderLoad(t *testing.T) {
	t.Parallel()
	e := newEdge(t, "EDGE_TLS", "acme", "EDGE_HOSTS", host, "EDGE_ACME_EMAIL", "ops@example.test", "EDGE_RENEW_CHECK", "1s")
	const validity = 30 * time.Second
	ca := newAuthority(t, e.http, validity)
	e.environment["EDGE_ACME_DIRECTORY"], e.environment["EDGE_ACME_ROOTS"] = ca.directory, ca.roots
	e.start()
	e.set(ask("", slot("blue", 100, newReplica(t, "blue"))))
	e.healthy()
	e.speaks(ca.issuers)

	stop := make(chan struct{})
	var load sync.WaitGroup
	var sent, failed atomic.Int64
	serials := make(chan string, 1000)
	for _, keep := range []bool{true, false} { // one on a kept connection, one with a handshake each time
		client := e.client(ca.issuers, keep)
		load.Go(func() {
			pace := time.NewTicker(20 * time.Millisecond)
			defer pace.Stop()
			for {
				select {
				case <-stop:
					return
				case <-pace.C:
				}
				sent.Add(1)
				a, err := good(client, "https://"+host+"/")
				if err != nil {
					failed.Add(1)
					t.Errorf("request %d: %v", sent.Load(), err)
					continue
				}
				if !keep {
					select {
					case serials <- a.serial:
					default:
					}
				}
			}
		})
	}
	seen := map[string]bool{}
	e.eventually("the certificate is renewed", func() error {
		for len(serials) > 0 {
			seen[<-serials] = true
		}
		if len(seen) < 2 {
			return fmt.Errorf("%d certificates so far", len(seen))
		}
		return nil
	})
	expiry, err := strconv.ParseFloat(e.metric(`edge_certificate_expiry_timestamp_seconds{host="`+host+`"}`), 64)
	if left := time.Until(time.Unix(int64(expiry), 0)); err != nil || left <= 0 || left > validity {
		t.Errorf("the metric says that the certificate expires in %v, %v", left, err)
	}

	_ = ca.cmd.Process.Kill()
	failing := `edge_certificate_failing{host="` + host + `"}`
	e.eventually("the metric shows that a renewal failed", func() error {
		if got := e.metric(failing); got != "1" {
			return fmt.Errorf("it is %q", got)
		}
		return nil
	})
	before := sent.Load()
	e.eventually("it goes on serving", func() error {
		if sent.Load() < before+50 {
			return errors.New("too few requests")
		}
		return nil
	})
	close(stop)
	load.Wait()
	t.Logf("%d requests, %d failed, %d certificates seen", sent.Load(), failed.Load(), len(seen))
	if e.metric(`edge_certificate_last_failure_timestamp_seconds{host="`+host+`"}`) == "0" {
		t.Error("the metric does not say when it failed")
	}
}

func TestAnAuthorityThatIsNotTrustedOrNotThereIsSaid(t *testing.T) {
	t.Parallel()
	wrong, _ := selfSigned(t, t.TempDir(), "127.0.0.1")
	for name, c := range map[string]struct {
		there bool
		want  string
	}{
		"not trusted": {true, "certificate signed by unknown authority"},
		"not there":   {false, "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t, "EDGE_TLS", "acme", "EDGE_HOSTS", host, "EDGE_ACME_ROOTS", wrong)
			e.environment["EDGE_ACME_DIRECTORY"] = "https://" + freeAddress(t) + "/dir"
			if c.there {
				e.environment["EDGE_ACME_DIRECTORY"] = newAuthority(t, e.http, time.Hour).directory
			}
			e.start()
			e.eventually("the log says why", func() error {
				for line := range strings.Lines(e.log.String()) {
					if strings.Contains(line, `"level":"error"`) && strings.Contains(line, host) && strings.Contains(line, c.want) {
						return nil
					}
				}
				return fmt.Errorf("no error with %q and the host", c.want)
			})
			e.eventually("the metric says so", func() error {
				if got := e.metric(`edge_certificate_failing{host="` + host + `"}`); got != "1" {
					return fmt.Errorf("it is %q", got)
				}
				return nil
			})
		})
	}
}
