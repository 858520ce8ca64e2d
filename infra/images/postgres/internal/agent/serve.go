package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"bookshelf/postgres/internal/pgbackrest"
	"bookshelf/postgres/internal/schedule"
)

// agent is what the commands share.
type agent struct {
	settings settings
	tool     pgbackrest.Tool

	lock sync.Mutex
	seen seen
}

// seen is what the agent found when it looked last.
type seen struct {
	backups []Backup
	bytes   int64
	// problem is why the repository could not be looked at, "" when it could.
	problem string
	// taken and failed count backups since the agent started.
	taken, failed int
	running       bool
}

const (
	// lookEvery is how often the repository is looked at, also when nothing is due.
	lookEvery = time.Minute
	// retryAfter is how long a failed backup, or a repository that is not ready, is left alone.
	retryAfter = 15 * time.Second
)

// serve works until ctx ends: it takes what PostgreSQL hands over, keeps to the schedule, and answers for metrics.
func (a *agent) serve(ctx context.Context, log io.Writer) error {
	listener, err := listen(a.settings.Sockets)
	if err != nil {
		return err
	}
	metrics, err := net.Listen("tcp", a.settings.Metrics)
	if err != nil {
		return errors.Join(fmt.Errorf("listen for metrics: %w", err), listener.Close())
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	defer group.Wait()
	r := receiver{carry: func(ctx context.Context, name string) error {
		_, err := a.tool.Run(ctx, "archive-push", filepath.Join(a.settings.Data, "pg_wal", name))
		return err
	}}
	group.Go(func() {
		if err := r.serve(ctx, listener); err != nil {
			cancel(err)
		}
	})
	server := &http.Server{Handler: a.handler(), ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second}
	group.Go(func() {
		if err := server.Serve(metrics); err != nil && !errors.Is(err, http.ErrServerClosed) {
			cancel(err)
		}
	})
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	a.keepSchedule(ctx, log)
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// keepSchedule does what is due, for ever. It remembers nothing: the repository says what was done.
func (a *agent) keepSchedule(ctx context.Context, log io.Writer) {
	for prepared := false; ctx.Err() == nil; {
		wait := retryAfter
		var err error
		if !prepared {
			// Safe to repeat. It fails for as long as the database has not come up, or its roles are not there yet.
			if _, err = a.tool.Run(ctx, "stanza-create"); err == nil {
				prepared = true
			}
		}
		if prepared {
			wait, err = a.round(ctx)
		}
		if err != nil && ctx.Err() == nil {
			fmt.Fprintf(log, "%s: again in %s\n", err, retryAfter)
			wait = retryAfter
			a.note(func(s *seen) { s.problem = err.Error() })
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// round looks at the repository, takes what is due, and says when to look again.
func (a *agent) round(ctx context.Context) (time.Duration, error) {
	release, err := a.alone(ctx)
	if err != nil {
		return 0, err
	}
	defer release()
	if _, err := a.complete(ctx); err != nil {
		return 0, err
	}
	list, err := a.look(ctx)
	if err != nil {
		return 0, err
	}
	var done []schedule.Done
	for _, b := range list {
		if b.Fault == "" { // one that is of no use puts nothing off
			done = append(done, schedule.Done{Type: b.Type, At: b.Started})
		}
	}
	due, next := a.settings.Schedule.Due(done, time.Now())
	if due == "" {
		return min(time.Until(next)+time.Second, lookEvery), nil
	}
	a.note(func(s *seen) { s.running = true })
	_, err = a.takeLocked(ctx, due)
	a.note(func(s *seen) {
		s.running = false
		if err != nil {
			s.failed++
		} else {
			s.taken++
		}
	})
	if err != nil {
		return 0, err
	}
	_, err = a.look(ctx)
	return time.Second, err
}

// look notes what the repository holds.
func (a *agent) look(ctx context.Context) ([]Backup, error) {
	list, err := a.backups(ctx)
	if err != nil {
		return nil, err
	}
	bytes, err := a.tool.Size(ctx)
	if err != nil {
		return nil, err
	}
	a.note(func(s *seen) { s.backups, s.bytes, s.problem = list, bytes, "" })
	return list, nil
}

func (a *agent) note(change func(*seen)) {
	a.lock.Lock()
	defer a.lock.Unlock()
	change(&a.seen)
}

func (a *agent) noted() seen {
	a.lock.Lock()
	defer a.lock.Unlock()
	return a.seen
}
