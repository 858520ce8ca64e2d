package slots

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// How readiness is asked for. A replica is ready after one good answer and unready after two bad ones in a row, so that one
// lost packet moves no traffic.
const (
	probeEvery   = 500 * time.Millisecond
	probeTimeout = 2 * time.Second
	probeStrikes = 2
)

// Replica is one process that answers requests. It lives as long as its slot names its address; in-flight requests outlive it.
type Replica struct {
	slot     string
	address  Address
	inFlight atomic.Int64

	mu      sync.Mutex // guards what follows; requests read healthy alone
	healthy atomic.Bool
	since   time.Time
	detail  string // why it is not healthy
	log     *slog.Logger

	stop context.CancelFunc
}

func newReplica(slot string, address Address, log *slog.Logger) *Replica {
	return &Replica{
		slot: slot, address: address, since: time.Now(), detail: "not asked yet",
		log: log.With("slot", slot, "replica", address.Address),
	}
}

// setHealth records what was learned; only a change moves since.
func (r *Replica) setHealth(healthy bool, detail string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.healthy.Load() != healthy {
		r.healthy.Store(healthy)
		r.since = time.Now()
		r.log.Info("the health of a replica changed", "healthy", healthy, "detail", detail)
	}
	r.detail = detail
}

// watch asks for readiness until ctx is cancelled. Nobody else makes the replica healthy.
func (r *Replica) watch(ctx context.Context, probe func(context.Context, string) error) {
	ticks := time.NewTicker(probeEvery)
	defer ticks.Stop()
	strikes := 0
	for {
		err := probe(ctx, r.address.Address)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			strikes = 0
			r.setHealth(true, "")
		default:
			strikes++
			if strikes >= probeStrikes || !r.healthy.Load() {
				r.setHealth(false, err.Error())
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
	}
}

// Ready returns a probe that asks http://ADDRESS followed by path and wants a 200. Each time it connects anew: a connection
// that was kept says nothing about whether the next one would be accepted.
func Ready(path string) func(ctx context.Context, address string) error {
	client := &http.Client{
		Timeout:       probeTimeout,
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context, address string) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, http.NoBody)
		if err != nil {
			return err
		}
		res, err := client.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answered %d", path, res.StatusCode)
		}
		if _, err := io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)); err != nil {
			return errors.New(path + " began an answer and did not end it")
		}
		return nil
	}
}
