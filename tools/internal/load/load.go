// Package load sends requests to services over HTTP and measures how they are answered: as fast as they can be (a closed loop), or at a
// fixed rate (an open loop). It compares two services by measuring them in turns.
package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Spec says what is measured.
type Spec struct {
	Addr        string // host:port
	Operation   string // one of Operations, by name
	Token       string
	Books       int // that are there, with the IDs from 1
	Connections int
	Seconds     float64 // how long
	Rate        float64 // requests per second, at even intervals; 0: each connection sends as soon as it has its answer
}

// Result is what was measured.
type Result struct {
	Requests int
	PerSec   float64
	P50, P99 float64 // seconds; with a rate, from when a request should have been sent
}

// Run measures. It writes and reads HTTP/1.1 itself: a client that does everything would take more of the processor than the
// service it measures. Any answer but the expected one is an error.
func Run(ctx context.Context, spec Spec) (Result, error) {
	op, err := Find(spec.Operation)
	if err != nil {
		return Result{}, err
	}
	return run(ctx, spec, op, math.MaxInt64)
}

// run ends with the time or after so many requests, whichever comes first.
func run(interrupted context.Context, spec Spec, op Operation, most int64) (Result, error) {
	ctx, cancel := context.WithTimeout(interrupted, time.Duration(spec.Seconds*float64(time.Second)))
	defer cancel()
	r := runner{spec: &spec, op: op}
	r.left.Store(most)
	// The end of the time is seen between two requests, so that none is cut off; one that hangs is.
	r.deadline = time.Now().Add(time.Duration(spec.Seconds*float64(time.Second)) + 10*time.Second)
	if spec.Rate > 0 {
		r.arrivals = schedule(ctx, spec.Rate, spec.Connections)
	}
	began := time.Now()
	latencies := make([][]time.Duration, spec.Connections)
	failures := make([]error, spec.Connections)
	var clients sync.WaitGroup
	for i := range spec.Connections {
		clients.Go(func() {
			latencies[i], failures[i] = r.sendAll(ctx, uint64(i))
			if failures[i] != nil {
				r.failed.Store(true)
			}
		})
	}
	clients.Wait()
	if err := errors.Join(failures...); err != nil {
		return Result{}, fmt.Errorf("%s: %w", op.Name, err)
	}
	if interrupted.Err() != nil { // what was measured up to here would pass for a whole measurement
		return Result{}, fmt.Errorf("%s: %w", op.Name, context.Cause(interrupted))
	}
	elapsed := time.Since(began)
	all := slices.Sorted(slices.Values(slices.Concat(latencies...)))
	if len(all) == 0 {
		return Result{}, fmt.Errorf("%s: no request was answered in %v", op.Name, elapsed)
	}
	return Result{
		Requests: len(all), PerSec: float64(len(all)) / elapsed.Seconds(),
		P50: quantile(all, 0.5).Seconds(), P99: quantile(all, 0.99).Seconds(),
	}, nil
}

// runner is one measurement.
type runner struct {
	spec     *Spec
	op       Operation
	deadline time.Time
	arrivals <-chan time.Time // nil for a closed loop
	left     atomic.Int64     // requests that may still be sent
	failed   atomic.Bool
}

// sendAll is one connection. Any answer but the expected one ends the measurement: a figure in which errors count as
// requests would be of something else.
func (r *runner) sendAll(ctx context.Context, seed uint64) ([]time.Duration, error) {
	conn, err := net.Dial("tcp", r.spec.Addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(r.deadline); err != nil {
		return nil, err
	}
	in := bufio.NewReaderSize(conn, 64<<10)
	random := rand.New(rand.NewPCG(seed, 1))
	var out []byte
	var taken []time.Duration
	for ctx.Err() == nil && !r.failed.Load() && r.left.Add(-1) >= 0 {
		intended := time.Now()
		if r.arrivals != nil {
			var more bool
			if intended, more = <-r.arrivals; !more {
				break
			}
		}
		out = r.op.request(out[:0], r.spec, random)
		if _, err := conn.Write(out); err != nil {
			return nil, err
		}
		if err := readAnswer(in, r.op.Status); err != nil {
			return nil, err
		}
		taken = append(taken, time.Since(intended))
	}
	return taken, nil
}

// schedule sends the moments at which requests should go out, as they come. When no connection is free the moments queue
// up, and the waiting is part of what is measured: a client in the real world does not wait for others to be served.
//
// It sleeps by the system call: Go's timers wake up to a millisecond late in a process that is idle, which would be
// several times what is measured.
func schedule(ctx context.Context, rate float64, connections int) <-chan time.Time {
	arrivals := make(chan time.Time, max(connections, int(rate)))
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(arrivals)
		began := time.Now()
		for n := 0; ctx.Err() == nil; n++ {
			at := began.Add(time.Duration(float64(n) / rate * float64(time.Second)))
			if wait := time.Until(at); wait > 0 {
				pause := syscall.NsecToTimespec(wait.Nanoseconds())
				_ = syscall.Nanosleep(&pause, nil) // a signal that wakes it early does no harm
			}
			select {
			case arrivals <- at:
			case <-ctx.Done():
			}
		}
	}()
	return arrivals
}

// readAnswer reads one answer with a Content-Length and drops its body.
func readAnswer(in *bufio.Reader, want int) error {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("read the status: %w", err)
	}
	fields := bytes.Fields(line)
	if len(fields) < 2 {
		return fmt.Errorf("the status line is %q", line)
	}
	status, err := strconv.Atoi(string(fields[1]))
	if err != nil {
		return fmt.Errorf("the status line is %q", line)
	}
	length := -1
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("read the headers: %w", err)
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return fmt.Errorf("Content-Length: %w", err)
			}
		}
	}
	if length < 0 {
		return errors.New("the answer has no Content-Length")
	}
	if status != want {
		body := make([]byte, min(length, 500))
		_, _ = io.ReadFull(in, body)
		return fmt.Errorf("answered %d instead of %d: %s", status, want, strings.TrimSpace(string(body)))
	}
	_, err = in.Discard(length)
	return err
}

// quantile returns the value below which that share of the sorted ones is.
func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}
