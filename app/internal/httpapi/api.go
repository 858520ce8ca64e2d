// Package httpapi is the service's HTTP interface: routes, handlers, the strict reading of requests, and one writer for
// every error. docs/api.md is its contract.
package httpapi

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/buildinfo"
	"bookshelf/app/internal/httpapi/guard"
	"bookshelf/app/internal/httpapi/transfer"
	"bookshelf/app/internal/idempotency"
	"bookshelf/app/internal/readcache"
)

// Store keeps the books. Errors are those of packages book and idempotency; any other error is answered with a 500.
type Store interface {
	Create(ctx context.Context, d book.Draft) (book.Book, error)
	CreateOnce(
		ctx context.Context, d book.Draft, r idempotency.Request, respond func(book.Book) (idempotency.Response, error),
	) (response idempotency.Response, replayed bool, err error)
	Get(ctx context.Context, id int64) (book.Book, error)
	List(ctx context.Context, q book.Query) ([]book.Book, *book.Position, error)
	Replace(ctx context.Context, id int64, d book.Draft, c book.Condition) (book.Book, error)
	Modify(
		ctx context.Context, id int64, c book.Condition, change func(book.Book) (book.Draft, error),
	) (book.Book, error)
	Export(ctx context.Context, yield func(book.Book) error) error
	Delete(ctx context.Context, id int64, c book.Condition) error
	History(ctx context.Context, id, before int64, limit int) (events []book.Event, more bool, err error)
	Ready(ctx context.Context) error
}

// Metrics counts requests. RequestDone is called once for each RequestStarted. The outcomes are those that package
// telemetry lists; no client can make one up.
type Metrics interface {
	RequestStarted()
	RequestDone(route, method string, status int, elapsed time.Duration)
	TokenChecked(outcome string)
	LimitChecked(policy, outcome string)
	KeyUsed(outcome string)
}

// Tracer makes a span of each request. traceID names the trace in the log, "" for a request that is not in one; end is
// called once, with what became of the request.
type Tracer interface {
	Request(r *http.Request) (ctx context.Context, traceID string, end func(route string, status int, err error))
}

// Options are what an API needs; all of them are required, unless said otherwise.
type Options struct {
	Store          Store
	Cache          *readcache.Cache // of the answers to look-ups of single books; nil for none
	Auth           Auth
	Tokens         Tokens // not needed with AuthOff
	Metrics        Metrics
	Tracer         Tracer // nil for none
	Logger         *slog.Logger
	Build          buildinfo.Info
	Now            func() time.Time
	RequestTimeout time.Duration // from a request's headers to its answer
	ReadyTimeout   time.Duration // for the checks of /readyz
	MaxBodyBytes   int64
	Retention      time.Duration // of the responses to requests with an Idempotency-Key

	Guard     guard.Options
	Transfers transfer.Options

	CORSOrigins    []string // whose pages may use the API; "*" for all, empty for none
	RequireIfMatch bool     // refuse changes of a book that do not say which version they are meant for
}

// API answers the requests of clients and of probes.
type API struct {
	Options

	draining  atomic.Bool
	guard     *guard.Guard
	transfers *transfer.Transfers
	handler   http.Handler
}

// New returns an API that is ready to serve.
func New(options Options) *API {
	a := &API{
		Options:   options,
		guard:     guard.New(options.Guard, options.Now, options.Metrics),
		transfers: transfer.New(options.Transfers, options.Store),
	}
	// The first is the outermost. All of them wrap the router from outside: middleware of the router would not run for a
	// 404 or a 405. Recovery is inside of what observes, so that a panic is logged and counted as the 500 it becomes.
	inner := a.withCORS(a.withDeadline(newRouter(a, a.routes())))
	a.handler = a.withRequest(a.withAccessLog(a.withMetrics(a.withTracing(a.withRecovery(inner)))))
	return a
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.handler.ServeHTTP(w, r) }

// StartDrain makes /readyz fail from now on and asks clients, response by response, not to reuse their connections.
// Requests are answered as before.
func (a *API) StartDrain() { a.draining.Store(true) }

// ConnState is for http.Server, so that the bound on connections holds.
func (a *API) ConnState(conn net.Conn, state http.ConnState) { a.guard.ConnState(conn, state) }

// Connections returns how many connections are open, and how many were closed because they were too many.
func (a *API) Connections() (open, refused int64) { return a.guard.Connections() }

// Draining tells whether StartDrain was called.
func (a *API) Draining() bool { return a.draining.Load() }
