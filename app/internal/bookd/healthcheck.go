package bookd

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	"bookshelf/app/internal/config"
)

// healthcheck asks /readyz; with --verbose, that of the admin port, whose answer it prints.
func (p program) healthcheck(ctx context.Context, args []string) error {
	verbose := slices.Equal(args, []string{"--verbose"})
	if len(args) > 0 && !verbose {
		return &usageError{text: fmt.Sprintf("healthcheck takes --verbose or nothing, got %q", args)}
	}
	cfg, err := config.LoadHealthcheck(p.lookup)
	if err != nil {
		return err
	}
	// The answer may take all of READY_TIMEOUT; the rest is for the way.
	ctx, cancel := context.WithTimeout(ctx, cfg.HTTP.ReadyTimeout+time.Second)
	defer cancel()
	listener, path := cfg.HTTP.Addr, "/readyz"
	if verbose {
		listener, path = cfg.HTTP.AdminAddr, "/readyz?verbose"
	}
	status, body, err := askLocally(ctx, listener, path)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	if verbose {
		if _, err := p.stdout.Write(body); err != nil {
			return fmt.Errorf("healthcheck: %w", err)
		}
	}
	if status == http.StatusOK {
		return nil
	}
	var answer struct {
		Detail string `json:"detail"`
		Status any    `json:"status"` // a word on the admin port
	}
	_ = json.Unmarshal(body, &answer) // the status alone is enough of an answer
	if word, ok := answer.Status.(string); ok {
		answer.Detail = word
	}
	return fmt.Errorf("healthcheck: %d %s: %s", status, http.StatusText(status), answer.Detail)
}

// maxAnswer bounds what is read of an answer; one to ?verbose has a few hundred bytes.
const maxAnswer = 64 << 10

// askLocally sends a GET to what listens on an address. It speaks HTTP on a connection of its own, because net/http's client would
// make the binary half a megabyte larger for one request.
func askLocally(ctx context.Context, listener, path string) (status int, body []byte, err error) {
	address, err := localAddress(listener)
	if err != nil {
		return 0, nil, err
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return 0, nil, err
	}
	defer conn.Close()
	// Reading and writing do not know the context; closing the connection under them ends both.
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, http.NoBody)
	if err != nil {
		return 0, nil, err
	}
	req.Close = true
	if err := req.Write(conn); err != nil {
		return 0, nil, cmp.Or(ctx.Err(), err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		return 0, nil, cmp.Or(ctx.Err(), err)
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return resp.StatusCode, body, cmp.Or(ctx.Err(), err)
}

// localAddress turns an address to listen on into one to connect to.
func localAddress(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", err
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port), nil
}
