// Package readcache keeps the answers to look-ups of single books in memory, as they are sent.
//
// It is coherent as long as it is told of every change; package postgres tells it. Between a change of this process and
// its outcome, an answer is neither kept nor given; changes of others are heard of a moment after they are committed.
// While it is not certain that they would be heard of, it is passed by.
package readcache

import (
	"container/list"
	"sync"
	"sync/atomic"
	"time"
)

// Answer is a book as it is sent. Nobody may change the body.
type Answer struct {
	Body    []byte
	Version int64
}

const (
	// shards lets look-ups on several processors seldom wait for each other.
	shards = 16
	// overhead is about what an answer takes beside its body: the entry, its place in the order and in the map.
	overhead = 256
)

// Cache keeps answers. A nil one keeps none. Its methods may be called at the same time, except for Following and Lost,
// which are for one caller.
type Cache struct {
	shards [shards]shard

	start     time.Time
	until     atomic.Int64 // what is kept may be given until so long after start; 0 for not at all
	following bool         // Following was called, and Lost not since; for their caller only

	hits, misses, bypasses, changes, clears atomic.Int64
}

// New returns a cache that is passed by until Following is called. It takes about maxBytes, divided among 16 parts: a body
// that does not fit into its part is not kept.
func New(maxBytes int64) *Cache {
	c := &Cache{start: time.Now()}
	for i := range c.shards {
		s := &c.shards[i]
		s.max = maxBytes / shards
		s.changing = map[int64]int{}
		s.clear()
	}
	return c
}

// Answer returns what is kept for the book with the ID, or else what read returns, which it keeps unless that is an error
// or the book may have changed since read began. What it returns is at least as new as everything that was told of before
// the call.
func (c *Cache) Answer(id int64, read func() (Answer, error)) (Answer, error) {
	if c == nil {
		return read()
	}
	// The clock is asked each time: a timer would be late in a process that was stopped for a while.
	if int64(time.Since(c.start)) >= c.until.Load() {
		c.bypasses.Add(1)
		return read()
	}
	s := c.shard(id)
	kept, f, changing := s.lookUp(id)
	switch {
	case kept != nil:
		c.hits.Add(1)
		return *kept, nil
	case changing:
		c.bypasses.Add(1)
		return read()
	}
	c.misses.Add(1)
	if f == nil {
		return read()
	}
	defer s.finish(f)
	a, err := read()
	f.answer, f.keep = a, err == nil
	return a, err
}

// Changing forgets the book and keeps nothing of it until done is called.
func (c *Cache) Changing(id int64) (done func()) {
	s := c.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changing[id]++
	s.forget(id)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.changing[id]--; s.changing[id] == 0 {
			delete(s.changing, id)
		}
	}
}

// ChangingAll forgets every book and keeps nothing until done is called.
func (c *Cache) ChangingAll() (done func()) {
	c.each(func(s *shard) { s.changingAll++; s.clear() })
	return func() { c.each(func(s *shard) { s.changingAll-- }) }
}

// Changed forgets books.
func (c *Cache) Changed(ids []int64) {
	c.changes.Add(int64(len(ids)))
	for _, id := range ids {
		s := c.shard(id)
		s.mu.Lock()
		s.forget(id)
		s.mu.Unlock()
	}
}

// ChangedAll forgets all books.
func (c *Cache) ChangedAll() {
	c.clears.Add(1)
	c.each((*shard).clear)
}

// Following says that every change is told of, and that what is kept may be given until then. After Lost, it begins with
// nothing: also what was read meanwhile is not kept, since a change of it may have passed unheard.
func (c *Cache) Following(until time.Time) {
	if !c.following {
		c.each((*shard).clear)
		c.following = true
	}
	c.until.Store(int64(until.Sub(c.start)))
}

// Lost says that changes are not heard of any more: what is kept is forgotten.
func (c *Cache) Lost() {
	c.until.Store(0)
	c.following = false
	c.each((*shard).clear)
}

// Stats are counted since the start, except for the last three.
type Stats struct {
	Hits, Misses int64
	Bypasses     int64 // look-ups while a change was under way, or while changes could not be heard of
	Changes      int64 // books that were forgotten because somebody changed them
	Clears       int64 // times that all were forgotten because somebody changed many

	Entries, Bytes int64
	Following      bool // what is kept may be given now
}

// Stats returns a snapshot.
func (c *Cache) Stats() Stats {
	out := Stats{
		Hits: c.hits.Load(), Misses: c.misses.Load(), Bypasses: c.bypasses.Load(),
		Changes: c.changes.Load(), Clears: c.clears.Load(),
		Following: int64(time.Since(c.start)) < c.until.Load(),
	}
	c.each(func(s *shard) {
		out.Entries += int64(len(s.kept))
		out.Bytes += s.bytes
	})
	return out
}

func (c *Cache) shard(id int64) *shard { return &c.shards[uint64(id)%shards] }

// each calls f with every shard, locked.
func (c *Cache) each(f func(*shard)) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		f(s)
		s.mu.Unlock()
	}
}

// shard is a part of the cache. What it has is guarded by mu.
type shard struct {
	mu    sync.Mutex
	max   int64
	bytes int64
	kept  map[int64]*list.Element // of *entry
	order list.List               // used last comes first

	filling     map[int64]*fill // reads whose answer is to be kept, unless a change comes between
	changing    map[int64]int   // changes of this process that are under way
	changingAll int
}

type entry struct {
	id     int64
	answer Answer
}

// fill is a read whose answer may be kept.
type fill struct {
	id     int64
	answer Answer
	keep   bool
}

func (e *entry) size() int64 { return int64(cap(e.answer.Body)) + overhead }

// lookUp returns what is kept, or a fill when what is read next may be kept. With neither, a change is under way, or the
// answer to another read is going to be kept.
func (s *shard) lookUp(id int64) (kept *Answer, f *fill, changing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if element := s.kept[id]; element != nil {
		s.order.MoveToFront(element)
		return &element.Value.(*entry).answer, nil, false
	}
	if s.changingAll > 0 || s.changing[id] > 0 {
		return nil, nil, true
	}
	if s.filling[id] == nil {
		f = &fill{id: id}
		s.filling[id] = f
	}
	return nil, f, false
}

// finish keeps the answer of a fill, if no change has come between.
func (s *shard) finish(f *fill) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.filling[f.id] != f {
		return
	}
	delete(s.filling, f.id)
	e := &entry{id: f.id, answer: f.answer}
	if !f.keep || e.size() > s.max {
		return
	}
	s.kept[f.id] = s.order.PushFront(e)
	for s.bytes += e.size(); s.bytes > s.max; {
		s.remove(s.order.Back())
	}
}

// forget drops what is kept of a book or about to be.
func (s *shard) forget(id int64) {
	delete(s.filling, id)
	if element := s.kept[id]; element != nil {
		s.remove(element)
	}
}

func (s *shard) remove(element *list.Element) {
	e := s.order.Remove(element).(*entry)
	delete(s.kept, e.id)
	s.bytes -= e.size()
}

// clear drops everything that is kept or about to be.
func (s *shard) clear() {
	s.kept, s.filling = map[int64]*list.Element{}, map[int64]*fill{}
	s.order.Init()
	s.bytes = 0
}
