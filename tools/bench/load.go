package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

// loadSpec says what the load generator does; it comes as JSON on its standard input.
type loadSpec struct {
	Addr        string
	Operation   string
	Token       string
	Books       int // with the IDs from 1
	Connections int
	Seconds     float64
	Rate        float64 // requests per second, at even intervals; 0: each connection sends as soon as it has its answer
}

// loadResult is what it prints.
type loadResult struct {
	Requests int
	PerSec   float64
	P50, P99 float64 // seconds; with a rate, from when a request should have been sent
}

// runLoad is the generator, which has a process of its own so that its work is not counted as the service's. It writes
// and reads HTTP/1.1 itself: a client that does everything would take more of the processor than the service it measures.
func runLoad(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	var spec loadSpec
	if err := json.NewDecoder(stdin).Decode(&spec); err != nil {
		return fmt.Errorf("read what to do: %w", err)
	}
	op, err := findOperation(spec.Operation)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(spec.Seconds*float64(time.Second)))
	defer cancel()
	// The end of the time is seen between two requests, so that none is cut off; one that hangs is.
	deadline := time.Now().Add(time.Duration(spec.Seconds*float64(time.Second)) + 10*time.Second)
	var arrivals <-chan time.Time
	if spec.Rate > 0 {
		arrivals = schedule(ctx, spec.Rate, spec.Connections)
	}
	began := time.Now()
	latencies := make([][]time.Duration, spec.Connections)
	failures := make([]error, spec.Connections)
	var clients sync.WaitGroup
	var failed atomic.Bool
	for i := range spec.Connections {
		clients.Go(func() {
			latencies[i], failures[i] = sendAll(ctx, &spec, op, uint64(i), deadline, arrivals, &failed)
			if failures[i] != nil {
				failed.Store(true)
			}
		})
	}
	clients.Wait()
	if err := errors.Join(failures...); err != nil {
		return fmt.Errorf("%s: %w", spec.Operation, err)
	}
	elapsed := time.Since(began)
	all := slices.Sorted(slices.Values(slices.Concat(latencies...)))
	if len(all) == 0 {
		return fmt.Errorf("%s: no request was answered in %v", spec.Operation, elapsed)
	}
	return json.NewEncoder(stdout).Encode(loadResult{
		Requests: len(all), PerSec: float64(len(all)) / elapsed.Seconds(),
		P50: quantile(all, 0.5).Seconds(), P99: quantile(all, 0.99).Seconds(),
	})
}

// sendAll is one connection. Any answer but the expected one ends the measurement: a figure in which errors count as
// requests would be of something else.
func sendAll(
	ctx context.Context, spec *loadSpec, op operation, seed uint64, deadline time.Time, arrivals <-chan time.Time,
	failed *atomic.Bool,
) ([]time.Duration, error) {
	conn, err := net.Dial("tcp", spec.Addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	in := bufio.NewReaderSize(conn, 64<<10)
	random := rand.New(rand.NewPCG(seed, 1))
	var out []byte
	var taken []time.Duration
	for ctx.Err() == nil && !failed.Load() {
		intended := time.Now()
		if arrivals != nil {
			var more bool
			if intended, more = <-arrivals; !more {
				break
			}
		}
		out = op.request(out[:0], spec, random)
		if _, err := conn.Write(out); err != nil {
			return nil, err
		}
		if err := readAnswer(in, op.status); err != nil {
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

// runBare serves what the service answered, byte by byte, without doing anything for it: what is left is net/http's own
// cost. Standard input has the answers by operation; standard output gets the address of each.
func runBare(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	var answers map[string]sample
	if err := json.NewDecoder(stdin).Decode(&answers); err != nil {
		return fmt.Errorf("read the answers: %w", err)
	}
	addrs := map[string]string{}
	for name, answer := range answers {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		addrs[name] = listener.Addr().String()
		go serveBare(listener, answer)
	}
	if err := json.NewEncoder(stdout).Encode(addrs); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
