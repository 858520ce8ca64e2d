// Package transfer serves the whole catalogue as a file, and takes files of books in.
package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/bookimport"
	"bookshelf/app/internal/httpapi/exchange"
	"bookshelf/app/internal/httpapi/problem"
)

// Store holds the books that are exported, in full or up to an error of yield, which it returns. Other errors are those of
// package book; any other is answered with a 500.
type Store interface {
	Export(ctx context.Context, yield func(book.Book) error) error
}

// Importer brings files of books into the catalogue. Its errors are those of bookimport.Run.
type Importer interface {
	Import(ctx context.Context, opts bookimport.Options, in io.Reader) (bookimport.Report, error)
}

// Options are what transfers need; all of them are required.
type Options struct {
	Importer       Importer
	MaxImportBytes int64
	Max            int           // exports and imports at once
	Timeout        time.Duration // for the whole of one
	ReadTimeout    time.Duration // for a piece of one to arrive
	WriteTimeout   time.Duration // for a piece of one to be taken
}

// Transfers are the exports and imports of a store.
type Transfers struct {
	opts     Options
	store    Store
	underWay chan struct{} // holds one element for each
}

// New returns transfers of which none is under way.
func New(opts Options, store Store) *Transfers {
	return &Transfers{opts: opts, store: store, underWay: make(chan struct{}, opts.Max)}
}

// A transfer is an export or an import: a request whose body or answer has no bound worth the name. The time-outs of other
// requests do not fit it. It has one for the whole, and each piece of it has to get through within what the server gives
// to a whole request or answer elsewhere, so that a client that stops does not hold a connection to the database.
type transfer struct {
	ctx     context.Context // ends with the client, or when the transfer takes too long
	conn    *http.ResponseController
	receive time.Duration // for a piece from the client
	send    time.Duration // for a piece to the client
}

// begin admits a transfer, or answers with a 503 when as many are under way as there may be: each keeps one of the
// connections to the database for all its time. The function that it returns must be called at the end.
func (t *Transfers) begin(w http.ResponseWriter, r *http.Request) (*transfer, func(), error) {
	select {
	case t.underWay <- struct{}{}:
	default:
		return nil, nil, &problem.Error{
			Kind:   problem.TooManyTransfers,
			Detail: "As many exports and imports as this server admits are under way. Try again later.",
		}
	}
	// The context of other requests ends after RequestTimeout. What the one here has instead knows of no actor yet.
	ctx := book.WithActor(exchange.From(r.Context()).Connection, book.ActorFrom(r.Context(), book.Anonymous))
	ctx, cancel := context.WithTimeout(ctx, t.opts.Timeout)
	one := &transfer{ctx: ctx, conn: http.NewResponseController(w), receive: t.opts.ReadTimeout, send: t.opts.WriteTimeout}
	// The server set both deadlines when the request began. One that passes while nothing is read ends the request too, by
	// way of the server's watch for clients that leave.
	one.deadline(one.conn.SetReadDeadline, 0)
	one.deadline(one.conn.SetWriteDeadline, 0)
	return one, func() {
		// For what is still to be said, and for the rest of a body that nobody wants, which the server reads a bit of.
		one.deadline(one.conn.SetWriteDeadline, one.send)
		one.deadline(one.conn.SetReadDeadline, one.receive)
		cancel()
		<-t.underWay
	}, nil
}

// problem says how err is answered, by what ended the transfer. It has to be asked before the transfer ends in any case.
func (t *transfer) problem(err error) error {
	answer := problem.Of(t.ctx, err)
	switch {
	case answer == nil:
		return fmt.Errorf("%w: %w", problem.ErrClientLeft, err)
	case answer.Cause == nil && !errors.Is(err, answer):
		answer.Cause = err
	}
	return answer
}

// deadline sets one that is that far away, or takes it away for 0. A writer of a test has none.
func (t *transfer) deadline(set func(time.Time) error, in time.Duration) {
	var at time.Time
	if in > 0 {
		at = time.Now().Add(in)
	}
	_ = set(at)
}

// pacedWriter gives the client a while for each piece.
type pacedWriter struct {
	*transfer

	out     io.Writer
	started bool // something was sent, so the status is too
}

func (p *pacedWriter) Write(piece []byte) (int, error) {
	p.started = true
	p.deadline(p.conn.SetWriteDeadline, p.send)
	return p.out.Write(piece)
}

// pacedReader gives the client a while for each piece, and remembers why it could not be read: the reader's user has errors
// of its own.
type pacedReader struct {
	*transfer

	in  io.Reader
	err error // other than the end
}

func (p *pacedReader) Read(piece []byte) (int, error) {
	p.deadline(p.conn.SetReadDeadline, p.receive)
	n, err := p.in.Read(piece)
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		p.deadline(p.conn.SetReadDeadline, 0) // what follows is our work, not the client's
	default:
		p.err = err
	}
	return n, err
}
