// Package admin is the way to look at the slots and to set them: HTTP over a unix socket. The socket is reachable from within
// the edge's container only; whoever may run a command there may set the slots.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"bookshelf/edge/internal/slots"
)

// problem is the body of every answer that is no success.
type problem struct {
	Error string `json:"error"`
}

// Handler answers GET /health, GET /slots and PUT /slots.
func Handler(table *slots.Table, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("GET /slots", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, table.State()) })
	mux.HandleFunc("PUT /slots", func(w http.ResponseWriter, r *http.Request) {
		req, err := slots.ParseRequest(r.Body)
		if err == nil {
			err = table.Set(req)
		}
		if err != nil {
			code := status(err)
			log.Warn("the slots were not changed", "status", code, "error", err)
			answer(w, code, problem{err.Error()})
			return
		}
		state := table.State()
		log.Info("the slots were set", "generation", state.Generation, "weights", weights(state), "leased", state.Lease != nil)
		answer(w, http.StatusOK, state)
	})
	return mux
}

// status tells a sender's mistakes from ours.
func status(err error) int {
	if _, ok := errors.AsType[*slots.InvalidError](err); ok {
		return http.StatusBadRequest
	}
	if _, ok := errors.AsType[*slots.ConflictError](err); ok {
		return http.StatusConflict
	}
	return http.StatusInternalServerError
}

func weights(state slots.State) map[string]int {
	w := map[string]int{}
	for name, slot := range state.Slots {
		w[name] = slot.Weight
	}
	return w
}

func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	// The other end may have left; there is nobody else to tell.
	_ = json.NewEncoder(w).Encode(v)
}

// Listen opens the socket. One that a killed edge has left is replaced; one that answers is another edge's, and an error.
func Listen(ctx context.Context, path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("open the admin socket: %w", err)
	}
	var dialer net.Dialer
	if conn, err := dialer.DialContext(ctx, "unix", path); err == nil {
		conn.Close()
		return nil, fmt.Errorf("open the admin socket: another edge serves on %s", path)
	}
	os.Remove(path)
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("open the admin socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("open the admin socket: %w", err), listener.Close())
	}
	return listener, nil
}

// Serve answers on the listener until ctx is cancelled, and ends what is being answered.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve the admin socket: %w", err)
	case <-ctx.Done():
		patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return server.Shutdown(patience)
	}
}
