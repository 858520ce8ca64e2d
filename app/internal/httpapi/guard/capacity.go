package guard

import (
	"sync"
)

// capacity is so much of something that many clients use at the same time. No client has more than half of it: one that
// holds on to what it gets, such as by reading its answers slowly, must leave room for the others.
type capacity struct {
	max int64

	mu   sync.Mutex
	used int64
	by   map[string]int64 // clients that use any, which bounds its size by max
}

func newCapacity(max int64) *capacity { return &capacity{max: max, by: map[string]int64{}} }

// take reports whether the client may have n more, and counts them if so. Whoever is alone may have anything once.
func (c *capacity) take(client string, n int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.used > 0 && c.used+n > c.max || c.by[client] > 0 && c.by[client]+n > (c.max+1)/2 {
		return false
	}
	c.used += n
	c.by[client] += n
	return true
}

// force counts n more, whether there is room or not.
func (c *capacity) force(client string, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used += n
	c.by[client] += n
}

// give returns what was taken.
func (c *capacity) give(client string, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used -= n
	if c.by[client] -= n; c.by[client] == 0 {
		delete(c.by, client)
	}
}
