package client

import (
	"context"
	"net/http"
)

// WithToken sends a token, as the operator has made it, with every request (RFC 6750).
func WithToken(token string) ClientOption {
	return WithRequestEditorFn(func(_ context.Context, req *http.Request) error {
		req.Header.Set("Authorization", "Bearer "+token)
		return nil
	})
}
