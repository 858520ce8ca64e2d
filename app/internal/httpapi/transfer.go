package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"bookshelf/app/internal/book"
)

// A transfer is an export or an import: a request whose body or answer has no bound worth the name. The time-outs of other
// requests do not fit it. It has one for the whole, and each piece of it has to get through within what the server gives
// to a whole request or answer elsewhere, so that a client that stops does not hold a connection to the database.
type transfer struct {
	ctx     context.Context // ends with the client, or when the transfer takes too long
	conn    *http.ResponseController
	receive time.Duration // for a piece from the client
	send    time.Duration // for a piece to the client
}

// beginTransfer admits a transfer, or answers with a 503 when as many are under way as there may be: each keeps one of the
// connections to the database for all its time. The function that it returns must be called at the end.
func (a *API) beginTransfer(w http.ResponseWriter, r *http.Request) (*transfer, func(), error) {
	select {
	case a.transfers <- struct{}{}:
	default:
		return nil, nil, &apiError{
			kind:   kindTooManyTransfers,
			detail: "As many exports and imports as this server admits are under way. Try again later.",
		}
	}
	// The context of other requests ends after RequestTimeout. What the one here has instead knows of no actor yet.
	ctx := book.WithActor(infoFrom(r.Context()).connection, book.ActorFrom(r.Context(), book.Anonymous))
	ctx, cancel := context.WithTimeout(ctx, a.TransferTimeout)
	t := &transfer{ctx: ctx, conn: http.NewResponseController(w), receive: a.ReadTimeout, send: a.WriteTimeout}
	// The server set both deadlines when the request began. One that passes while nothing is read ends the request too, by
	// way of the server's watch for clients that leave.
	t.deadline(t.conn.SetReadDeadline, 0)
	t.deadline(t.conn.SetWriteDeadline, 0)
	return t, func() {
		// For what is still to be said, and for the rest of a body that nobody wants, which the server reads a bit of.
		t.deadline(t.conn.SetWriteDeadline, t.send)
		t.deadline(t.conn.SetReadDeadline, t.receive)
		cancel()
		<-a.transfers
	}, nil
}

// errClientLeft says so where the request's context can no longer tell, because its time was over before.
var errClientLeft = errors.New("the client left")

// problem says how err is answered, by what ended the transfer. It has to be asked before the transfer ends in any case.
func (t *transfer) problem(err error) error {
	answer := translate(t.ctx, err)
	switch {
	case answer == nil:
		return fmt.Errorf("%w: %w", errClientLeft, err)
	case answer.cause == nil && !errors.Is(err, answer):
		answer.cause = err
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
