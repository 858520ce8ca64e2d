package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// RefusedError says that the edge did not do what was asked, because of what was asked.
type RefusedError struct{ Text string }

func (e *RefusedError) Error() string { return e.Text }

// Client speaks to the edge that serves on a socket.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient returns a client for the socket at path.
func NewClient(path string) *Client {
	var dialer net.Dialer
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dialer.DialContext(ctx, "unix", path) },
	}
	return &Client{socket: path, http: &http.Client{Transport: transport, Timeout: 10 * time.Second}}
}

// Health returns nil when the edge serves.
func (c *Client) Health(ctx context.Context) error {
	_, err := c.do(ctx, http.MethodGet, "/health", nil)
	return err
}

// Slots returns the state as JSON.
func (c *Client) Slots(ctx context.Context) ([]byte, error) {
	return c.do(ctx, http.MethodGet, "/slots", nil)
}

// SetSlots sends a request and returns the new state, both as JSON.
func (c *Client) SetSlots(ctx context.Context, request []byte) ([]byte, error) {
	return c.do(ctx, http.MethodPut, "/slots", request)
}

func (c *Client) do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://edge"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the edge at %s: %w", c.socket, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("ask the edge at %s: %w", c.socket, err)
	}
	if res.StatusCode < 300 {
		return text, nil
	}
	var p problem
	if err := json.Unmarshal(text, &p); err != nil || p.Error == "" {
		p.Error = res.Status
	}
	if res.StatusCode < 500 {
		return nil, &RefusedError{p.Error}
	}
	return nil, fmt.Errorf("the edge at %s: %s", c.socket, p.Error)
}
