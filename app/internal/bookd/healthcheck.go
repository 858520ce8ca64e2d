package bookd

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"

	"bookshelf/app/internal/config"
)

// healthcheck asks /readyz. It speaks HTTP on a connection of its own, because net/http's client would make the binary
// half a megabyte larger for one request.
func (p program) healthcheck(ctx context.Context) error {
	cfg, err := config.LoadHealthcheck(p.lookup)
	if err != nil {
		return err
	}
	// The answer may take all of READY_TIMEOUT; the rest is for the way.
	ctx, cancel := context.WithTimeout(ctx, cfg.HTTP.ReadyTimeout+time.Second)
	defer cancel()
	address, err := localAddress(cfg.HTTP.Addr)
	if err != nil {
		return err
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	defer conn.Close()
	// Reading and writing do not know the context; closing the connection under them ends both.
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", http.NoBody)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	req.Close = true
	if err := req.Write(conn); err != nil {
		return fmt.Errorf("healthcheck: %w", cmp.Or(ctx.Err(), err))
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", cmp.Or(ctx.Err(), err))
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	var answer struct {
		Detail string `json:"detail"`
	}
	_ = json.NewDecoder(resp.Body).Decode(&answer) // the status alone is enough of an answer
	return fmt.Errorf("healthcheck: %s: %s", resp.Status, answer.Detail)
}

// localAddress turns an address to listen on into one to connect to.
func localAddress(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("healthcheck: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port), nil
}
