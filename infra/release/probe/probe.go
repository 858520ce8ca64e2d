// Package probe sends a constant stream of requests through the edge of an environment during a whole release and accounts for each of
// them: sent = answered + failed + lost. It knows nothing of what the service is about; the requests are templates.
//
// The stream is an open loop. Request n is due n/rate seconds after the start, whatever became of the ones before, and its latency
// counts from that moment: a service that stands still is not asked less, and the wait is not left out of the figures.
//
// A broken connection is a lost request. Nothing is sent twice, also where a client could do so.
package probe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"bookshelf/infra/release"
	"bookshelf/infra/release/verdict"
)

const (
	// slotHeader is the header in which the edge says which slot answered.
	slotHeader     = "Delivery-Slot"
	idempotencyKey = "Idempotency-Key"
	// maxInFlight is how many requests may wait for their answers. One that would be more is lost, because it was not sent.
	maxInFlight = 2000
	// startWithin is how long opening the first connections may take.
	startWithin = 15 * time.Second
)

// Probe is a running stream of requests. It is a release.Traffic.
type Probe struct {
	config Config
	base   string
	words  words
	pool   *pool
	ledger *ledger

	// cut ends the requests in flight; their context is dialling.
	dialling context.Context
	cut      context.CancelFunc
	stop     func()
	stopped  chan struct{} // closed when no more are sent
	done     chan struct{} // closed when the last of them has its answer, or none
	places   chan struct{} // one for each request in flight
}

// Start opens the connections and begins to send requests to a base URL. run is the ID of the release, which the requests carry. The
// context is for the start alone: the stream goes on until Stop, so that a release that is interrupted is accounted for while it is
// taken back.
func Start(ctx context.Context, config Config, base, run string) (*Probe, error) {
	p, err := prepare(ctx, config, base, run)
	if err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	go p.run()
	return p, nil
}

// prepare makes a probe that can be run.
func prepare(ctx context.Context, config Config, base, run string) (*Probe, error) {
	target, err := url.Parse(base)
	var wrong problems
	if err != nil || target.Host == "" || !slices.Contains([]string{"http", "https"}, target.Scheme) || target.User != nil || target.RawQuery != "" || target.Fragment != "" {
		wrong.check(false, "base URL %q: want http(s)://HOST[:PORT][/PATH]", base)
	}
	wrong.check(runPattern.MatchString(run), "run %q: want 1 to 64 letters, digits, dots, dashes and underscores", run)
	if err := errors.Join(append(wrong, config.Validate())...); err != nil {
		return nil, err
	}
	connections, err := newPool(config, target)
	if err != nil {
		return nil, err
	}
	starting, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	if err := connections.fill(starting); err != nil {
		connections.close()
		return nil, err
	}
	start := time.Now()
	p := &Probe{
		config: config, base: strings.TrimSuffix(base, "/"), words: newWords(config, run, start),
		pool: connections, ledger: newLedger(start, config.Rate),
		stopped: make(chan struct{}), done: make(chan struct{}), places: make(chan struct{}, maxInFlight),
	}
	p.stop = sync.OnceFunc(func() { close(p.stopped) })
	p.dialling, p.cut = context.WithCancel(context.WithoutCancel(ctx))
	return p, nil
}

// Between implements release.Traffic. Requests that wait for their answers are in none of the samples yet.
func (p *Probe) Between(from, to time.Time) map[string]verdict.Sample {
	return p.ledger.between(from, to)
}

// Losses describes the first of the requests that were lost or failed so far.
func (p *Probe) Losses() []release.Loss { return p.ledger.described() }

// Expect says that from now on every request that is sent has to be answered by this version, or by any when it is "". To be called
// when a shift that gave the version everything has returned, and with "" before the next shift begins.
func (p *Probe) Expect(version string) { p.ledger.expect(version) }

// Stop sends no more requests, waits for the answers to those in flight and returns the account over all of them. When the context ends
// before, they are cut off and lost. Stop can be called again.
func (p *Probe) Stop(ctx context.Context) release.Account {
	p.stop()
	select {
	case <-p.done:
	case <-ctx.Done():
	}
	p.cut()
	p.pool.close()
	<-p.done
	return p.ledger.account()
}

// Seconds returns what happened in each second since the start.
func (p *Probe) Seconds() []release.Second { return p.ledger.seconds() }

// run sends the requests, each when it is due.
func (p *Probe) run() {
	defer close(p.done)
	var flying sync.WaitGroup
	defer flying.Wait()
	reads, writes := 0, 0
	for n := 0; p.wait(p.ledger.due(n)); n++ {
		k, fresh := p.config.kindOf(n)
		var template Request
		ordinal := writes
		if k == read {
			template = p.config.Read[reads%len(p.config.Read)]
			reads++
		} else {
			template = *p.config.Write
			writes++
		}
		p.ledger.open(k, fresh)
		select {
		case p.places <- struct{}{}:
		default:
			p.ledger.close(n, result{outcome: lost, detail: fmt.Sprintf("not sent: %d requests are waiting for their answers", cap(p.places))})
			continue
		}
		flying.Go(func() {
			p.ledger.close(n, p.send(template, n, ordinal, k, fresh))
			<-p.places
		})
	}
}

// wait returns true at a moment, or false when the stream is to end.
func (p *Probe) wait(due time.Time) bool {
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case <-p.stopped:
		return false
	case <-timer.C:
		// When both have happened, there is no more to send.
		select {
		case <-p.stopped:
			return false
		default:
			return true
		}
	}
}

// send sends one request and says what it met.
func (p *Probe) send(template Request, n, ordinal int, k kind, fresh bool) result {
	deadline := time.Now().Add(p.config.Timeout)
	request, err := p.request(template, n, ordinal)
	if err != nil {
		return result{outcome: lost, detail: "not sent: " + err.Error()}
	}
	ctx, cancel := context.WithDeadline(p.dialling, deadline)
	defer cancel()
	c, err := p.connect(ctx, fresh)
	if err != nil {
		return p.unanswered(result{}, fmt.Errorf("not sent: %w", err))
	}
	var over time.Duration
	if k == slow {
		over = p.config.SlowFor
	}
	request.Close = fresh
	sent := time.Now()
	got := answer{}
	if err = c.SetDeadline(deadline); err == nil {
		got, err = c.exchange(request, over)
	}
	if got.again && err == nil {
		p.pool.put(c)
	} else {
		p.pool.discard(c)
	}
	r := result{slot: got.header.Get(slotHeader), status: got.status, sent: sent}
	if err != nil {
		return p.unanswered(r, err)
	}
	return p.judge(r, got, template.Status)
}

// connect provides a connection: one that is kept, or a fresh one.
func (p *Probe) connect(ctx context.Context, fresh bool) (*connection, error) {
	if fresh {
		return p.pool.dial(ctx, false)
	}
	return p.pool.take(ctx)
}

// unanswered completes the result of a request without a whole answer.
func (p *Probe) unanswered(r result, err error) result {
	r.outcome, r.detail = lost, err.Error()
	if p.dialling.Err() != nil {
		r.detail = "cut off when the probe was stopped: " + r.detail
	}
	return r
}

// judge completes the result of a request that has a whole answer.
func (p *Probe) judge(r result, got answer, expected []int) result {
	r.version = got.header.Get(p.config.VersionHeader)
	switch {
	case r.version == "":
		r.outcome = lost
		r.detail = fmt.Sprintf("status %d without %s: not an answer of the service", got.status, p.config.VersionHeader)
	case !slices.Contains(expected, got.status):
		r.outcome = failed
		r.detail = fmt.Sprintf("status %d, expected %v", got.status, expected)
	default:
		r.outcome = answered
	}
	return r
}

// request fills a template.
func (p *Probe) request(template Request, n, ordinal int) (*http.Request, error) {
	fill := func(text string) string { return p.words.fill(text, n, ordinal) }
	request, err := http.NewRequest(template.Method, p.base+fill(template.Path), strings.NewReader(fill(template.Body)))
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "delivery-probe")
	for name, value := range template.Headers {
		request.Header.Set(name, fill(value))
	}
	if template.ContentType != "" {
		request.Header.Set("Content-Type", fill(template.ContentType))
	}
	if template.isWrite() {
		request.Header.Set(idempotencyKey, p.words.idempotencyKey(n))
	}
	return request, nil
}

func (r Request) isWrite() bool { return r.Method != http.MethodGet && r.Method != http.MethodHead }
