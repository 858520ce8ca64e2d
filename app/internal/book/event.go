package book

import (
	"context"
	"encoding/json"
	"time"
)

// Actor is who changes a book.
type Actor struct {
	Name    string // "token:NAME", "command:import" or "anonymous"
	TokenID string // the public part of the token, or ""
}

// Anonymous is who changes a book where nobody has to say who he is.
const Anonymous = "anonymous"

type actorKey struct{}

// WithActor returns a context in which the actor changes books.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// ActorFrom returns the actor of a context, or one with the name otherwise.
func ActorFrom(ctx context.Context, otherwise string) Actor {
	if a, ok := ctx.Value(actorKey{}).(Actor); ok {
		return a
	}
	return Actor{Name: otherwise}
}

// Event is one change of a book.
type Event struct {
	ID      int64  // later events of a book have a larger one
	Action  string // "create", "update" or "delete"
	At      time.Time
	Actor   string // an Actor's Name, or "login:ROLE" for what changed the database directly
	TokenID string // "" without a token
	Version int64  // of the book after the change; of a deleted one, before

	// Before and After are the members of the book that a client may set, each a JSON object; of an update, only those
	// that have changed. Before is nil for a create, After for a delete.
	Before, After json.RawMessage
}

// MaxHistoryLimit is the size of the largest page of a book's history.
const MaxHistoryLimit = 200
