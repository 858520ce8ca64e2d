package httpapi

import (
	"net/http"

	"bookshelf/app/internal/httpapi/exchange"
)

// probe reports whether a route must be answered whatever happens: who asks decides whether this process lives.
func probe(r route) bool {
	return r.template == livePath || r.template == readyPath || r.template == versionPath
}

// withGuard stands before everything of a route that costs anything: it keeps the number of requests that are being
// answered, and the bytes that they hold, within bounds, and each address within its limit. The zero route is that of
// requests that have none.
func (a *API) withGuard(r route, next http.Handler) http.Handler {
	if probe(r) {
		return next
	}
	return exchange.Handle(func(w http.ResponseWriter, req *http.Request) error {
		in := exchange.From(req.Context())
		in.Load = a.guard.Load(in.Client, req.Method != http.MethodGet && req.Method != http.MethodHead)
		defer in.Load.Release()
		if err := in.Load.Admit(); err != nil {
			return err
		}
		if err := a.guard.LimitAddress(w, in.Client); err != nil {
			return err
		}
		next.ServeHTTP(w, req)
		return nil
	})
}
