package httpapi

import (
	"context"
	"net/http"

	"bookshelf/app/internal/httpapi/exchange"
	"bookshelf/app/internal/httpapi/problem"
)

// statusResponse is the body of a probe that succeeded.
type statusResponse struct {
	Status string `json:"status"`
}

// handleLive answers while the process runs and touches nothing else: a process must not be killed for its database.
func (a *API) handleLive() http.Handler {
	return exchange.Handle(func(w http.ResponseWriter, _ *http.Request) error {
		return exchange.WriteJSON(w, http.StatusOK, statusResponse{Status: "ok"})
	})
}

// handleReady tells whether requests should be sent here.
func (a *API) handleReady() http.Handler {
	return exchange.Handle(func(w http.ResponseWriter, r *http.Request) error {
		if a.draining.Load() {
			return &problem.Error{Kind: problem.NotReady, Detail: "The service is shutting down."}
		}
		// Whoever probes gives up after a second or two and calls that a failure; better to say why in time.
		ctx, cancel := context.WithTimeout(r.Context(), a.ReadyTimeout)
		defer cancel()
		if err := a.Store.Ready(ctx); err != nil {
			return &problem.Error{Kind: problem.NotReady, Detail: "The database cannot be reached or its schema is older than this version needs.", Cause: err}
		}
		return exchange.WriteJSON(w, http.StatusOK, statusResponse{Status: "ready"})
	})
}

// handleVersion tells which build is running.
func (a *API) handleVersion() http.Handler {
	return exchange.Handle(func(w http.ResponseWriter, _ *http.Request) error {
		return exchange.WriteJSON(w, http.StatusOK, a.Build)
	})
}
