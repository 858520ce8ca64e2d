package httpapi

import (
	"encoding/json"
	"net/http"
	"time"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/httpapi/exchange"
	"bookshelf/app/internal/httpapi/media"
	"bookshelf/app/internal/httpapi/query"
)

// eventResponse is a change of a book as clients see it. Every member is always there.
type eventResponse struct {
	ID      int64           `json:"id"`
	Action  string          `json:"action"`
	At      time.Time       `json:"at"`
	Actor   string          `json:"actor"`
	TokenID *string         `json:"token_id"`
	Version int64           `json:"version"`
	Before  json.RawMessage `json:"before"` // nil is written as null
	After   json.RawMessage `json:"after"`
}

// historyResponse is one page of a book's history; the cursor of the last page is null.
type historyResponse struct {
	Items      []eventResponse `json:"items"`
	NextCursor *string         `json:"next_cursor"`
}

// handleBookHistory answers 200 with the changes of a book, the newest first, or 400, 404, 406, 503.
func (a *API) handleBookHistory() http.Handler {
	return exchange.Handle(func(w http.ResponseWriter, r *http.Request) error {
		id, err := pathID(r)
		if err != nil {
			return err
		}
		if err := media.RequireAcceptable(r); err != nil {
			return err
		}
		asked, err := query.History(r.URL.RawQuery, id)
		if err != nil {
			return err
		}
		events, more, err := a.Store.History(r.Context(), id, asked.Before, asked.Limit)
		if err != nil {
			return err
		}
		page := historyResponse{Items: make([]eventResponse, len(events))} // never nil, which would be written as null
		for i, e := range events {
			page.Items[i] = eventResponse{
				ID: e.ID, Action: e.Action, At: e.At.UTC(), Actor: e.Actor, TokenID: book.OrNil(e.TokenID),
				Version: e.Version, Before: e.Before, After: e.After,
			}
		}
		if more {
			next := query.EventCursor(id, events[len(events)-1].ID)
			page.NextCursor = &next
			w.Header().Set("Link", query.NextLink(r.URL, next))
		}
		return exchange.WriteJSON(w, http.StatusOK, page)
	})
}
