package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/httpapi/exchange"
	"bookshelf/app/internal/httpapi/problem"
	"bookshelf/app/internal/token"
)

// Auth says which requests need a token. The zero value is the strictest.
type Auth int

// The values of Auth.
const (
	AuthRequired   Auth = iota // every request under /api/
	AuthPublicRead             // those that change something, and those that need the scope admin
	AuthOff                    // none; a token that is sent is not looked at
)

// Tokens verifies tokens. The error is a *token.RefusedError for one that is not good; any other is answered as an
// error of the store.
type Tokens interface {
	Verify(ctx context.Context, text string) (token.Token, error)
}

// realm names what the tokens are for (RFC 6750, section 3).
const realm = `Bearer realm="bookshelf"`

// requiredScope returns what a token must allow for an operation; "" is none. It is derived from the path and the
// method, so that a route that is added later is protected without anybody's doing.
func requiredScope(r route) token.Scope {
	switch {
	case !strings.HasPrefix(r.template, "/api/"):
		return "" // probes, and the description of the API
	case r.template == historyPath:
		return token.Admin // it names the tokens of others
	case r.method == http.MethodGet:
		return token.BooksRead
	default:
		return token.BooksWrite
	}
}

// withAuth lets only those requests through that may do what the route does. It stands inside the router, which knows
// the route: what is answered outside (404, 405, OPTIONS) is public, as this repository is.
func (a *API) withAuth(r route, next http.Handler) http.Handler {
	scope := requiredScope(r)
	if scope == "" || a.Auth == AuthOff {
		return next
	}
	return exchange.Handle(func(w http.ResponseWriter, req *http.Request) error {
		if a.Auth == AuthPublicRead && scope == token.BooksRead && len(req.Header.Values("Authorization")) == 0 {
			next.ServeHTTP(w, req)
			return nil
		}
		t, err := a.authenticate(req)
		if err != nil {
			a.Metrics.TokenChecked(refusal(req, err))
			return err
		}
		id := token.Prefix + t.ID
		exchange.From(req.Context()).Token = id
		if err := a.guard.LimitToken(w, t.ID); err != nil {
			return err
		}
		if !t.Allows(scope) {
			a.Metrics.TokenChecked("forbidden")
			return &problem.Error{
				Kind:   problem.InsufficientScope,
				Detail: fmt.Sprintf("This needs a token with the scope %s; the token sent has %s.", scope, scopeList(t.Scopes)),
				Header: challenge(`error="insufficient_scope", scope="` + string(scope) + `"`),
			}
		}
		a.Metrics.TokenChecked("accepted")
		actor := book.Actor{Name: "token:" + t.Name, TokenID: id}
		next.ServeHTTP(w, req.WithContext(book.WithActor(req.Context(), actor)))
		return nil
	})
}

// refusal is the outcome, for the metrics, of a request that authenticate has an error for.
func refusal(r *http.Request, err error) string {
	switch _, answered := errors.AsType[*problem.Error](err); {
	case !answered:
		return "unverified"
	case len(r.Header.Values("Authorization")) == 0:
		return "missing"
	default:
		return "refused"
	}
}

// authenticate returns the token that a request carries (RFC 6750, section 2.1; the other ways of that section, a form
// and the query, are not taken: they end up in logs). Its error is a 401, unless the token could not be looked up.
func (a *API) authenticate(r *http.Request) (token.Token, error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		// RFC 6750, section 3.1: who sent no credentials is told no error code.
		return token.Token{}, &problem.Error{
			Kind:   problem.Unauthorized,
			Detail: "This needs a token: send the header Authorization: Bearer TOKEN.",
			Header: challenge(""),
		}
	}
	if len(values) > 1 {
		return token.Token{}, invalidToken("The header Authorization must be sent once.", nil)
	}
	scheme, text, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return token.Token{}, invalidToken("The header Authorization must be of the form Bearer TOKEN.", nil)
	}
	t, err := a.Tokens.Verify(r.Context(), strings.TrimLeft(text, " "))
	if refused, ok := errors.AsType[*token.RefusedError](err); ok {
		return token.Token{}, invalidToken("The token in the header Authorization "+refused.Reason+".", err)
	}
	return t, err
}

func invalidToken(detail string, cause error) error {
	return &problem.Error{Kind: problem.Unauthorized, Detail: detail, Header: challenge(`error="invalid_token"`), Cause: cause}
}

// challenge is the header that a 401 must have, and a 403 may have.
func challenge(params string) http.Header {
	value := realm
	if params != "" {
		value += ", " + params
	}
	return http.Header{"Www-Authenticate": {value}}
}

func scopeList(scopes []token.Scope) string {
	names := make([]string, len(scopes))
	for i, s := range scopes {
		names[i] = string(s)
	}
	return strings.Join(names, ", ")
}
