// Package edgetest tests the edge as its users meet it: the binary as a process of its own, real sockets on the loopback
// interface. It imports nothing of Caddy, so that it compiles in a moment.
package edgetest
