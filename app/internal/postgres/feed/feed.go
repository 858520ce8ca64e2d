// Package feed follows the changes of stored books, by whatever process they are made.
package feed

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"bookshelf/app/internal/postgres/database"
)

// Listener is told of the changes of stored books that are committed by anybody.
type Listener interface {
	// Following says that whatever was committed by three seconds before until has been told of.
	Following(until time.Time)
	// Changed and ChangedAll follow a change that is committed.
	Changed(ids []int64)
	ChangedAll()
	// Lost says that changes are not told of, until Following is called again.
	Lost()
}

// The times of following. A connection that is dead without anybody's telling is noticed when the echo stays away, and
// what is kept is no longer used when followLease is over; the server's clock has to come close to none of this.
const (
	followBeat  = time.Second            // from one echo to the next call
	followWait  = 100 * time.Millisecond // from one look for older transactions to the next
	followEcho  = 2 * time.Second        // for an echo to come back
	followLease = 3 * time.Second        // from a call whose echo was heard
	followRow   = 10 * time.Second       // how long writers are asked to announce; much longer than the lease
	followRetry = 100 * time.Millisecond // after the first failure, then doubled
	followMax   = 5 * time.Second        // between two attempts
	followEnd   = time.Second            // for leaving in order
)

const (
	changesChannel = "bookshelf_books"

	// Rows of instances that are gone are of no use. Removing one that has only been late is safe: its owner finds it gone.
	registerFollower = `
		WITH gone AS (DELETE FROM read_caches WHERE until < clock_timestamp())
		INSERT INTO read_caches (id, until) VALUES ($1, clock_timestamp() + $2 * interval '1 microsecond')`

	// One transaction renews the row and calls. A row that has expired stays so: changes may have gone unannounced since.
	renewFollower = `
		WITH renewed AS (
			UPDATE read_caches SET until = clock_timestamp() + $2 * interval '1 microsecond'
			WHERE id = $1 AND until > clock_timestamp() RETURNING id)
		SELECT pg_notify($3, $4) FROM renewed`

	removeFollower = `DELETE FROM read_caches WHERE id = $1`

	newestTransaction = `SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint`
	oldestTransaction = `SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint`
)

// Follow tells the listener of every change of a stored book, until ctx ends. It takes a connection of its own, beside any
// pool, and makes a new one whenever it is lost. Before it connects it asks ready, whose error says why it cannot. What goes
// wrong is logged once, until it is well again.
func Follow(
	ctx context.Context, opts database.Options, ready func(context.Context) error, to Listener, logger *slog.Logger,
) {
	wait, complained := followRetry, false
	for {
		err := follow(ctx, opts, ready, to, func() {
			logger.Info("changes of books are followed")
			wait, complained = followRetry, false
		})
		to.Lost()
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			continue
		}
		if !complained {
			logger.Warn("changes of books cannot be followed; the read cache is bypassed", "error", err)
			complained = true
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = min(2*wait, followMax)
	}
}

// follower is one connection that hears of changes.
type follower struct {
	to       Listener
	conn     *pgx.Conn
	lifetime time.Duration // that a connection of a pool would have
	id       string        // of the row, and part of the channel for echoes

	since    int64     // every transaction before this one has to have ended
	attached bool      // they have
	calls    int       // so many were made
	called   time.Time // when the last was
	echoed   bool      // it was heard
}

// follow connects and hears of changes until something fails, or the connection is as old as those of the pool may get:
// then it returns nil. began is called once it can be relied on.
func follow(
	ctx context.Context, opts database.Options, ready func(context.Context) error, to Listener, began func(),
) error {
	// Without the table, the reason is the schema.
	if err := ready(ctx); err != nil {
		return err
	}
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	f := &follower{to: to, id: hex.EncodeToString(random[:])}
	if err := f.connect(ctx, opts); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer f.leave(ctx)
	if err := f.register(ctx); err != nil {
		return err
	}
	for end := time.Now().Add(f.lifetime); time.Now().Before(end); {
		if err := f.round(ctx, began); err != nil {
			return err
		}
	}
	return nil
}

func (f *follower) connect(ctx context.Context, opts database.Options) error {
	opts.ApplicationName += " (changes)"
	opts.Tracer = nil // there is no request that its statements belong to
	cfg, err := opts.Config()
	if err != nil {
		return err
	}
	if cfg.BeforeConnect != nil {
		if err := cfg.BeforeConnect(ctx, cfg.ConnConfig); err != nil {
			return err
		}
	}
	// The rows are of no use to anybody after a crash of the server.
	cfg.ConnConfig.RuntimeParams["synchronous_commit"] = "off"
	cfg.ConnConfig.OnNotification = func(_ *pgconn.PgConn, n *pgconn.Notification) { f.hear(n.Channel, n.Payload) }
	f.lifetime = cfg.MaxConnLifetime
	f.conn, err = pgx.ConnectConfig(ctx, cfg.ConnConfig)
	return err
}

// echoChannel is the follower's own.
func (f *follower) echoChannel() string { return "bookshelf_echo_" + f.id }

// register makes writers announce what they change. Those that have begun before do not know; they are waited for.
func (f *follower) register(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, followEcho)
	defer cancel()
	for _, channel := range []string{changesChannel, f.echoChannel()} {
		if _, err := f.conn.Exec(ctx, "LISTEN "+channel); err != nil {
			return fmt.Errorf("listen: %w", err)
		}
	}
	if _, err := f.conn.Exec(ctx, registerFollower, f.id, followRow.Microseconds()); err != nil {
		return fmt.Errorf("register: %w", err)
	}
	return f.conn.QueryRow(ctx, newestTransaction).Scan(&f.since)
}

// round calls, waits for the echo, and then for changes until it is time for the next round.
func (f *follower) round(ctx context.Context, began func()) error {
	if err := f.call(ctx); err != nil {
		return err
	}
	if f.attached {
		f.to.Following(f.called.Add(followLease))
		return f.listen(ctx, f.called.Add(followBeat), func() bool { return false })
	}
	var oldest int64
	if err := f.conn.QueryRow(ctx, oldestTransaction).Scan(&oldest); err != nil {
		return fmt.Errorf("look for older transactions: %w", err)
	}
	if oldest < f.since {
		// One of them may have changed a book before it could know that somebody wants to be told.
		return f.listen(ctx, time.Now().Add(followWait), func() bool { return false })
	}
	f.attached = true
	began()
	return nil
}

// call renews the row and proves that notifications arrive: a connection can answer and never deliver one, such as one
// through a pooler that lends it for a transaction at a time.
func (f *follower) call(ctx context.Context) error {
	f.calls++
	f.called, f.echoed = time.Now(), false
	deadline := f.called.Add(followEcho)
	calling, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	tag, err := f.conn.Exec(calling, renewFollower, f.id, followRow.Microseconds(), f.echoChannel(), strconv.Itoa(f.calls))
	switch {
	case err != nil:
		return fmt.Errorf("call: %w", err)
	case tag.RowsAffected() == 0:
		return errors.New("call: the registration has expired")
	}
	if err := f.listen(ctx, deadline, func() bool { return f.echoed }); err != nil {
		return err
	}
	if !f.echoed {
		return fmt.Errorf("no notification came back within %v", followEcho)
	}
	return nil
}

// listen takes notifications until it is time, or enough.
func (f *follower) listen(ctx context.Context, until time.Time, enough func() bool) error {
	waiting, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	for !enough() {
		if err := f.conn.PgConn().WaitForNotification(waiting); err != nil {
			// A time-out leaves the connection as it was, with half a message kept for the next call.
			if waiting.Err() != nil && !f.conn.IsClosed() {
				return ctx.Err()
			}
			return fmt.Errorf("wait for notifications: %w", err)
		}
	}
	return nil
}

// hear takes one notification.
func (f *follower) hear(channel, payload string) {
	if channel != changesChannel {
		f.echoed = f.echoed || payload == strconv.Itoa(f.calls)
		return
	}
	if ids, ok := parseIDs(payload); ok {
		f.to.Changed(ids)
		return
	}
	f.to.ChangedAll()
}

// parseIDs reads the payload of a notification; ok is false for one that means every book, or is not understood.
func parseIDs(payload string) (ids []int64, ok bool) {
	for text := range strings.SplitSeq(payload, ",") {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, false
		}
		ids = append(ids, id)
	}
	return ids, true
}

// leave takes the registration back, so that writers need not announce to nobody, and closes the connection. What fails
// here is over by itself soon.
func (f *follower) leave(ctx context.Context) {
	f.to.Lost() // first of all
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), followEnd)
	defer cancel()
	if !f.conn.IsClosed() {
		_, _ = f.conn.Exec(ctx, removeFollower, f.id)
	}
	_ = f.conn.Close(ctx)
}
