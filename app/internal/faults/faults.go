//go:build faults

// Package faults makes the service misbehave on purpose, so that releases of bad versions can be tried for real. It exists
// only under the build tag of its name: the product is built without, and a test of package bookd sees to that.
//
// The environment chooses the fault:
//
//	BOOKD_FAULT        start, unhealthy, errors, slow, late, leak, migration or crash; unset for none
//	BOOKD_FAULT_AFTER  how long late and crash behave well first: a Go duration, default 15s
//	BOOKD_FAULT_RATE   how fast leak takes memory: MiB a second from 1 to 1000, default 16
package faults

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The faults.
const (
	start     = "start"     // serve ends with an error at once
	unhealthy = "unhealthy" // /readyz fails for ever
	failing   = "errors"    // every fifth list of books fails
	slow      = "slow"      // every use of the catalogue takes 300 ms longer
	late      = "late"      // some time after the start, every second use of the catalogue fails
	leak      = "leak"      // serve takes memory until it is killed
	migration = "migration" // migrate ends with an error after a moment
	crash     = "crash"     // some time after the start, serve ends with an error
)

var names = []string{start, unhealthy, failing, slow, late, leak, migration, crash}

// moment is how long a migration works before it fails.
const moment = 500 * time.Millisecond

// Plan is how a process misbehaves. The zero value behaves.
type Plan struct {
	fault string
	after time.Duration
	rate  int // MiB a second
}

// Load reads the plan from the environment. Its error names the variable that is wrong, and what would be right.
func Load(lookup func(name string) (value string, ok bool)) (Plan, error) {
	p := Plan{after: 15 * time.Second, rate: 16}
	if text, ok := lookup("BOOKD_FAULT"); ok {
		if !slices.Contains(names, text) {
			return Plan{}, fmt.Errorf("BOOKD_FAULT: must be one of %s, is %q", strings.Join(names, ", "), text)
		}
		p.fault = text
	}
	if text, ok := lookup("BOOKD_FAULT_AFTER"); ok {
		after, err := time.ParseDuration(text)
		if err != nil || after < 0 {
			return Plan{}, fmt.Errorf("BOOKD_FAULT_AFTER: must be a duration such as %q, is %q", p.after, text)
		}
		p.after = after
	}
	if text, ok := lookup("BOOKD_FAULT_RATE"); ok {
		rate, err := strconv.Atoi(text)
		if err != nil || rate < 1 || rate > 1000 {
			return Plan{}, fmt.Errorf("BOOKD_FAULT_RATE: must be a number of MiB from 1 to 1000, is %q", text)
		}
		p.rate = rate
	}
	return p, nil
}

// Command runs the service's command of that name, as the plan says. Whoever gets the error has to end the process: a crash
// leaves run behind.
func (p Plan) Command(ctx context.Context, name string, run func(context.Context) error) error {
	switch name + " " + p.fault {
	case "serve " + start:
		return p.error()
	case "serve " + crash:
		return p.crash(ctx, run)
	case "serve " + leak:
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		go p.leak(ctx)
		return run(ctx)
	case "migrate " + migration:
		return errors.Join(p.error(), wait(ctx, moment))
	default:
		return run(ctx)
	}
}

// crash gives up on run without a word to it, as a process does that breaks down.
func (p Plan) crash(ctx context.Context, run func(context.Context) error) error {
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	select {
	case err := <-done:
		return err
	case <-time.After(p.after):
		return p.error()
	}
}

// leak takes one MiB after the other and keeps them until ctx ends. A page counts only once it was written to.
func (p Plan) leak(ctx context.Context) {
	const size, page = 1 << 20, 4096
	var kept [][]byte
	for wait(ctx, time.Second/time.Duration(p.rate)) == nil {
		block := make([]byte, size)
		for i := 0; i < size; i += page {
			block[i] = 1
		}
		kept = append(kept, block)
	}
	runtime.KeepAlive(kept)
}

// error is what a fault fails with.
func (p Plan) error() error {
	return fmt.Errorf("this build fails on purpose: BOOKD_FAULT=%s", p.fault)
}

// wait waits for d, or until ctx ends and returns why it did.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
