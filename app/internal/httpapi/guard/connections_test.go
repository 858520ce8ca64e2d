package guard

import (
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"
)

// conn is a connection from an address that remembers that it was closed.
type conn struct {
	net.Conn

	from   string
	closed bool
}

func (c *conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.from)) }

func (c *conn) Close() error {
	c.closed = true
	return nil
}

func TestConnectionsBeyondTheLimitAreClosed(t *testing.T) {
	t.Parallel()
	g := New(Options{
		MaxConnections: 6, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	}, time.Now, nil)
	open := func(from string) *conn {
		c := &conn{from: from}
		g.ConnState(c, http.StateNew)
		if !c.closed {
			g.ConnState(c, http.StateActive)
			g.ConnState(c, http.StateIdle)
		}
		return c
	}
	var all []*conn
	for i, step := range []struct {
		from   string
		closed bool
	}{
		{"203.0.113.7:1", false},
		{"203.0.113.7:2", false},
		{"203.0.113.7:3", false},
		{"203.0.113.7:4", true}, // more than half
		{"10.0.0.1:1", false},
		{"10.0.0.1:2", false},
		{"10.0.0.1:3", false},
		{"10.0.0.1:4", true}, // there are no more
	} {
		c := open(step.from)
		if all = append(all, c); c.closed != step.closed {
			t.Errorf("connection %d from %s: closed %v, want %v", i, step.from, c.closed, step.closed)
		}
	}
	if n, refused := g.Connections(); n != 8 || refused != 2 {
		t.Errorf("%d connections, %d refused", n, refused)
	}
	for _, c := range all {
		g.ConnState(c, http.StateClosed)
	}
	if n, _ := g.Connections(); n != 0 || g.connections.open.used != 0 {
		t.Errorf("in the end %d connections, %d counted", n, g.connections.open.used)
	}
	for port := range uint16(5) {
		if c := open(netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), port+1).String()); c.closed {
			t.Errorf("connection %d of a trusted proxy, which speaks for many clients, is closed", port)
		}
	}
}
