// Package httpapi is the service's HTTP interface: routes, handlers, the strict reading of requests, and one writer for
// every error. docs/api.md is its contract.
package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/buildinfo"
	"bookshelf/app/internal/idempotency"
	"bookshelf/app/internal/ratelimit"
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
	Tokens         Tokens             // not needed with AuthOff
	AddressLimit   *ratelimit.Limiter // of requests per address; nil for none
	TokenLimit     *ratelimit.Limiter // of requests per token; nil for none
	TrustedProxies []netip.Prefix     // whose X-Forwarded-For is believed
	Metrics        Metrics
	Tracer         Tracer // nil for none
	Logger         *slog.Logger
	Build          buildinfo.Info
	Now            func() time.Time
	RequestTimeout time.Duration // from a request's headers to its answer
	ReadyTimeout   time.Duration // for the checks of /readyz
	MaxBodyBytes   int64
	Retention      time.Duration // of the responses to requests with an Idempotency-Key

	MaxConnections       int      // that are open at the same time
	MaxInFlight          int      // requests that are answered at the same time, probes aside
	MaxBodyBytesInFlight int64    // of all their bodies and answers together, files of books aside
	CORSOrigins          []string // whose pages may use the API; "*" for all, empty for none

	Importer        Importer
	MaxImportBytes  int64
	MaxTransfers    int           // exports and imports at once
	TransferTimeout time.Duration // for the whole of one
	ReadTimeout     time.Duration // for a piece of one to arrive
	WriteTimeout    time.Duration // for a piece of one to be taken

	RequireIfMatch bool // refuse changes of a book that do not say which version they are meant for
}

// API answers the requests of clients and of probes.
type API struct {
	Options

	draining    atomic.Bool
	connections connections
	requests    *capacity     // that are being answered
	bodies      *capacity     // bytes of their bodies and of those of their answers
	transfers   chan struct{} // holds one element for each that is under way
	handler     http.Handler
}

// New returns an API that is ready to serve.
func New(options Options) *API {
	a := &API{
		Options:  options,
		requests: newCapacity(int64(options.MaxInFlight)), bodies: newCapacity(options.MaxBodyBytesInFlight),
		transfers: make(chan struct{}, options.MaxTransfers),
	}
	a.connections.open = newCapacity(int64(options.MaxConnections))
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

// Draining tells whether StartDrain was called.
func (a *API) Draining() bool { return a.draining.Load() }
