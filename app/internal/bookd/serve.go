package bookd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"bookshelf/app/internal/bookimport"
	"bookshelf/app/internal/buildinfo"
	"bookshelf/app/internal/config"
	"bookshelf/app/internal/health"
	"bookshelf/app/internal/httpapi"
	"bookshelf/app/internal/httpapi/guard"
	"bookshelf/app/internal/httpapi/transfer"
	"bookshelf/app/internal/postgres"
	"bookshelf/app/internal/ratelimit"
	"bookshelf/app/internal/readcache"
	"bookshelf/app/internal/telemetry"
	"bookshelf/app/internal/token"
)

// statementReserve is how much longer than a request PostgreSQL lets its statement run. The request's own deadline should
// end it; this is for a server that never heard of the cancellation.
const statementReserve = time.Second

// adminWriteTimeout leaves room for the longest profile.
const adminWriteTimeout = 2 * time.Minute

// serve runs until ctx ends. It starts without a database too: a process that is up and not ready explains itself, one that
// restarts in a loop does not.
func (p program) serve(ctx context.Context) error {
	cfg, err := config.Load(p.lookup)
	if err != nil {
		return err
	}
	logger := telemetry.NewLogger(p.stdout, cfg.LogLevel)
	options := postgres.Options{Options: databaseOptions(cfg.Database, "bookd serve")}
	options.StatementTimeout = cfg.HTTP.RequestTimeout + statementReserve
	metrics := telemetry.NewMetrics(buildinfo.Get())
	options.ObserveRead = metrics.LookedUp
	options.ObserveLogin = func(user string) { logger.Info("new connections to the database log in anew", "user", user) }
	tracing, err := startTracing(ctx, cfg.Tracing, logger)
	if err != nil {
		return err
	}
	if tracing != nil {
		options.Tracer = tracing.Statements()
	}
	var cache *readcache.Cache
	if cfg.Cache.On {
		cache = readcache.New(cfg.Cache.MaxBytes)
		options.Changes = cache
	}
	// The pool outlives the signal: it serves the requests that are being finished.
	store, err := postgres.Open(context.WithoutCancel(ctx), options)
	if err != nil {
		return err
	}
	s, err := newServer(cfg, store, p.faults.Store(store), cache, metrics, tracing, logger)
	if err != nil {
		store.Close()
		return err
	}
	return s.run(ctx)
}

// server is one serving process: the API, the admin endpoints, and the store behind them.
type server struct {
	cfg     config.Config
	logger  *slog.Logger
	store   *postgres.Store
	cache   *readcache.Cache // nil where there is none
	api     *httpapi.API
	tokens  *token.Verifier
	tracing *telemetry.Tracing // nil where there is none

	stopTokens                 func(context.Context) // stores the last uses
	stopFollowing              func()                // of the changes of books
	apiListener, adminListener net.Listener
	apiServer, adminServer     *http.Server
	failed                     chan error // a listener that ended by itself; has room for both
}

// newServer binds both ports: what is announced afterwards is true. The API gets its books from books, which stands on store.
// cache and tracing are nil where there are none.
func newServer(
	cfg config.Config, store *postgres.Store, books httpapi.Store, cache *readcache.Cache, metrics *telemetry.Metrics,
	tracing *telemetry.Tracing, logger *slog.Logger,
) (*server, error) {
	apiListener, err := net.Listen("tcp", cfg.HTTP.Addr)
	if err != nil {
		return nil, fmt.Errorf("HTTP_ADDR: %w", err)
	}
	adminListener, err := net.Listen("tcp", cfg.HTTP.AdminAddr)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("ADMIN_ADDR: %w", err), apiListener.Close())
	}
	observePool(metrics, store)
	if cache != nil {
		observeCache(metrics, cache)
	}
	tokens := token.NewVerifier(store, time.Now)
	api := httpapi.New(httpapi.Options{
		Store:          books,
		Cache:          cache,
		Auth:           authModes[cfg.Access.Auth],
		Tokens:         tokens,
		Metrics:        metrics,
		Tracer:         tracer(tracing),
		Logger:         logger,
		Build:          buildinfo.Get(),
		Now:            time.Now,
		RequestTimeout: cfg.HTTP.RequestTimeout,
		ReadyTimeout:   cfg.HTTP.ReadyTimeout,
		MaxBodyBytes:   cfg.HTTP.MaxBodyBytes,
		Retention:      cfg.HTTP.Retention,

		Guard: guard.Options{
			MaxConnections:       cfg.HTTP.MaxConnections,
			MaxInFlight:          cfg.HTTP.MaxInFlight,
			MaxBodyBytesInFlight: cfg.HTTP.MaxBodyBytesInFlight,
			AddressLimit:         limiter("address", cfg.Access.AddressLimit),
			TokenLimit:           limiter("token", cfg.Access.TokenLimit),
			TrustedProxies:       cfg.Access.TrustedProxies,
		},
		Transfers: transfer.Options{
			Importer:       importer{store},
			MaxImportBytes: cfg.HTTP.MaxImportBytes,
			Max:            cfg.HTTP.MaxTransfers,
			Timeout:        cfg.HTTP.TransferTimeout,
			ReadTimeout:    cfg.HTTP.ReadTimeout,
			WriteTimeout:   cfg.HTTP.WriteTimeout,
		},

		CORSOrigins:    cfg.Access.CORSOrigins,
		RequireIfMatch: cfg.HTTP.RequireIfMatch,
	})
	metrics.Func("bookd_connections", "Open connections of the API.", telemetry.Gauge,
		func() float64 { open, _ := api.Connections(); return float64(open) })
	metrics.Func("bookd_connections_refused_total", "Connections closed at once because too many were open.",
		telemetry.Counter, func() float64 { _, refused := api.Connections(); return float64(refused) })
	metrics.Func("bookd_connections_limit", "Connections of the API that may be open at the same time.",
		telemetry.Gauge, func() float64 { return float64(cfg.HTTP.MaxConnections) })
	metrics.Func("bookd_active_requests_limit", "Requests that may be answered at the same time, probes aside.",
		telemetry.Gauge, func() float64 { return float64(cfg.HTTP.MaxInFlight) })
	s := &server{
		cfg: cfg, logger: logger, store: store, cache: cache, api: api, tokens: tokens, tracing: tracing,
		apiListener: apiListener, adminListener: adminListener,
		failed: make(chan error, 2),
	}
	s.apiServer = s.httpServer(api, cfg.HTTP.WriteTimeout)
	s.apiServer.ConnState = api.ConnState
	// OPTIONS * goes to the API as well, so that its answer has the headers that every answer has.
	s.apiServer.DisableGeneralOptionsHandler = true
	s.adminServer = s.httpServer(telemetry.AdminHandler(metrics, s.health(books)), adminWriteTimeout)
	return s, nil
}

// health tells operators how what the process depends on does. The collector of traces is not needed to serve.
func (s *server) health(books httpapi.Store) http.Handler {
	checks := []health.Check{
		{Name: "database", Essential: true, Look: s.store.Ping},
		{Name: "schema", Essential: true, Look: books.Ready},
		{Name: "serving", Essential: true, Look: func(context.Context) error {
			if s.api.Draining() {
				return errors.New("the process is shutting down")
			}
			return nil
		}},
	}
	if s.tracing != nil {
		checks = append(checks, health.Check{Name: "traces", Look: func(context.Context) error { return s.tracing.Failing() }})
	}
	return health.New(buildinfo.Get().Version, s.cfg.HTTP.ReadyTimeout, time.Now, checks...)
}

// importer imports into a store.
type importer struct {
	store *postgres.Store
}

// Import implements transfer.Importer.
func (i importer) Import(ctx context.Context, opts bookimport.Options, in io.Reader) (bookimport.Report, error) {
	return bookimport.Run(ctx, opts, in, i.store, func(bookimport.Progress) {})
}

// httpServer sets all four time-outs and the limit of headers; the limit of bodies is the API's.
func (s *server) httpServer(handler http.Handler, writeTimeout time.Duration) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: s.cfg.HTTP.ReadHeaderTimeout,
		ReadTimeout:       s.cfg.HTTP.ReadTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       s.cfg.HTTP.IdleTimeout,
		MaxHeaderBytes:    s.cfg.HTTP.MaxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelWarn),
	}
}

// authModes are the values of AUTH, which config has checked.
var authModes = map[string]httpapi.Auth{
	"required": httpapi.AuthRequired, "public-read": httpapi.AuthPublicRead, "off": httpapi.AuthOff,
}

// limiter returns nil for no limit.
func limiter(name string, r *config.Rate) *ratelimit.Limiter {
	if r == nil {
		return nil
	}
	return ratelimit.New(ratelimit.Policy{Name: name, Quota: r.Requests, Window: r.Window})
}

// run serves until ctx ends or a listener fails, and then shuts down in order.
func (s *server) run(ctx context.Context) error {
	for _, l := range []struct {
		server   *http.Server
		listener net.Listener
	}{{s.apiServer, s.apiListener}, {s.adminServer, s.adminListener}} {
		go func() {
			if err := l.server.Serve(l.listener); !errors.Is(err, http.ErrServerClosed) {
				s.failed <- fmt.Errorf("serve on %s: %w", l.listener.Addr(), err)
			}
		}()
	}
	s.stopTokens = s.tokens.Start(s.logger)
	s.stopFollowing = s.follow()
	s.logger.Info("serving",
		"api_addr", s.apiListener.Addr().String(),
		"admin_addr", s.adminListener.Addr().String(),
		"revision", buildinfo.Get().Revision,
		"config", s.cfg)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go s.forgetExpired(ctx)
	var failure error
	select {
	case failure = <-s.failed:
	case <-ctx.Done():
	}
	return errors.Join(failure, s.shutdown(failure == nil))
}

// follow keeps the cache, where there is one, told of what changes, until stop is called. Requests that are being finished
// still use it.
func (s *server) follow() (stop func()) {
	if s.cache == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.store.Follow(ctx, s.logger)
	}()
	return func() {
		cancel()
		<-stopped
	}
}

// forgetExpired removes what is kept of requests with an Idempotency-Key once its time is over, until ctx ends. Every
// instance does so; there is nothing to agree on.
func (s *server) forgetExpired(ctx context.Context) {
	// A hundredth more than promised is what a row may stay.
	ticker := time.NewTicker(max(s.cfg.HTTP.Retention/100, time.Second))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		forgotten, err := s.store.ForgetExpired(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.logger.Warn("expired idempotency keys are still there", "error", err)
		case forgotten > 0:
			s.logger.Debug("expired idempotency keys are forgotten", "count", forgotten)
		}
	}
}

// shutdown ends the process under one deadline: readiness off, the grace in which whoever sends requests learns of it, the
// requests in flight, the pool, and last the admin port, so that the final metrics can be read. Without grace, it begins
// with the requests in flight.
func (s *server) shutdown(grace bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Shutdown.Timeout)
	defer cancel()
	s.api.StartDrain()
	s.logger.Info("shutdown begins", "grace", s.cfg.Shutdown.Grace.String(), "timeout", s.cfg.Shutdown.Timeout.String())
	if grace {
		timer := time.NewTimer(s.cfg.Shutdown.Grace) // shorter than the deadline, by the configuration's rules
		defer timer.Stop()
		select {
		case <-timer.C:
		case err := <-s.failed:
			s.logger.Error("listener failed during the grace", "error", err)
		}
	}
	s.logger.Info("draining")
	var problems []error
	// Shutdown closes the listener first and then waits, so a connection that was accepted is served, also one that has not
	// sent its request yet.
	if err := s.apiServer.Shutdown(ctx); err != nil {
		problems = append(problems, fmt.Errorf("requests were cut off, because they were not finished %v after the signal: %w",
			s.cfg.Shutdown.Timeout, errors.Join(err, s.apiServer.Close())))
	}
	s.stopTokens(ctx)
	s.stopFollowing()
	problems = append(problems, s.closeStore(ctx))
	s.flushTraces(ctx)
	if err := s.adminServer.Shutdown(ctx); err != nil {
		// A profile still being taken is no reason to call the shutdown a failure.
		s.logger.Warn("admin connections were cut off", "error", errors.Join(err, s.adminServer.Close()))
	}
	err := errors.Join(problems...)
	s.logger.Info("stopped", "clean", err == nil)
	return err
}

// closeStore waits for the connections in use, but not longer than ctx allows.
func (s *server) closeStore(ctx context.Context) error {
	closed := make(chan struct{})
	go func() {
		s.store.Close()
		close(closed)
	}()
	select {
	case <-closed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close the database pool: %w", ctx.Err())
	}
}

// startTracing returns nil when no collector is configured.
func startTracing(ctx context.Context, cfg config.Tracing, logger *slog.Logger) (*telemetry.Tracing, error) {
	if cfg.Endpoint == nil {
		return nil, nil
	}
	options := telemetry.TracingOptions{Endpoint: cfg.Endpoint, Sampler: cfg.Sampler, Ratio: cfg.Ratio}
	return telemetry.NewTracing(context.WithoutCancel(ctx), options, buildinfo.Get(), logger)
}

// tracer keeps a nil pointer from becoming an interface that is not nil.
func tracer(t *telemetry.Tracing) httpapi.Tracer {
	if t == nil {
		return nil
	}
	return t
}

// flushTimeout is what a collector may delay the end by.
const flushTimeout = time.Second

// flushTraces sends the last spans. That a collector does not take them is no reason to call the shutdown a failure.
func (s *server) flushTraces(ctx context.Context) {
	if s.tracing == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	if err := s.tracing.Shutdown(ctx); err != nil {
		s.logger.Warn("the last traces could not be exported", "error", err)
	}
}
