// Command engineview shows a Docker engine to whoever may only look at one environment: it answers the few questions that a collector
// of metrics asks, about that environment's containers and no others, and passes nothing on that changes anything.
//
//	engineview -listen :2375 -environment dev
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// version is set by the linker.
var version = "unknown"

func main() {
	listen := flag.String("listen", ":2375", "where to listen")
	socket := flag.String("socket", "/var/run/docker.sock", "the engine's socket")
	environment := flag.String("environment", "", "the environment whose containers are shown")
	askVersion := flag.Bool("version", false, "print the version")
	flag.Parse()
	if *askVersion {
		fmt.Println("engineview", version)
		return
	}
	if err := run(*listen, *socket, *environment); err != nil {
		fmt.Fprintln(os.Stderr, "engineview:", err)
		os.Exit(1)
	}
}

func run(listen, socket, environment string) error {
	if environment == "" {
		return fmt.Errorf("-environment is missing: want the name of the environment to show")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	server := &http.Server{
		Addr:              listen,
		Handler:           newView(unixTransport(socket), environment),
		ReadHeaderTimeout: 5 * time.Second,
		MaxHeaderBytes:    1 << 14,
		ErrorLog:          slog.NewLogLogger(slog.NewJSONHandler(os.Stderr, nil), slog.LevelWarn),
	}
	// A stream of events has no end of its own.
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.ListenAndServe(); ctx.Err() == nil {
		return err
	}
	return nil
}

// unixTransport reaches the engine by its socket, whatever host a request names.
func unixTransport(socket string) *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", socket)
		},
		MaxIdleConns:    8,
		IdleConnTimeout: time.Minute,
	}
}
