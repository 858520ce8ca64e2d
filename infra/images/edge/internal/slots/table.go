package slots

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options are what a Table needs from outside.
type Options struct {
	Dir   string                                          // where the state is kept
	Ready func(ctx context.Context, address string) error // asks a replica whether it can serve
	Log   *slog.Logger
}

// Table holds the slots. Requests read it without a lock; changes come one at a time.
type Table struct {
	options Options
	store   store
	routing atomic.Pointer[routing]
	turn    atomic.Uint64 // goes on over changes, so that frequent ones do not favour the schedule's first slot

	mu          sync.Mutex
	doc         document
	counts      map[string]*counts
	removed     []*Replica // with requests in flight
	expiry      *time.Timer
	stateErrors int
	watchers    sync.WaitGroup
	closed      bool
}

// Open returns the table with the state that was set last. A file that cannot be read is no reason to stay down: the table
// is empty then, says so in the log and in State, and waits to be set.
func Open(o Options) *Table {
	t := &Table{options: o, store: store{filepath.Join(o.Dir, "slots.json")}, counts: map[string]*counts{}}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.routing.Store(&routing{})
	t.store.removeLeavings()
	doc, err := t.store.load()
	if err != nil {
		t.stateErrors++
		o.Log.Error("THE STATE IS LOST: there are no slots until they are set again", "error", err)
	}
	t.apply(doc)
	return t
}

// Close ends what runs beside requests. The state stays.
func (t *Table) Close() {
	t.mu.Lock()
	t.closed = true
	t.stopExpiry()
	for _, s := range t.routing.Load().slots {
		for _, r := range s.replicas {
			r.stop()
		}
	}
	t.mu.Unlock()
	t.watchers.Wait()
}

// Set carries out the request: it is on the disk and in force when Set returns. The error is a *ConflictError, or says why
// the state could not be kept; the state is as it was then.
func (t *Table) Set(req Request) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if req.IfGeneration != nil && *req.IfGeneration != t.doc.Generation {
		return &ConflictError{Wanted: *req.IfGeneration, Is: t.doc.Generation}
	}
	doc := req.document(t.doc.Generation, time.Now())
	if err := t.store.save(doc); err != nil {
		t.stateErrors++
		return fmt.Errorf("keep the state: %w", err)
	}
	t.apply(doc)
	return nil
}

// apply puts a document in force. The caller holds the lock.
func (t *Table) apply(doc document) {
	old := map[string]*Replica{}
	for _, s := range t.routing.Load().slots {
		for _, r := range s.replicas {
			old[r.slot+" "+r.address.Address] = r
		}
	}
	plan := &routing{slots: map[string]*slot{}}
	for name, spec := range doc.Slots {
		if t.counts[name] == nil {
			t.counts[name] = &counts{}
		}
		s := &slot{weight: *spec.Weight, counts: t.counts[name]}
		for _, address := range spec.Replicas {
			key := name + " " + address.Address
			r := old[key]
			// Whoever stays keeps health and requests; another admin address is another replica at the same place.
			if r == nil || r.address != address {
				r = t.start(name, address)
			} else {
				delete(old, key)
			}
			s.replicas = append(s.replicas, r)
		}
		plan.slots[name] = s
	}
	plan.weighted = newSchedule(plan.slots, func(name string) int { return plan.slots[name].weight })
	if doc.Lease != nil {
		plan.fallback = newSchedule(plan.slots, func(name string) int { return doc.Lease.Fallback[name] })
	}
	t.routing.Store(plan)
	for _, r := range old {
		r.stop()
		t.removed = append(t.removed, r)
	}
	t.doc = doc
	t.stopExpiry()
	if doc.Lease != nil {
		// The timer counts from here, so a lease that ran out while the process was down ends at once.
		t.expiry = time.AfterFunc(time.Until(doc.Lease.Expires), func() { t.expire(doc.Generation) })
	}
}

func (t *Table) stopExpiry() {
	if t.expiry != nil {
		t.expiry.Stop()
		t.expiry = nil
	}
}

// expire falls back when the lease of that generation is still the one in force. The traffic moves even when the disk
// refuses: after a restart the lease in the file is over, and the outcome is the same.
func (t *Table) expire(generation uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.doc.Lease == nil || t.doc.Generation != generation {
		return
	}
	doc := t.doc.fallenBack()
	if err := t.store.save(doc); err != nil {
		t.stateErrors++
		t.options.Log.Error("the state after the lease could not be kept", "error", err)
	}
	t.options.Log.Warn("the lease ran out: the weights are its fallback", "generation", doc.Generation, "weights", t.doc.Lease.Fallback)
	t.apply(doc)
}

// start makes a replica and watches it. The caller holds the lock.
func (t *Table) start(name string, address Address) *Replica {
	r := newReplica(name, address, t.options.Log)
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	t.watchers.Go(func() { r.watch(ctx, t.options.Ready) })
	return r
}

// draining sums what is in flight on removed replicas, by slot, and forgets those with nothing. The caller holds the lock.
func (t *Table) draining() map[string]int64 {
	left := map[string]int64{}
	t.removed = slices.DeleteFunc(t.removed, func(r *Replica) bool {
		n := r.inFlight.Load()
		if n > 0 {
			left[r.slot] += n
		}
		return n == 0
	})
	return left
}
