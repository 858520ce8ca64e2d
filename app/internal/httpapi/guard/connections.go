package guard

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
)

// connections keeps the number of connections within bounds: each costs some 25 KiB, whether anything is sent on it or
// not.
type connections struct {
	open    *capacity
	refused sync.Map // net.Conn → struct{}: those that are being closed

	count, turnedAway atomic.Int64
}

// ConnState is for http.Server: it closes a connection that is one too many, before anything is read from it. There is
// nobody yet to send an answer to.
func (g *Guard) ConnState(conn net.Conn, state http.ConnState) {
	c := &g.connections
	switch state {
	case http.StateNew:
		c.count.Add(1)
		if !c.open.take(g.connectionKey(conn), 1) {
			c.turnedAway.Add(1)
			c.refused.Store(conn, struct{}{})
			conn.Close()
		}
	case http.StateClosed, http.StateHijacked:
		c.count.Add(-1)
		if _, refused := c.refused.LoadAndDelete(conn); !refused {
			c.open.give(g.connectionKey(conn), 1)
		}
	case http.StateActive, http.StateIdle:
	}
}

// connectionKey is the client's key. Of a trusted proxy, each connection counts as another client's, which it probably
// is.
func (g *Guard) connectionKey(conn net.Conn) string {
	end, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil || g.trusted(end.Addr().Unmap()) {
		return conn.RemoteAddr().String()
	}
	return keyOf(end.Addr().Unmap())
}

// Connections returns how many connections are open, and how many were closed because they were too many.
func (g *Guard) Connections() (open, refused int64) {
	return g.connections.count.Load(), g.connections.turnedAway.Load()
}
