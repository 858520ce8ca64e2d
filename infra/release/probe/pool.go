package probe

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"sync"
	"syscall"
)

const (
	// keptConnections is how many kept connections there are at least. They take turns, so that each of them lives through the whole
	// release.
	keptConnections = 16
	// maxIdle is how many are kept when many requests had to wait at once and their connections become idle.
	maxIdle = 128
)

// pool has the connections of a probe.
type pool struct {
	address string
	tls     *tls.Config // nil for plain HTTP
	dialer  net.Dialer

	mu   sync.Mutex
	idle []*connection // the longest idle first
	open map[*connection]struct{}
	shut bool
}

// newPool makes a pool of connections to the host of a URL.
func newPool(c Config, base *url.URL) (*pool, error) {
	p := &pool{address: base.Host, open: map[*connection]struct{}{}}
	port := map[string]string{"http": "80", "https": "443"}[base.Scheme]
	if base.Port() == "" {
		p.address = net.JoinHostPort(base.Hostname(), port)
	}
	if base.Scheme == "http" {
		return p, nil
	}
	p.tls = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName, NextProtos: []string{"http/1.1"}}
	if c.ServerName == "" {
		p.tls.ServerName = base.Hostname()
	}
	if c.RootCA == "" {
		return p, nil
	}
	pem, err := os.ReadFile(c.RootCA)
	if err != nil {
		return nil, fmt.Errorf("root_ca: %w", err)
	}
	p.tls.RootCAs = x509.NewCertPool()
	if !p.tls.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("root_ca: %s has no PEM certificate", c.RootCA)
	}
	return p, nil
}

// fill opens the kept connections.
func (p *pool) fill(ctx context.Context) error {
	for range keptConnections {
		c, err := p.dial(ctx, true)
		if err != nil {
			return err
		}
		p.put(c)
	}
	return nil
}

// take returns the kept connection that was idle for longest, or a new one.
func (p *pool) take(ctx context.Context) (*connection, error) {
	for {
		p.mu.Lock()
		if len(p.idle) == 0 {
			p.mu.Unlock()
			return p.dial(ctx, true)
		}
		c := p.idle[0]
		p.idle = p.idle[1:]
		p.mu.Unlock()
		if c.usable() {
			return c, nil
		}
		p.discard(c)
	}
}

// put gives a connection back that can carry another request.
func (p *pool) put(c *connection) {
	p.mu.Lock()
	full := !c.kept || p.shut || len(p.idle) >= maxIdle
	if !full {
		p.idle = append(p.idle, c)
	}
	p.mu.Unlock()
	if full {
		p.discard(c)
	}
}

func (p *pool) discard(c *connection) {
	p.mu.Lock()
	delete(p.open, c)
	p.mu.Unlock()
	_ = c.Close() // what it was good for has been read
}

// close ends every connection, in whatever it is doing, and lets no other be opened.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut = true
	for c := range p.open {
		_ = c.Close() // whoever uses it gets the error
	}
}

func (p *pool) dial(ctx context.Context, kept bool) (*connection, error) {
	tcp, err := p.dialer.DialContext(ctx, "tcp", p.address)
	if err != nil {
		return nil, err
	}
	beneath, err := tcp.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil, errors.Join(err, tcp.Close())
	}
	c := &connection{Conn: tcp, beneath: beneath, kept: kept}
	if p.tls != nil {
		secure := tls.Client(tcp, p.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = tcp.Close() // the handshake may have closed it
			return nil, fmt.Errorf("TLS with %s: %w", p.address, err)
		}
		c.Conn = secure
	}
	c.reader = bufio.NewReader(c.Conn)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shut {
		return nil, errors.Join(net.ErrClosed, c.Close())
	}
	p.open[c] = struct{}{}
	return c, nil
}
