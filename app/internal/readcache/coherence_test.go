package readcache_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/postgres"
	"bookshelf/app/internal/postgres/pgtest"
	"bookshelf/app/internal/readcache"
)

const (
	instances = 3
	hot       = 6   // books that everybody wants
	shelved   = 130 // all of them: more than one notification names
	run       = 5 * time.Second

	// grace is how long after its acknowledgement a change of another instance may be missed, beside what the machine is
	// slow by: see witness.
	grace = 50 * time.Millisecond

	// gone is the version of a book that is deleted: the last.
	gone = math.MaxInt64
)

// instance is a store with a cache in front of it, as a serving process has them.
type instance struct {
	store *postgres.Store
	cache *readcache.Cache
}

// read returns the version that a client of the instance sees.
func (i *instance) read(ctx context.Context, id int64) (int64, error) {
	a, err := i.cache.Answer(id, func() (readcache.Answer, error) {
		b, err := i.store.Get(ctx, id)
		return readcache.Answer{Body: strconv.AppendInt(nil, b.Version, 10), Version: b.Version}, err
	})
	if errors.Is(err, book.ErrNotFound) {
		return gone, nil
	}
	return a.Version, err
}

// acknowledged is what writers were told: version by version, when, and by whom.
type acknowledged struct {
	mu   sync.Mutex
	acks map[int64][]ack // by book
	lag  time.Duration   // of the witness
}

type ack struct {
	version int64
	by      int // -1: not by an instance
	at      time.Time
}

func (a *acknowledged) add(id, version int64, by int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.acks[id] = append(a.acks[id], ack{version, by, time.Now()})
}

// least returns the version that a read of an instance, begun then, must see at least. late is how much grace was needed
// for a read that saw the version seen: 0 for none.
func (a *acknowledged) least(id int64, of int, began time.Time, seen int64) (least int64, late time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, k := range a.acks[id] {
		age := began.Sub(k.at)
		if age > grace+a.lag || k.by == of && age > 0 {
			least = max(least, k.version)
		}
		if k.version > seen {
			late = max(late, age)
		}
	}
	return least, late
}

// coherence is one run: books, instances and what is known of both.
type coherence struct {
	*acknowledged

	t         *testing.T
	database  *pgtest.Database
	instances []*instance
	ids       []int64
}

func newCoherence(t *testing.T) *coherence {
	t.Helper()
	c := &coherence{t: t, database: pgtest.New(t), acknowledged: &acknowledged{acks: map[int64][]ack{}}}
	for n := range instances {
		i := &instance{cache: readcache.New(1 << 20)}
		opts := postgres.Options{Options: c.database.App}
		opts.Changes = i.cache
		opts.ApplicationName = fmt.Sprintf("instance %d", n)
		store, err := postgres.Open(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(store.Close)
		i.store = store
		c.instances = append(c.instances, i)
	}
	for n := range shelved {
		b, err := c.instances[0].store.Create(t.Context(), draft(n, 0))
		if err != nil {
			t.Fatal(err)
		}
		c.ids = append(c.ids, b.ID)
	}
	return c
}

// draft is what an edition of a book has in it. The ISBN stays, by which an import finds it.
func draft(n, edition int) book.Draft {
	twelve := fmt.Sprintf("978%09d", n)
	sum := 0
	for i, digit := range twelve {
		sum += int(digit-'0') * (1 + 2*(i%2))
	}
	return book.Draft{
		Title: fmt.Sprintf("Volume %d, edition %d", n, edition), Authors: []string{"Some Body"},
		ISBN: twelve + strconv.Itoa((10-sum%10)%10),
	}
}

// pause spreads what happens over time.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// follow keeps every cache told of changes until stop is called, and waits until all of them are.
func (c *coherence) follow() (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.t.Context()))
	var following sync.WaitGroup
	for _, i := range c.instances {
		following.Go(func() { i.store.Follow(ctx, slog.New(slog.DiscardHandler)) })
	}
	for n, i := range c.instances {
		for late := time.Now().Add(30 * time.Second); !i.cache.Stats().Following; pause(ctx, time.Millisecond) {
			if time.Now().After(late) {
				c.t.Fatalf("instance %d does not hear of changes", n)
			}
		}
	}
	return func() {
		cancel()
		following.Wait()
	}
}

// readAll reads hot books of an instance until ctx ends, and judges what it sees.
func (c *coherence) readAll(ctx context.Context, n int, slowest *time.Duration) (reads int) {
	for ctx.Err() == nil {
		id := c.ids[rand.IntN(hot)]
		began := time.Now()
		seen, err := c.instances[n].read(ctx, id)
		if err != nil {
			if ctx.Err() == nil {
				c.t.Errorf("read: %v", err)
			}
			continue
		}
		reads++
		least, late := c.least(id, n, began, seen)
		*slowest = max(*slowest, late)
		if seen < least {
			c.t.Errorf("instance %d gave version %d of book %d, %v after a later one was acknowledged", n, seen, id, late)
			return reads
		}
	}
	return reads
}

// change makes one change of a random kind through an instance, and notes what was acknowledged. What fails, or is given up
// in the middle, promises nothing, whether or not it has happened.
func (c *coherence) change(ctx context.Context, n int) error {
	store := c.instances[n].store
	place := rand.IntN(hot)
	id := c.ids[place]
	d := draft(place, rand.IntN(1_000_000))
	switch kind := rand.IntN(20); {
	case kind < 9:
		b, err := store.Replace(ctx, id, d, book.Condition{})
		if err == nil {
			c.add(id, b.Version, n)
		}
		return err
	case kind < 13:
		b, err := store.Modify(ctx, id, book.Condition{}, func(book.Book) (book.Draft, error) { return d, nil })
		if err == nil {
			c.add(id, b.Version, n)
		}
		return err
	case kind < 15: // begun, and taken back
		undone := errors.New("changed my mind")
		_, err := store.Modify(ctx, id, book.Condition{}, func(book.Book) (book.Draft, error) { return d, undone })
		if errors.Is(err, undone) {
			return nil
		}
		return err
	case kind < 18: // given up by its client
		short, cancel := context.WithTimeout(ctx, time.Duration(rand.IntN(3000))*time.Microsecond)
		defer cancel()
		if b, err := store.Replace(short, id, d, book.Condition{}); err == nil {
			c.add(id, b.Version, n)
		}
		return nil
	default:
		return c.importOne(ctx, n, id, d)
	}
}

// importOne overwrites a book by an import.
func (c *coherence) importOne(ctx context.Context, n int, id int64, d book.Draft) error {
	i, err := c.instances[n].store.BeginImport(ctx)
	if err != nil {
		return err
	}
	defer i.Rollback(ctx)
	if err := i.Stage(ctx, []postgres.ImportRow{{Line: 1, Draft: d}}); err != nil {
		return err
	}
	if _, err := i.Merge(ctx, postgres.Update, func(postgres.Duplicate) error { return nil }); err != nil {
		return err
	}
	if err := i.Commit(ctx); err != nil {
		return err
	}
	// An import does not say which version it has made; whatever is stored now is acknowledged by now.
	b, err := c.instances[n].store.Get(ctx, id)
	if errors.Is(err, book.ErrNotFound) {
		return nil
	}
	if err == nil {
		c.add(id, b.Version, n)
	}
	return err
}

// Whatever happens, a client of the writer's own instance sees what it has written, at once; everybody else after a moment.
func TestThreeInstancesStayCoherentWhileTheirListenersAreKilled(t *testing.T) {
	t.Parallel()
	c := newCoherence(t)
	stop := c.follow()
	defer stop()
	ctx, cancel := context.WithTimeout(t.Context(), run)
	defer cancel()

	var all sync.WaitGroup
	slowest := make([]time.Duration, 2*instances)
	reads := make([]int, 2*instances)
	writes := make([]int, instances)
	for r := range 2 * instances {
		all.Go(func() { reads[r] = c.readAll(ctx, r%instances, &slowest[r]) })
	}
	for n := range instances {
		all.Go(func() {
			for ctx.Err() == nil {
				if err := c.change(ctx, n); err != nil && ctx.Err() == nil && !errors.Is(err, book.ErrNotFound) {
					t.Errorf("change through instance %d: %v", n, err)
				}
				writes[n]++
				pause(ctx, time.Duration(rand.IntN(10))*time.Millisecond)
			}
		})
	}
	all.Go(func() { c.witness(ctx) })
	kills, bulk := 0, 0
	all.Go(func() { kills = c.killListeners(ctx) })
	all.Go(func() { bulk = c.changeAllByHand(ctx) })
	all.Wait()

	for n, i := range c.instances {
		s := i.cache.Stats()
		t.Logf("instance %d: %+v, %d writes", n, s, writes[n])
		if s.Hits == 0 || s.Changes == 0 || s.Clears == 0 || s.Bypasses == 0 || writes[n] == 0 {
			t.Error("not everything was tried")
		}
	}
	if kills == 0 || bulk == 0 {
		t.Errorf("%d listeners killed, %d changes by hand; want some of each", kills, bulk)
	}
	t.Logf("reads: %v; listeners killed: %d; changes of all: %d; stale for at most %v", reads, kills, bulk, slowest)
	c.deleteAndCheck()
}

// witness listens without a cache, as a measure of what the machine and the server allow in this moment: its lag is the
// longest that one of its last notifications took. Where that is long, nobody could have heard of a change sooner.
func (c *coherence) witness(ctx context.Context) {
	conn := c.database.Conn(c.t, c.database.Owner)
	if _, err := conn.Exec(ctx, `LISTEN witness`); err != nil {
		c.t.Error(err)
	}
	var last [50]time.Duration
	for n := 0; ctx.Err() == nil; n++ {
		began := time.Now()
		if _, err := conn.Exec(ctx, `NOTIFY witness`); err != nil {
			return
		}
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return
		}
		last[n%len(last)] = time.Since(began)
		c.mu.Lock()
		c.lag = slices.Max(last[:])
		c.mu.Unlock()
		pause(ctx, 10*time.Millisecond)
	}
}

// killListeners ends one connection after another on which changes are heard of, without warning.
func (c *coherence) killListeners(ctx context.Context) (kills int) {
	super := c.database.Conn(c.t, c.database.Superuser)
	for ctx.Err() == nil {
		tag, err := super.Exec(ctx, `
			SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name LIKE '% (changes)' ORDER BY random() LIMIT 1`)
		if err != nil {
			if ctx.Err() == nil {
				c.t.Errorf("kill a listener: %v", err)
			}
			return kills
		}
		kills += int(tag.RowsAffected())
		pause(ctx, time.Duration(100+rand.IntN(400))*time.Millisecond)
	}
	return kills
}

// changeAllByHand changes every book without the service, now and then.
func (c *coherence) changeAllByHand(ctx context.Context) (changes int) {
	owner := c.database.Conn(c.t, c.database.Owner)
	for ctx.Err() == nil {
		rows, err := owner.Query(ctx, `UPDATE books SET version = version + 1 RETURNING id, version`)
		if err == nil {
			seen := map[int64]int64{}
			for rows.Next() {
				var id, version int64
				if err = rows.Scan(&id, &version); err != nil {
					break
				}
				seen[id] = version
			}
			rows.Close()
			if rows.Err() == nil && err == nil {
				for id, version := range seen {
					c.add(id, version, -1)
				}
				changes++
			}
		}
		pause(ctx, time.Duration(100+rand.IntN(300))*time.Millisecond)
	}
	return changes
}

// deleteAndCheck deletes each hot book through one instance and looks for it in all: there at once, elsewhere soon.
func (c *coherence) deleteAndCheck() {
	c.t.Helper()
	ctx := c.t.Context()
	for place := range hot {
		id, by := c.ids[place], place%instances
		for _, i := range c.instances {
			if _, err := i.read(ctx, id); err != nil {
				c.t.Fatal(err)
			}
		}
		if err := c.instances[by].store.Delete(ctx, id, book.Condition{}); err != nil {
			c.t.Fatal(err)
		}
		c.add(id, gone, by)
		for n := range c.instances {
			for late := time.Now().Add(2 * grace); ; {
				began := time.Now()
				seen, err := c.instances[n].read(ctx, id)
				if err != nil {
					c.t.Fatal(err)
				}
				if least, after := c.least(id, n, began, seen); seen < least {
					c.t.Errorf("instance %d still has book %d, %v after it was deleted", n, id, after)
					break
				}
				if seen == gone && began.After(late) {
					break
				}
			}
		}
	}
}
