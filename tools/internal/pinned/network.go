package pinned

import (
	"context"
	"regexp"
	"time"
)

// passing matches what the go command says of a network that fails it for now.
var passing = regexp.MustCompile(`TLS handshake timeout|i/o timeout|Client\.Timeout exceeded|connection re(?:set|fused)|unexpected EOF|: 50[234] `)

// pauses are how long to wait before another try. Modules that have arrived and packages that are compiled stay in go's caches, so
// each try goes on where the last one ended.
var pauses = []time.Duration{5 * time.Second, 20 * time.Second}

// persistently calls try again while it is the network that fails: a first build fetches hundreds of modules, and one lost
// connection should not cost a person, or a whole run, a build of minutes.
func persistently(ctx context.Context, try func() error) error {
	for _, pause := range pauses {
		err := try()
		if err == nil || !passing.MatchString(err.Error()) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
	return try()
}
