package httpapi

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/mux"

	"bookshelf/app/internal/httpapi/description"
	"bookshelf/app/internal/httpapi/exchange"
	"bookshelf/app/internal/httpapi/media"
	"bookshelf/app/internal/httpapi/problem"
)

// This file is the only one that knows the router. Handlers see plain net/http: path values through Request.PathValue, the
// template of their route through the request's info. docs/adr/0001-gorilla-mux.md tells how to replace it.

const (
	booksPath   = "/api/v1/books"
	bookPath    = booksPath + "/{id}"
	historyPath = bookPath + "/history"
	exportPath  = booksPath + "/export"
	importPath  = booksPath + "/import"
	livePath    = "/livez"
	readyPath   = "/readyz"
	versionPath = "/version"
	docsPath    = "/docs"

	// unmatched is the route label of requests for which there is no route.
	unmatched = "unmatched"
)

// route is one operation.
type route struct {
	method   string // GET includes HEAD
	template string
	handler  http.Handler
}

// routes is the whole of the API. Its order does not matter: a path that is the template of one route is not matched by
// the variables of another.
func (a *API) routes() []route {
	return []route{
		{http.MethodGet, booksPath, a.handleBookList()},
		{http.MethodPost, booksPath, a.handleBookCreate()},
		{http.MethodGet, exportPath, a.transfers.Export()},
		{http.MethodPost, importPath, a.transfers.Import()},
		{http.MethodGet, bookPath, a.handleBookGet()},
		{http.MethodPut, bookPath, a.handleBookReplace()},
		{http.MethodPatch, bookPath, a.handleBookPatch()},
		{http.MethodDelete, bookPath, a.handleBookDelete()},
		{http.MethodGet, historyPath, a.handleBookHistory()},
		{http.MethodGet, livePath, a.handleLive()},
		{http.MethodGet, readyPath, a.handleReady()},
		{http.MethodGet, versionPath, a.handleVersion()},
		{http.MethodGet, "/openapi.yaml", description.Serve()},
		{http.MethodGet, docsPath, description.ServePage()},
		{http.MethodGet, docsPath + "/{file}", description.ServePage()},
	}
}

// router dispatches by path and method, and answers what no route does.
type router struct {
	fixed    *mux.Router // routes whose template is the path
	variable *mux.Router // those with variables, for all other paths
	paths    map[string]bool
	methods  []string // all that any route has, sorted
}

func newRouter(api *API, routes []route) *router {
	rt := &router{paths: map[string]bool{}}
	rt.fixed, rt.variable = rt.newTable(api), rt.newTable(api)
	for _, r := range routes {
		methods := []string{r.method}
		if r.method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
		table := rt.variable
		if !strings.Contains(r.template, "{") {
			table, rt.paths[r.template] = rt.fixed, true
		}
		table.Handle(r.template, withRoute(r.template, api.withGuard(r, api.withAuth(r, r.handler)))).Methods(methods...)
		rt.methods = append(rt.methods, methods...)
	}
	slices.Sort(rt.methods)
	rt.methods = slices.Compact(rt.methods)
	return rt
}

// newTable returns an empty table of routes.
func (rt *router) newTable(api *API) *mux.Router {
	table := mux.NewRouter()
	// Without these two, an unclean path is redirected with a 301, which turns a POST into a GET, and an encoded slash
	// counts as a separator.
	table.SkipClean(true)
	table.UseEncodedPath()
	table.NotFoundHandler = api.withGuard(route{}, exchange.Handle(func(http.ResponseWriter, *http.Request) error {
		return problem.ErrNoSuchResource
	}))
	table.MethodNotAllowedHandler = api.withGuard(route{}, exchange.Handle(rt.otherMethod))
	return table
}

// table returns the routes that a request is for. With all of them in one table, /books/export would be a book to every
// method that an export does not have.
func (rt *router) table(r *http.Request) *mux.Router {
	if rt.paths[r.URL.EscapedPath()] {
		return rt.fixed
	}
	return rt.variable
}

func (rt *router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodOptions && r.URL.Path == "*" {
		// RFC 9110, section 9.3.7: this asks about the server as a whole.
		writeAllow(w, rt.methods)
		return
	}
	rt.table(r).ServeHTTP(w, r)
}

// otherMethod answers a request whose path has routes, but none for its method: OPTIONS lists them, all else is a 405.
func (rt *router) otherMethod(w http.ResponseWriter, r *http.Request) error {
	var allowed []string
	// The router says only that the method is wrong. Asking it about each method keeps the table of routes the only place
	// that knows which ones there are.
	for _, method := range rt.methods {
		probe := *r
		probe.Method = method
		var match mux.RouteMatch
		if !rt.table(r).Match(&probe, &match) || match.MatchErr != nil {
			continue
		}
		allowed = append(allowed, method)
		if template, err := match.Route.GetPathTemplate(); err == nil {
			exchange.From(r.Context()).Route = template
		}
	}
	if r.Method == http.MethodOptions {
		writeAllow(w, allowed)
		return nil
	}
	return &problem.Error{
		Kind:   problem.MethodNotAllowed,
		Detail: "This resource answers only " + strings.Join(allowed, ", ") + " and OPTIONS.",
		Header: http.Header{"Allow": {allowHeader(allowed)}},
	}
}

// writeAllow answers an OPTIONS request. RFC 5789, section 3.1, wants the type of patches beside the method.
func writeAllow(w http.ResponseWriter, methods []string) {
	w.Header().Set("Allow", allowHeader(methods))
	if slices.Contains(methods, http.MethodPatch) {
		w.Header().Set(media.AcceptPatch, media.MergePatch)
	}
	w.WriteHeader(http.StatusNoContent)
}

// allowHeader adds the method that every resource has.
func allowHeader(methods []string) string {
	return strings.Join(append(slices.Clone(methods), http.MethodOptions), ", ")
}

// withRoute tells the layers outside the router which route was taken, and gives the handler the path's variables in the
// standard library's way.
func withRoute(template string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		exchange.From(r.Context()).Route = template
		for name, value := range mux.Vars(r) {
			r.SetPathValue(name, value)
		}
		next.ServeHTTP(w, r)
	})
}
