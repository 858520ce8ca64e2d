// Package ratelimit bounds how many requests each of many clients may make, in memory that is bounded as well.
package ratelimit

import (
	"fmt"
	"math"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// maxClients bounds the memory, at some 200 bytes each. A client that is forgotten because so many others came after it
// begins with its whole quota again.
const maxClients = 1 << 14

// Policy is what one client may do: at most Quota requests at once, and Quota more in each Window, evenly.
type Policy struct {
	Name   string        // "address": names the policy in the headers
	Quota  int           // requests
	Window time.Duration // whole seconds
}

// Header is the policy as an item of RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers, section 3).
func (p Policy) Header() string {
	return fmt.Sprintf("%q;q=%d;w=%d", p.Name, p.Quota, int(p.Window.Seconds()))
}

// Limiter keeps one bucket of tokens for each client. Its methods may be called at the same time.
type Limiter struct {
	Policy

	clients *lru.Cache[string, *rate.Limiter]
}

// New returns a limiter under which every client has its whole quota.
func New(p Policy) *Limiter {
	clients, err := lru.New[string, *rate.Limiter](maxClients)
	if err != nil {
		panic(err) // only a size below 1 is an error
	}
	return &Limiter{Policy: p, clients: clients}
}

// Result is what became of a request.
type Result struct {
	Allowed    bool
	Remaining  int           // requests that the client may make at once after this one
	Reset      time.Duration // until it has its whole quota again, if it makes none
	RetryAfter time.Duration // until it may make the next; 0 when it may at once
}

// Take counts a request of the client, if it may make one.
func (l *Limiter) Take(client string, now time.Time) Result {
	bucket, ok := l.clients.Get(client)
	if !ok {
		fresh := rate.NewLimiter(l.perSecond(), l.Quota)
		if other, there, _ := l.clients.PeekOrAdd(client, fresh); there {
			bucket = other // another request of the client came first
		} else {
			bucket = fresh
		}
	}
	allowed := bucket.AllowN(now, 1)
	left := max(bucket.TokensAt(now), 0)
	return Result{
		Allowed:    allowed,
		Remaining:  int(left),
		Reset:      l.refill(float64(l.Quota) - left),
		RetryAfter: l.refill(max(1-left, 0)),
	}
}

func (l *Limiter) perSecond() rate.Limit { return rate.Limit(float64(l.Quota) / l.Window.Seconds()) }

// refill is how long that many tokens take.
func (l *Limiter) refill(tokens float64) time.Duration {
	return time.Duration(tokens / float64(l.perSecond()) * float64(time.Second))
}

// Header is the result as an item of RateLimit (the same draft, section 4). Its times are whole seconds, rounded up: a
// client that waits so long does not come too early.
func (r Result) Header(p Policy) string {
	return fmt.Sprintf("%q;r=%d;t=%d", p.Name, r.Remaining, Seconds(r.Reset))
}

// Seconds rounds up to whole seconds.
func Seconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }
