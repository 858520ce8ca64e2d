package postgres

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/postgres/bookrow"
)

// maxBatch bounds one statement's answer, and with it how long the first of those who wait for it does.
const maxBatch = 64

// reads looks up single books, with one statement for all that wait at the same moment. It never waits for more: a
// look-up that finds a place free goes at once, alone and on its caller's goroutine; only what comes while every place is
// taken is gathered, until one falls free. Under load the statements grow instead of their number, and what PostgreSQL
// and the protocol cost for each is shared.
//
// A statement begins after every look-up that it answers, so each sees what was committed before it was called, as it
// would alone.
type reads struct {
	one      func(ctx context.Context, id int64) (book.Book, error)      // the error is pgx.ErrNoRows when there is none
	many     func(ctx context.Context, ids []int64) ([]book.Book, error) // those that are there, in any order
	places   int                                                         // statements that may run at the same time
	observed func(size int)                                              // is told of each statement; may be nil

	mu      sync.Mutex
	taken   int     // places; whenever any look-up waits, all of them
	waiting []*read // in the order of their coming
}

// read is a look-up that waits.
type read struct {
	ctx   context.Context
	id    int64
	batch *batch        // nil while it waits for a place; guarded by reads.mu
	done  chan struct{} // closed when what follows is there

	book  book.Book
	err   error // of the batch, or pgx.ErrNoRows
	alone bool  // err is this look-up's own
}

// batch is what one statement looks up.
type batch struct {
	reads  []*read
	left   int // reads whose callers still wait; guarded by reads.mu
	cancel context.CancelFunc
}

// get returns the book with the ID. The error is pgx.ErrNoRows when there is none.
func (r *reads) get(ctx context.Context, id int64) (book.Book, error) {
	r.mu.Lock()
	if r.taken < r.places {
		r.taken++
		r.mu.Unlock()
		defer r.passOn()
		return r.single(ctx, id)
	}
	w := &read{ctx: ctx, id: id, done: make(chan struct{})}
	r.waiting = append(r.waiting, w)
	r.mu.Unlock()
	select {
	case <-w.done:
	case <-ctx.Done():
		r.leave(w)
		return book.Book{}, ctx.Err()
	}
	if w.err != nil && !w.alone {
		// The failure may be another's doing: an error of a row, or a time-out that was not this one's.
		return r.single(ctx, id)
	}
	return w.book, w.err
}

// single looks up one row with a statement of its own.
func (r *reads) single(ctx context.Context, id int64) (book.Book, error) {
	r.observe(1)
	return r.one(ctx, id)
}

// passOn gives a place to those who wait, or back. Their statement runs on a goroutine of its own: who had the place has
// its answer.
func (r *reads) passOn() {
	if b, ctx := r.next(); b != nil {
		go func() {
			for ; b != nil; b, ctx = r.next() {
				r.run(ctx, b)
			}
		}()
	}
}

// next returns the next batch and its context, or frees the place and returns nil.
func (r *reads) next() (*batch, context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := &batch{}
	for len(r.waiting) > 0 && len(b.reads) < maxBatch {
		w := r.waiting[0]
		r.waiting = r.waiting[1:]
		if w.ctx.Err() == nil { // otherwise its caller has left, or is about to
			w.batch = b
			b.reads = append(b.reads, w)
		}
	}
	if len(r.waiting) == 0 {
		r.waiting = nil // lets the array of a burst go
	}
	if len(b.reads) == 0 {
		r.taken--
		return nil, nil
	}
	b.left = len(b.reads)
	var ctx context.Context
	ctx, b.cancel = b.context()
	return b, ctx
}

// context is for as long as any of the callers may wait. Its values are those of the first.
func (b *batch) context() (context.Context, context.CancelFunc) {
	ctx := context.WithoutCancel(b.reads[0].ctx)
	var last time.Time
	for _, w := range b.reads {
		deadline, ok := w.ctx.Deadline()
		if !ok {
			return context.WithCancel(ctx)
		}
		if deadline.After(last) {
			last = deadline
		}
	}
	return context.WithDeadline(ctx, last)
}

// leave counts a caller out whose context has ended. Nobody waits for a statement when all have left.
func (r *reads) leave(w *read) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w.batch == nil {
		return // next passes over it
	}
	if w.batch.left--; w.batch.left == 0 {
		w.batch.cancel()
	}
}

// run looks a batch up and tells each of its callers.
func (r *reads) run(ctx context.Context, b *batch) {
	defer b.cancel()
	if len(b.reads) == 1 {
		w := b.reads[0]
		w.alone = true
		w.book, w.err = r.single(ctx, w.id)
		close(w.done)
		return
	}
	ids := make([]int64, 0, len(b.reads))
	wanted := make(map[int64][]*read, len(b.reads))
	for _, w := range b.reads {
		if wanted[w.id] == nil {
			ids = append(ids, w.id)
		}
		wanted[w.id] = append(wanted[w.id], w)
	}
	r.observe(len(b.reads))
	books, err := r.many(ctx, ids)
	for _, w := range b.reads {
		w.err, w.alone = err, false
		if err == nil {
			w.err, w.alone = pgx.ErrNoRows, true // unless it is among those that follow
		}
	}
	for _, found := range books {
		for _, w := range wanted[found.ID] {
			w.book, w.err = found, nil
		}
	}
	for _, w := range b.reads {
		close(w.done)
	}
}

func (r *reads) observe(size int) {
	if r.observed != nil {
		r.observed(size)
	}
}

// newReads returns look-ups on the pool. As many statements run at the same time as there are processors: more would not
// be faster where the database has as many, and would leave less to gather.
func newReads(pool *pgxpool.Pool, observed func(int)) *reads {
	return &reads{
		one: func(ctx context.Context, id int64) (book.Book, error) {
			rows, err := pool.Query(ctx, selectBook+`$1`, id)
			if err != nil {
				return book.Book{}, err
			}
			return pgx.CollectExactlyOneRow(rows, bookrow.Scan)
		},
		many: func(ctx context.Context, ids []int64) ([]book.Book, error) {
			rows, err := pool.Query(ctx, selectBook+`ANY ($1)`, ids)
			if err != nil {
				return nil, err
			}
			return pgx.CollectRows(rows, bookrow.Scan)
		},
		places:   min(int(pool.Config().MaxConns), max(2, runtime.GOMAXPROCS(0))),
		observed: observed,
	}
}
