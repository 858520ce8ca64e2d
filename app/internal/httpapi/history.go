package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
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
		query, err := parseHistoryQuery(r.URL.RawQuery, id)
		if err != nil {
			return err
		}
		events, more, err := a.Store.History(r.Context(), id, query.before, query.limit)
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
			next := cursor{List: query.list, ID: events[len(events)-1].ID}.seal()
			page.NextCursor = &next
			w.Header().Set("Link", nextLink(r.URL, next))
		}
		return writeJSON(w, http.StatusOK, page)
	})
}

// historyList identifies the list that a cursor belongs to. No fingerprint of a query has a space.
func historyList(id int64) string { return "history " + strconv.FormatInt(id, 10) }

// historyQuery is what the parameters of a book's history say.
type historyQuery struct {
	list   string // that a cursor must belong to
	before int64  // the event behind which to go on; 0 for the newest
	limit  int
}

// historyParameters are the parameters of a history, each with what it sets.
var historyParameters = parameterTable[historyQuery]{
	"cursor": (*historyQuery).setCursor,
	"limit":  (*historyQuery).setLimit,
}

// parseHistoryQuery reads the parameters of a book's history, or returns a 400 with every mistake.
func parseHistoryQuery(raw string, id int64) (historyQuery, error) {
	q := historyQuery{list: historyList(id), limit: DefaultPageLimit}
	return q, readParameters(&q, historyParameters, raw)
}

func (q *historyQuery) setCursor(value string) error {
	c, err := openCursor(q.list, value)
	if err != nil {
		return err
	}
	if c.ID < 1 || c.Title != "" || c.Year != nil || c.Rank != 0 {
		return errForeignCursor
	}
	q.before = c.ID
	return nil
}

func (q *historyQuery) setLimit(value string) (err error) {
	if q.limit, err = wholeNumber(value); err != nil {
		return err
	}
	if q.limit < 1 || q.limit > book.MaxHistoryLimit {
		return fmt.Errorf("must be from 1 to %d, is %d", book.MaxHistoryLimit, q.limit)
	}
	return nil
}
