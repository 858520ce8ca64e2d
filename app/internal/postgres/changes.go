package postgres

import (
	"context"
	"log/slog"

	"bookshelf/app/internal/postgres/feed"
)

// Changes is told of the changes of stored books: by the store of its own, around each, and by Follow of those that
// anybody else makes. Package readcache has one.
type Changes interface {
	// Changing is called before a change of the book begins; done, once it is known what became of it.
	Changing(id int64) (done func())
	// ChangingAll is the same for changes that may be of any book.
	ChangingAll() (done func())

	feed.Listener
}

// changing tells that a book is about to be changed.
func (s *Store) changing(id int64) (done func()) {
	if s.opts.Changes == nil {
		return func() {}
	}
	return s.opts.Changes.Changing(id)
}

// changingAll tells that any book may be.
func (s *Store) changingAll() (done func()) {
	if s.opts.Changes == nil {
		return func() {}
	}
	return s.opts.Changes.ChangingAll()
}

// Follow tells Options.Changes of every change of a stored book, until ctx ends; see package feed.
func (s *Store) Follow(ctx context.Context, logger *slog.Logger) {
	feed.Follow(ctx, s.opts.Options, s.Ready, s.opts.Changes, logger)
}
