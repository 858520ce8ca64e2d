package httpapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"bookshelf/app/internal/book"
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
	return a.handle(func(w http.ResponseWriter, r *http.Request) error {
		id, err := pathID(r)
		if err != nil {
			return err
		}
		if err := requireAcceptable(r); err != nil {
			return err
		}
		before, limit, err := parseHistoryQuery(r.URL.RawQuery, id)
		if err != nil {
			return err
		}
		events, more, err := a.Store.History(r.Context(), id, before, limit)
		if err != nil {
			return err
		}
		page := historyResponse{Items: make([]eventResponse, len(events))} // never nil, which would be written as null
		for i, e := range events {
			page.Items[i] = eventResponse{
				ID: e.ID, Action: e.Action, At: e.At.UTC(), Actor: e.Actor, TokenID: orNull(e.TokenID),
				Version: e.Version, Before: e.Before, After: e.After,
			}
		}
		if more {
			next := cursor{List: historyList(id), ID: events[len(events)-1].ID}.seal()
			page.NextCursor = &next
			w.Header().Set("Link", nextLink(r.URL, next))
		}
		return writeJSON(w, http.StatusOK, page)
	})
}

// historyList identifies the list that a cursor belongs to. No fingerprint of a query has a space.
func historyList(id int64) string { return "history " + strconv.FormatInt(id, 10) }

// parseHistoryQuery reads the parameters of a book's history, or returns a 400 with every mistake. before is the event
// behind which to go on, 0 for the newest.
func parseHistoryQuery(raw string, id int64) (before int64, limit int, err error) {
	values, err := parseValues(raw)
	if err != nil {
		return 0, 0, err
	}
	limit = DefaultPageLimit
	var mistakes []fieldError
	for _, name := range slices.Sorted(maps.Keys(values)) {
		err := checkParameter(name, values[name], []string{"cursor", "limit"})
		switch {
		case err != nil:
		case name == "limit":
			if limit, err = wholeNumber(values[name][0]); err == nil && (limit < 1 || limit > book.MaxHistoryLimit) {
				err = fmt.Errorf("must be from 1 to %d, is %d", book.MaxHistoryLimit, limit)
			}
		default:
			var c cursor
			if c, err = openCursor(historyList(id), values[name][0]); err == nil &&
				(c.ID < 1 || c.Title != "" || c.Year != nil) {
				err = errForeignCursor
			}
			before = c.ID
		}
		if err != nil {
			mistakes = append(mistakes, fieldError{Parameter: name, Detail: err.Error()})
		}
	}
	if len(mistakes) > 0 {
		return 0, 0, invalidParameters(mistakes)
	}
	return before, limit, nil
}
