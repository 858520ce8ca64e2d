// Command foreign is a service that keeps docs/contract.md and shares nothing else with this repository: no code, no database, no
// books. What delivers it delivers any service.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Stamped by the linker.
var version, revision = "dev", "unknown"

func main() {
	log.SetFlags(0)
	commands := map[string]func() error{
		"serve":       serve,
		"migrate":     func() error { return nil }, // what is only in memory has no schema
		"healthcheck": healthcheck,
		"version":     func() error { _, err := fmt.Println("foreign", version, revision); return err },
	}
	if len(os.Args) != 2 || commands[os.Args[1]] == nil {
		log.Print("usage: foreign serve|migrate|healthcheck|version")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](); err != nil {
		log.Fatal("foreign: ", err)
	}
}

// setting is a variable of the environment, or its default.
func setting(name, fallback string) string { return cmp.Or(os.Getenv(name), fallback) }

// serve answers requests until SIGTERM or SIGINT, and then ends in the contract's order.
func serve() error {
	grace, graceErr := time.ParseDuration(setting("SHUTDOWN_GRACE", "2s"))
	timeout, timeoutErr := time.ParseDuration(setting("SHUTDOWN_TIMEOUT", "9s"))
	if err := errors.Join(graceErr, timeoutErr); err != nil {
		return fmt.Errorf("SHUTDOWN_GRACE, SHUTDOWN_TIMEOUT: %w", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	s := &service{answered: map[labels]*histogram{}}
	api := &http.Server{
		Addr: setting("HTTP_ADDR", ":8080"), Handler: s.measured(s.routes()),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, IdleTimeout: 75 * time.Second,
		DisableGeneralOptionsHandler: true,
	}
	metrics := http.NewServeMux()
	metrics.HandleFunc("GET /metrics", s.metrics)
	admin := &http.Server{Addr: setting("ADMIN_ADDR", ":9090"), Handler: metrics, ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 2)
	for _, server := range []*http.Server{api, admin} {
		go func() { failed <- server.ListenAndServe() }()
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	s.draining.Store(true)
	select {
	case <-time.After(grace):
	case <-ending.Done():
	}
	return errors.Join(api.Shutdown(ending), admin.Shutdown(ending))
}

// healthcheck asks the serving process in the same container.
func healthcheck() error {
	_, port, err := net.SplitHostPort(setting("HTTP_ADDR", ":8080"))
	if err != nil {
		return err
	}
	response, err := (&http.Client{Timeout: 2 * time.Second}).Get("http://127.0.0.1:" + port + "/readyz")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}

// service keeps items in memory, and what its metrics show.
type service struct {
	draining atomic.Bool
	active   atomic.Int64

	mu       sync.Mutex
	items    []json.RawMessage
	answered map[labels]*histogram
}

func (s *service) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /items", s.create)
	mux.HandleFunc("GET /items/{id}", s.read)
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if s.draining.Load() {
			answer(w, http.StatusServiceUnavailable, map[string]string{"status": "ending"})
			return
		}
		answer(w, http.StatusOK, map[string]string{"status": "ready"})
	})
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"version": version, "revision": revision})
	})
	return mux
}

// create keeps any JSON value of up to 1 MiB under the next number. What says that it is larger is not read at all.
func (s *service) create(w http.ResponseWriter, r *http.Request) {
	const limit = 1 << 20
	if r.ContentLength > limit {
		w.Header().Set("Connection", "close")
		answer(w, http.StatusRequestEntityTooLarge, map[string]string{"error": "the body is too large"})
		return
	}
	var item json.RawMessage
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, limit)).Decode(&item); err != nil {
		answer(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	s.mu.Lock()
	s.items = append(s.items, item)
	id := len(s.items)
	s.mu.Unlock()
	w.Header().Set("Location", "/items/"+strconv.Itoa(id))
	answer(w, http.StatusCreated, item)
}

func (s *service) read(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("id"))
	s.mu.Lock()
	kept := s.items // only ever appended to
	s.mu.Unlock()
	if err != nil || id < 1 || id > len(kept) {
		answer(w, http.StatusNotFound, map[string]string{"error": "there is no such item"})
		return
	}
	answer(w, http.StatusOK, kept[id-1])
}

func answer(w http.ResponseWriter, status int, document any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(document) // the status is sent; a client that left is not our error
}
