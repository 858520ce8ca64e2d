package query

import (
	"fmt"
	"strconv"

	"bookshelf/app/internal/book"
)

// historyList identifies the list that a cursor belongs to. No fingerprint of a query has a space.
func historyList(id int64) string { return "history " + strconv.FormatInt(id, 10) }

// EventCursor returns the text that continues the history of the book behind the event.
func EventCursor(id, event int64) string { return cursor{List: historyList(id), ID: event}.seal() }

// Events is what the parameters of a book's history say.
type Events struct {
	Before int64 // the event behind which to go on; 0 for the newest
	Limit  int

	list string // that a cursor must belong to
}

// historyParameters are the parameters of a history, each with what it sets.
var historyParameters = Table[Events]{
	"cursor": (*Events).setCursor,
	"limit":  (*Events).setLimit,
}

// History reads the parameters of a book's history, or returns a 400 with every mistake.
func History(raw string, id int64) (Events, error) {
	q := Events{list: historyList(id), Limit: defaultLimit}
	return q, Read(&q, historyParameters, raw)
}

func (q *Events) setCursor(value string) error {
	c, err := openCursor(q.list, value)
	if err != nil {
		return err
	}
	if c.ID < 1 || c.Title != "" || c.Year != nil || c.Rank != 0 {
		return errForeignCursor
	}
	q.Before = c.ID
	return nil
}

func (q *Events) setLimit(value string) (err error) {
	if q.Limit, err = wholeNumber(value); err != nil {
		return err
	}
	if q.Limit < 1 || q.Limit > book.MaxHistoryLimit {
		return fmt.Errorf("must be from 1 to %d, is %d", book.MaxHistoryLimit, q.Limit)
	}
	return nil
}
