//go:build faults

package faults

import (
	"context"
	"sync/atomic"
	"time"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/httpapi"
	"bookshelf/app/internal/idempotency"
)

// delay is how much longer than usual a slow catalogue takes.
const delay = 300 * time.Millisecond

// Store is the catalogue behind the API, as the plan has it. It is where a real database would fail: inside of everything that
// logs, counts and times a request, so that metrics show what clients see.
func (p Plan) Store(books httpapi.Store) httpapi.Store {
	return &store{Store: books, plan: p, began: time.Now()}
}

// store passes on what its plan lets through.
type store struct {
	httpapi.Store

	plan  Plan
	began time.Time

	lists, late atomic.Int64 // lists asked for, and uses since the fault set in
}

// enter comes before every use of the catalogue.
func (s *store) enter(ctx context.Context) error {
	switch s.plan.fault {
	case slow:
		return wait(ctx, delay)
	case late:
		if time.Since(s.began) >= s.plan.after && s.late.Add(1)%2 == 0 {
			return s.plan.error()
		}
	}
	return nil
}

// Ready implements httpapi.Store.
func (s *store) Ready(ctx context.Context) error {
	if s.plan.fault == unhealthy {
		return s.plan.error()
	}
	return s.Store.Ready(ctx)
}

// List implements httpapi.Store.
func (s *store) List(ctx context.Context, q book.Query) ([]book.Book, *book.Position, error) {
	if err := s.enter(ctx); err != nil {
		return nil, nil, err
	}
	if s.plan.fault == failing && s.lists.Add(1)%5 == 0 {
		return nil, nil, s.plan.error()
	}
	return s.Store.List(ctx, q)
}

// Create implements httpapi.Store.
func (s *store) Create(ctx context.Context, d book.Draft) (book.Book, error) {
	if err := s.enter(ctx); err != nil {
		return book.Book{}, err
	}
	return s.Store.Create(ctx, d)
}

// CreateOnce implements httpapi.Store.
func (s *store) CreateOnce(
	ctx context.Context, d book.Draft, r idempotency.Request, respond func(book.Book) (idempotency.Response, error),
) (response idempotency.Response, replayed bool, err error) {
	if err := s.enter(ctx); err != nil {
		return idempotency.Response{}, false, err
	}
	return s.Store.CreateOnce(ctx, d, r, respond)
}

// Get implements httpapi.Store.
func (s *store) Get(ctx context.Context, id int64) (book.Book, error) {
	if err := s.enter(ctx); err != nil {
		return book.Book{}, err
	}
	return s.Store.Get(ctx, id)
}

// Replace implements httpapi.Store.
func (s *store) Replace(ctx context.Context, id int64, d book.Draft, c book.Condition) (book.Book, error) {
	if err := s.enter(ctx); err != nil {
		return book.Book{}, err
	}
	return s.Store.Replace(ctx, id, d, c)
}

// Modify implements httpapi.Store.
func (s *store) Modify(
	ctx context.Context, id int64, c book.Condition, change func(book.Book) (book.Draft, error),
) (book.Book, error) {
	if err := s.enter(ctx); err != nil {
		return book.Book{}, err
	}
	return s.Store.Modify(ctx, id, c, change)
}

// Export implements httpapi.Store.
func (s *store) Export(ctx context.Context, yield func(book.Book) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	return s.Store.Export(ctx, yield)
}

// Delete implements httpapi.Store.
func (s *store) Delete(ctx context.Context, id int64, c book.Condition) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	return s.Store.Delete(ctx, id, c)
}

// History implements httpapi.Store.
func (s *store) History(ctx context.Context, id, before int64, limit int) ([]book.Event, bool, error) {
	if err := s.enter(ctx); err != nil {
		return nil, false, err
	}
	return s.Store.History(ctx, id, before, limit)
}
