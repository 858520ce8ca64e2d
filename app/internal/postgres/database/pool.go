package database

import (
	"context"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Pool is a pool of connections with the login of the moment.
type Pool struct {
	*pgxpool.Pool

	// stopFollowing ends the watch over the login's files.
	stopFollowing func()
}

// Open prepares a pool. It connects lazily: it succeeds while the server is down.
func Open(ctx context.Context, opts Options) (*Pool, error) {
	// Before there is a connection: none can be of an earlier login. Where it cannot be read yet, there is none to follow.
	first, _ := opts.login()
	cfg, err := opts.Config()
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", opts.Name, err)
	}
	p := &Pool{Pool: pool, stopFollowing: func() {}}
	if opts.inFiles() {
		done := make(chan struct{})
		p.stopFollowing = sync.OnceFunc(func() { close(done) })
		go opts.followLogin(pool, first, done)
	}
	return p, nil
}

// Close waits for the connections in use and closes all.
func (p *Pool) Close() {
	p.stopFollowing()
	p.Pool.Close()
}
