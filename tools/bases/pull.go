package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"bookshelf/tools/internal/docker"
	"bookshelf/tools/internal/term"
)

// A registry that is out of reach costs time at every start of a new machine, so it is given up soon; one that answers may
// be slow.
const (
	// firstAnswer is how long a registry may take to say that it has the image. The engine itself would try for minutes.
	firstAnswer = 15 * time.Second
	// wholePull bounds the download: 300 MB at 0.3 MB/s.
	wholePull = 15 * time.Minute
)

// errNoRegistry says that nobody answered, as opposed to an answer that we did not like.
var errNoRegistry = errors.New("no registry answers")

// pull runs docker pull and gives up when nothing is heard from the registry for patience.
func pull(ctx context.Context, name string, patience time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, wholePull, fmt.Errorf("not pulled within %v", wholePull))
	defer cancel()
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)

	cmd := docker.Command(ctx, "pull", name)
	cmd.WaitDelay = time.Second
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("docker pull: %w", err)
	}
	p := term.Start(os.Stderr, name+": pulling")
	if err := cmd.Start(); err != nil {
		p.Done("failed")
		return fmt.Errorf("docker pull: %w", err)
	}
	var answered atomic.Bool
	impatience := time.AfterFunc(patience, func() {
		if !answered.Load() {
			giveUp(fmt.Errorf("%w (nothing heard for %v)", errNoRegistry, patience))
		}
	})
	defer impatience.Stop()
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		answered.Store(true)
	}
	if err := cmd.Wait(); err != nil {
		p.Done("failed")
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		err = docker.Explain("pull", err, stderr.String())
		if silent(stderr.String()) {
			return fmt.Errorf("%w (%w)", errNoRegistry, err)
		}
		return err
	}
	p.Done("pulled")
	return nil
}

// silent tells whether the engine's complaint is about reaching the registry rather than about what it said.
func silent(complaint string) bool {
	complaint = strings.ToLower(complaint)
	for _, sign := range []string{
		"no such host", "connection refused", "network is unreachable", "no route to host", "i/o timeout", "tls handshake timeout",
		"client.timeout exceeded", "request canceled", "connection reset", "server misbehaving", "proxyconnect", "temporary failure in name resolution",
	} {
		if strings.Contains(complaint, sign) {
			return true
		}
	}
	return false
}
