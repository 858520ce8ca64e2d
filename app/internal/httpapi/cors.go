package httpapi

import (
	"net/http"

	"github.com/rs/cors"

	"bookshelf/app/internal/httpapi/exchange"
	"bookshelf/app/internal/httpapi/media"
	"bookshelf/app/internal/idempotency"
)

// corsMaxAge is how long a browser may remember what it was told, in seconds.
const corsMaxAge = 600

// withCORS lets pages of the configured origins use the API from a browser (the Fetch standard, section 3.2).
// Credentials that a browser adds by itself are never asked for: there are no cookies here, and a page sends its token
// itself.
func (a *API) withCORS(next http.Handler) http.Handler {
	if len(a.CORSOrigins) == 0 {
		return next
	}
	return cors.New(cors.Options{
		AllowedOrigins: a.CORSOrigins,
		AllowedMethods: []string{
			http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		},
		AllowedHeaders: []string{
			"Accept", "Authorization", "Content-Type", idempotency.Header, "If-Match", "If-None-Match", exchange.RequestIDHeader,
		},
		ExposedHeaders: []string{
			media.AcceptPatch, "Allow", "Content-Disposition", "Content-Location", "ETag", "Idempotency-Replayed", "Link", "Location",
			"RateLimit", "RateLimit-Policy", "Retry-After", "WWW-Authenticate", "X-Bookshelf-Version", exchange.RequestIDHeader,
		},
		MaxAge: corsMaxAge,
		// The answer to OPTIONS is the router's, as without a browser.
		OptionsPassthrough: true,
	}).Handler(next)
}
