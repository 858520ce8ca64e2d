// Package edgetest is a platform for tests: one with an edge, for which a function answers.
package edgetest

import (
	"context"
	"encoding/json"
	"io"

	"bookshelf/infra/runtime"
	"bookshelf/infra/runtime/edge"
)

// Platform has an edge that runs, and what else it is given. Whatever is neither asked of the edge nor a list of instances panics,
// unless a type that embeds it can do it.
type Platform struct {
	runtime.Platform
	// Others are the instances beside the edge.
	Others []runtime.Instance
	// Answer is what the edge answers to one of its commands, the program left out, as JSON.
	Answer func(command []string, stdin []byte) (any, error)
}

// Instances implements runtime.Platform.
func (p *Platform) Instances(context.Context, runtime.Environment) ([]runtime.Instance, error) {
	return append([]runtime.Instance{{ID: "edge", Component: edge.Component, Kind: runtime.KindService, State: runtime.StateHealthy}}, p.Others...), nil
}

// Entrypoint implements runtime.Platform.
func (p *Platform) Entrypoint(context.Context, string) ([]string, error) {
	return []string{"/edge"}, nil
}

// Exec implements runtime.Platform. Whichever instance is named, it is the edge.
func (p *Platform) Exec(_ context.Context, _ string, command []string, stdin io.Reader, stdout, _ io.Writer) (int, error) {
	input, err := io.ReadAll(stdin)
	if err != nil {
		return 0, err
	}
	answer, err := p.Answer(command[1:], input)
	if err != nil {
		return 0, err
	}
	return 0, json.NewEncoder(stdout).Encode(answer)
}
