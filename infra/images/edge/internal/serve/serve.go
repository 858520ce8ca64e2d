// Package serve runs the edge: the table of slots, Caddy, and the admin socket.
package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/caddyevents" // the modules that the configuration names, and no other
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	_ "github.com/caddyserver/caddy/v2/modules/caddypki"
	_ "github.com/caddyserver/caddy/v2/modules/caddytls"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"
	_ "github.com/caddyserver/caddy/v2/modules/logging"
	_ "github.com/caddyserver/caddy/v2/modules/metrics"

	"bookshelf/edge/internal/admin"
	"bookshelf/edge/internal/compose"
	"bookshelf/edge/internal/proxy"
	"bookshelf/edge/internal/settings"
	"bookshelf/edge/internal/slots"
)

// Run serves until ctx is cancelled, then finishes what is in flight for at most s.Grace. It can run once per process.
func Run(ctx context.Context, s settings.Settings, stderr io.Writer) error {
	log := slog.New(slog.NewJSONHandler(stderr, nil))
	if err := os.MkdirAll(s.Data, 0o700); err != nil {
		return fmt.Errorf("make the folder of the state: %w", err)
	}
	// Caddy would otherwise look for a home.
	if err := os.Setenv("XDG_DATA_HOME", s.Data); err != nil {
		return err
	}
	// Before anything else: it tells whether another edge is at work here.
	listener, err := admin.Listen(ctx, s.AdminSocket)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // closed already when all went well
	table := slots.Open(slots.Options{Dir: s.Data, Ready: slots.Ready(s.ReadyPath), Log: log})
	defer table.Close()
	proxy.Register(table)
	drained := drain()
	if err := startCaddy(s); err != nil {
		return err
	}
	// Caddy listens by now, so whoever gets an answer from the socket knows that the edge is up.
	err = admin.Serve(ctx, listener, admin.Handler(table, log))
	if ctx.Err() == nil {
		return err
	}
	select {
	case <-drained:
		return err
	case <-time.After(s.Grace + 10*time.Second):
		return errors.Join(err, errors.New("stop: what is in flight did not end"))
	}
}

// drain lets Caddy see the signals that end the process, too: only then does it wait for what is in flight. The channel is
// closed when it has.
func drain() <-chan struct{} {
	drained := make(chan struct{})
	caddy.OnExit(func(context.Context) { close(drained) })
	caddy.TrapSignals()
	return drained
}

func startCaddy(s settings.Settings) error {
	text, err := compose.Config(s)
	if err != nil {
		return err
	}
	var config caddy.Config
	if err := json.Unmarshal(text, &config); err != nil {
		return fmt.Errorf("read Caddy's configuration: %w", err)
	}
	if err := caddy.Run(&config); err != nil {
		return fmt.Errorf("start Caddy: %w", err)
	}
	return nil
}
