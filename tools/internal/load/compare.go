package load

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"time"
)

// Plan says how two services are compared. Each has a database of its own that nobody else uses.
type Plan struct {
	This        Target   `json:"this"`
	Other       Target   `json:"other"`
	Operations  []string `json:"operations"`
	Books       int      `json:"books"` // that each holds
	Connections int      `json:"connections"`
	Rounds      int      `json:"rounds"`
	Seconds     float64  `json:"seconds"` // of one measurement
	// First is the number of the first round. Before round 0, an empty service is filled with the books, and everything is done once
	// without being measured.
	First int `json:"first"`
	// Rates are requests per second of the open loops, by operation. A missing one becomes half of what the slower one of both reached
	// in the first round.
	Rates map[string]float64 `json:"rates"`
}

// Target is a service.
type Target struct {
	Addr  string `json:"addr"` // host:port
	Token string `json:"token"`
	// Filled tells that it holds the books: that it shares its database with the other one, which was filled before.
	Filled bool `json:"filled,omitempty"`
}

// Batch is what rounds have shown.
type Batch struct {
	Rates  map[string]float64 `json:"rates"`
	Rounds []Pair             `json:"rounds"`
}

// Pair is one operation in one round.
type Pair struct {
	Round     int      `json:"round"`
	Operation string   `json:"operation"`
	This      Measured `json:"this"`
	Other     Measured `json:"other"`
}

// Measured is what one service did.
type Measured struct {
	PerSecond float64 `json:"per_second"`  // of the closed loop
	P99       float64 `json:"p99_seconds"` // of the open loop, from when a request was due
}

// Validate reports everything that is wrong with a plan.
func (p Plan) Validate() error {
	var problems []error
	for name, target := range map[string]Target{"this": p.This, "other": p.Other} {
		if target.Addr == "" {
			problems = append(problems, fmt.Errorf("%s: addr is missing", name))
		}
	}
	if len(p.Operations) == 0 {
		problems = append(problems, errors.New("operations: none is named"))
	}
	for _, name := range p.Operations {
		if _, err := Find(name); err != nil {
			problems = append(problems, fmt.Errorf("operations: %w", err))
		}
	}
	for name, value := range map[string]int{"books": p.Books, "connections": p.Connections, "rounds": p.Rounds} {
		if value < 1 {
			problems = append(problems, fmt.Errorf("%s: want 1 or more, have %d", name, value))
		}
	}
	if p.First < 0 || math.IsNaN(p.Seconds) || p.Seconds < 0.05 || p.Seconds > 60 {
		problems = append(problems, fmt.Errorf("first: want 0 or more, have %d; seconds: want 0.05 to 60, have %v", p.First, p.Seconds))
	}
	return errors.Join(problems...)
}

// Compare measures both services in turns, round by round.
func Compare(ctx context.Context, p Plan) (Batch, error) {
	if err := p.Validate(); err != nil {
		return Batch{}, err
	}
	if p.First == 0 {
		if err := p.prepare(ctx); err != nil {
			return Batch{}, err
		}
	}
	batch := Batch{Rates: map[string]float64{}}
	maps.Copy(batch.Rates, p.Rates)
	for round := p.First; round < p.First+p.Rounds; round++ {
		for i, name := range p.Operations {
			pair, err := p.pair(ctx, name, (round+i)%2 == 0, batch.Rates)
			if err != nil {
				return Batch{}, err
			}
			pair.Round = round
			batch.Rounds = append(batch.Rounds, pair)
		}
	}
	return batch, nil
}

// prepare fills and warms up both services.
func (p Plan) prepare(ctx context.Context) error {
	for _, target := range []Target{p.This, p.Other} {
		if !target.Filled {
			if err := p.fill(ctx, target); err != nil {
				return fmt.Errorf("fill %s: %w", target.Addr, err)
			}
		}
	}
	for _, name := range p.Operations {
		for _, target := range []Target{p.This, p.Other} {
			if _, err := Run(ctx, p.spec(target, name, 0)); err != nil {
				return fmt.Errorf("warm up %s: %w", target.Addr, err)
			}
		}
	}
	return nil
}

// fill stores the books, from ID 1 on, as a client does: so it works with any version that has the API.
func (p Plan) fill(ctx context.Context, target Target) error {
	spec := p.spec(target, "fill", 0)
	spec.Seconds = (5 * time.Minute).Seconds()
	result, err := run(ctx, spec, filling(p.Books), int64(p.Books))
	if err == nil && result.Requests < p.Books {
		err = fmt.Errorf("only %d of %d books in %v s", result.Requests, p.Books, spec.Seconds)
	}
	return err
}

func (p Plan) spec(target Target, operation string, rate float64) Spec {
	return Spec{
		Addr: target.Addr, Token: target.Token, Operation: operation, Books: p.Books, Connections: p.Connections, Seconds: p.Seconds, Rate: rate,
	}
}

// pair measures one operation of both: closed loops, and then open ones in the opposite order. Who is the first changes from round
// to round, because whatever one leaves behind, such as pages to write to the disk, meets the one after it.
func (p Plan) pair(ctx context.Context, operation string, thisFirst bool, rates map[string]float64) (Pair, error) {
	pair := Pair{Operation: operation}
	type side struct {
		target Target
		into   *Measured
	}
	order := []side{{p.This, &pair.This}, {p.Other, &pair.Other}}
	if !thisFirst {
		order[0], order[1] = order[1], order[0]
	}
	for _, s := range order {
		result, err := Run(ctx, p.spec(s.target, operation, 0))
		if err != nil {
			return Pair{}, fmt.Errorf("%s: %w", s.target.Addr, err)
		}
		s.into.PerSecond = result.PerSec
	}
	if rates[operation] == 0 {
		rates[operation] = min(pair.This.PerSecond, pair.Other.PerSecond) / 2
	}
	for _, s := range []side{order[1], order[0]} {
		result, err := Run(ctx, p.spec(s.target, operation, rates[operation]))
		if err != nil {
			return Pair{}, fmt.Errorf("%s: %w", s.target.Addr, err)
		}
		s.into.P99 = result.P99
	}
	return pair, nil
}
