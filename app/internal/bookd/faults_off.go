//go:build !faults

package bookd

import (
	"context"

	"bookshelf/app/internal/config"
	"bookshelf/app/internal/httpapi"
)

// faultPlan changes nothing: only a build with the tag "faults" can misbehave on purpose. See package faults.
type faultPlan struct{}

func loadFaults(config.Lookup) (faultPlan, error) { return faultPlan{}, nil }

// Command runs run.
func (faultPlan) Command(ctx context.Context, _ string, run func(context.Context) error) error {
	return run(ctx)
}

// Store returns books.
func (faultPlan) Store(books httpapi.Store) httpapi.Store { return books }
