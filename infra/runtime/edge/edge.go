// Package edge talks to the edge of an environment while it runs: what it gives to which slot, and what the slots behind it answer. It
// does so by running the edge's own commands in its container, so that nothing but the platform reaches it, and a platform on another
// machine does as well.
package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"bookshelf/infra/runtime"
)

// Component is what the edge's container is labelled as.
const Component = "edge"

// State is what the edge does at this moment.
type State struct {
	// Generation grows with each change.
	Generation uint64          `json:"generation"`
	Slots      map[string]Slot `json:"slots"`
	// Lease is there while the weights will change by themselves.
	Lease *Lease `json:"lease,omitempty"`
	// Draining counts the requests in flight of replicas that were taken out, by slot.
	Draining map[string]int `json:"draining,omitempty"`
}

// Slot is one slot as the edge sees it.
type Slot struct {
	// Weight is its share of the traffic in percent.
	Weight   int `json:"weight"`
	InFlight int `json:"in_flight"`
	// Requests and Errors count what it was given since the edge started; errors have a status of 500 or more, or no answer at all.
	Requests uint64    `json:"requests"`
	Errors   uint64    `json:"errors"`
	Replicas []Replica `json:"replicas"`
}

// Replica is one container of a slot as the edge sees it.
type Replica struct {
	Address  string `json:"address"`
	Admin    string `json:"admin"`
	Healthy  bool   `json:"healthy"`
	Detail   string `json:"detail"`
	InFlight int    `json:"in_flight"`
}

// Lease says when the weights will become which by themselves.
type Lease struct {
	Expires  time.Time      `json:"expires"`
	Fallback map[string]int `json:"fallback"`
}

// Change replaces everything that the edge knows of the slots, at once.
type Change struct {
	Slots map[string]Share `json:"slots"`
	// LeaseSeconds above 0 makes the weights become Fallback when no other change arrives within that time.
	LeaseSeconds float64        `json:"lease_seconds,omitempty"`
	Fallback     map[string]int `json:"fallback,omitempty"`
}

// Share is a slot's part of a Change.
type Share struct {
	Weight   int       `json:"weight"`
	Replicas []Address `json:"replicas"`
}

// Address is where a replica listens: host:port of the service, and of its metrics.
type Address struct {
	Address string `json:"address"`
	Admin   string `json:"admin"`
}

// Answer is what one replica said, asked directly.
type Answer struct {
	Address string `json:"address"`
	Status  int    `json:"status"`
	Body    string `json:"body"`
	// Error is why there is no answer.
	Error string `json:"error"`
}

// Load is an order to put the same load on slots, past their weights: to each so many requests a second, in turns, each when it is due
// whether or not others have been answered.
type Load struct {
	Slots   []string `json:"slots"`
	Rate    int      `json:"rate"` // requests per second and slot
	Seconds float64  `json:"seconds"`
	// WarmUp is how many requests of each slot are counted and not timed.
	WarmUp         int           `json:"warm_up"`
	TimeoutSeconds float64       `json:"timeout_seconds"`
	Requests       []LoadRequest `json:"requests"`
}

// LoadRequest is one of the requests of a Load, which are sent in turn, and the statuses that are expected of it.
type LoadRequest struct {
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Headers map[string]string `json:"headers"`
	Status  []int             `json:"status"`
}

// Loaded is what the requests of a Load met at one slot.
type Loaded struct {
	Requests int `json:"requests"`
	Failed   int `json:"failed"`
	Lost     int `json:"lost"`
	// Microseconds are how long the answered ones took from the moment at which they were due.
	Microseconds []int64 `json:"microseconds"`
}

// RefusedError is a change that the edge did not take: everything is as it was.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return "the edge refuses: " + e.Reason }

// Client talks to the edge of one environment. It is not safe for concurrent use.
type Client struct {
	platform runtime.Platform
	env      runtime.Environment
	id       string
	program  []string
	// kept says that a session is to be used, which is nil until it is needed.
	kept    bool
	session *session
}

// New returns a client. Nothing is asked yet.
func New(platform runtime.Platform, env runtime.Environment) *Client {
	return &Client{platform: platform, env: env}
}

// Keep makes the client use one run of a command for all calls until Close: whoever looks every second would otherwise keep the platform
// busy with starting commands, and wait for each.
func (c *Client) Keep() { c.kept = true }

// Close ends what Keep began.
func (c *Client) Close() {
	c.kept = false
	c.leave()
}

// leave ends the session, and waits until nothing of it is left.
func (c *Client) leave() {
	if c.session != nil {
		c.session.end()
		<-c.session.ended
		c.session = nil
	}
}

// State asks what the edge does. runtime.ErrNotFound says that the environment has none that runs.
func (c *Client) State(ctx context.Context) (State, error) {
	var state State
	return state, c.call(ctx, nil, &state, "slots")
}

// Set carries out a change and returns the state after it. It is in effect, and kept, when Set returns.
func (c *Client) Set(ctx context.Context, change Change) (State, error) {
	var state State
	return state, c.call(ctx, change, &state, "slots", "set")
}

// Scrape reads the metrics of each replica of a slot.
func (c *Client) Scrape(ctx context.Context, slot string) ([]Answer, error) {
	var answers []Answer
	return answers, c.call(ctx, nil, &answers, "scrape", slot)
}

// Fetch asks each replica of a slot for a path, past the weights.
func (c *Client) Fetch(ctx context.Context, slot, path string) ([]Answer, error) {
	var answers []Answer
	return answers, c.call(ctx, nil, &answers, "fetch", slot, path)
}

// Load puts a load on slots and returns what it met by slot, when it is over.
func (c *Client) Load(ctx context.Context, load Load) (map[string]Loaded, error) {
	var met map[string]Loaded
	return met, c.call(ctx, load, &met, "load")
}

// call runs one of the edge's commands and decodes what it prints.
func (c *Client) call(ctx context.Context, input, output any, arguments ...string) error {
	var stdin []byte
	if input != nil {
		var err error
		if stdin, err = json.Marshal(input); err != nil {
			return fmt.Errorf("edge %s: %w", strings.Join(arguments, " "), err)
		}
	}
	begun := c.session != nil
	err := c.run(ctx, stdin, output, arguments)
	if c.id != "" && errors.Is(err, runtime.ErrNotFound) || begun && errors.Is(err, errSession) {
		// It was replaced or restarted since we looked. All commands can be carried out twice.
		c.id = ""
		err = c.run(ctx, stdin, output, arguments)
	}
	return err
}

func (c *Client) run(ctx context.Context, stdin []byte, output any, arguments []string) error {
	if err := c.find(ctx); err != nil {
		return err
	}
	said, err := c.carryOut(ctx, call{Arguments: arguments, Input: string(stdin)})
	if err != nil {
		return fmt.Errorf("edge %s: %w", strings.Join(arguments, " "), err)
	}
	const refused = 2
	switch {
	case said.Code == refused:
		return &RefusedError{Reason: said.Error}
	case said.Code != 0:
		return fmt.Errorf("edge %s: exit code %d: %s", strings.Join(arguments, " "), said.Code, said.Error)
	}
	if err := json.Unmarshal([]byte(said.Output), output); err != nil {
		return fmt.Errorf("edge %s: %w in %q", strings.Join(arguments, " "), err, said.Output)
	}
	return nil
}

// carryOut has a command of the edge carried out, in the session or in a run of its own.
func (c *Client) carryOut(ctx context.Context, what call) (answer, error) {
	if !c.kept {
		var stdout, stderr bytes.Buffer
		code, err := c.platform.Exec(ctx, c.id, slices.Concat(c.program, what.Arguments), strings.NewReader(what.Input), &stdout, &stderr)
		return answer{Output: stdout.String(), Error: strings.TrimSpace(stderr.String()), Code: code}, err
	}
	if c.session == nil {
		c.session = open(ctx, c.platform, c.id, c.program)
	}
	said, err := c.session.ask(ctx, what)
	if err != nil {
		c.leave()
	}
	return said, err
}

// find looks for the edge's container once.
func (c *Client) find(ctx context.Context) error {
	if c.id != "" {
		return nil
	}
	instance, found, err := runtime.FindServing(ctx, c.platform, c.env, Component)
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("%s has no edge that runs: %w", c.env.Name, runtime.ErrNotFound)
	}
	program, err := c.platform.Entrypoint(ctx, instance.ID)
	if err != nil {
		return err
	}
	c.id, c.program = instance.ID, program
	return nil
}
