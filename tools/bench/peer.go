package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"bookshelf/tools/internal/docker"
	"bookshelf/tools/internal/load"
)

// peer is the same resource in Flask, SQLAlchemy and gunicorn (tools/bench/peer), in a container on the host's network, so that its
// connections go the same way as the service's.
type peer struct {
	name, addr string
}

// peerThreads are those of a worker of gunicorn, each with a connection to PostgreSQL; the Dockerfile sets them.
const peerThreads = 2

// peerWorkers is what gunicorn's documentation recommends: two for each processor, and one.
func peerWorkers() int { return 2*runtime.NumCPU() + 1 }

// startPeer starts the image on the same database, as the same role.
func startPeer(ctx context.Context, image string, db *database) (*peer, error) {
	// Closed again at once; nobody else takes it in the moment between, or the peer says so.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &peer{name: "bookshelf-peer-" + strings.ToLower(rand.Text()[:8]), addr: listener.Addr().String()}
	if err := listener.Close(); err != nil {
		return nil, err
	}
	args := []string{
		"run", "--detach", "--name", p.name, "--network", "host", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges:true",
		"--volume", db.dir + ":/pg:ro", "--env", "PGHOST=/pg", "--env", "PGDATABASE=" + databaseName, "--env", "PGUSER=" + servingRole,
		"--env", "WORKERS=" + strconv.Itoa(peerWorkers()), "--env", "BIND=" + p.addr,
	}
	if uid := os.Geteuid(); uid != 0 {
		args = append(args, "--user", strconv.Itoa(uid)) // who may enter the socket's folder
	}
	if _, err := docker.Output(ctx, append(args, image)...); err != nil {
		return nil, err
	}
	for began := time.Now(); time.Since(began) < 30*time.Second && ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
		if response, err := http.Get("http://" + p.addr + "/readyz"); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return p, nil
			}
		}
	}
	said, _ := docker.Output(context.WithoutCancel(ctx), "logs", "--tail", "5", p.name)
	return nil, errors.Join(fmt.Errorf("the peer did not become ready: %s", said), ctx.Err(), p.stop())
}

func (p *peer) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := docker.Output(ctx, "rm", "--force", "--volumes", p.name)
	return err
}

// comparison is what the service and its peer did in one run. The ratios are the service's to the peer's.
type comparison struct {
	CPUs        int         `json:"cpus"`
	Workers     int         `json:"peer_workers"`
	Threads     int         `json:"peer_threads_per_worker"`
	Connections int         `json:"connections"`
	Books       int         `json:"books"`
	Seconds     float64     `json:"seconds_per_measurement"`
	Operations  []peerRatio `json:"operations"`
	Measured    load.Batch  `json:"measured"` // "other" is the peer
}

// peerRatio compares one operation: requests per second as fast as they can be, and the 99th percentile of the latency at half of the
// slower one's rate. Greater is better for the service in both.
type peerRatio struct {
	Name string `json:"name"`
	Rate spread `json:"rate"`
	P99  spread `json:"p99"`
}

// measurePeer compares both in turns.
func (b *bench) measurePeer(ctx context.Context, image, dir string) (err error) {
	p, err := startPeer(ctx, image, b.db)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	plan := load.Plan{
		This:  load.Target{Addr: b.spec.Addr, Token: b.spec.Token, Filled: true},
		Other: load.Target{Addr: p.addr, Filled: true},
		Books: b.spec.Books, Connections: b.spec.Connections, Rounds: b.rounds, Seconds: b.spec.Seconds,
	}
	for _, op := range b.operations {
		plan.Operations = append(plan.Operations, op.Name)
	}
	batch, err := load.Compare(ctx, plan)
	if err != nil {
		return err
	}
	result := newComparison(plan, batch)
	content, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		return err
	}
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "peer.json"), append(content, '\n'), 0o644)); err != nil {
		return err
	}
	return result.print(b.stdout)
}

func newComparison(plan load.Plan, batch load.Batch) comparison {
	c := comparison{
		CPUs: runtime.NumCPU(), Workers: peerWorkers(), Threads: peerThreads, Connections: plan.Connections, Books: plan.Books,
		Seconds: plan.Seconds, Measured: batch,
	}
	for _, name := range plan.Operations {
		var rates, tails []float64
		for _, pair := range batch.Rounds {
			if pair.Operation == name {
				rates = append(rates, pair.This.PerSecond/pair.Other.PerSecond)
				tails = append(tails, pair.Other.P99/pair.This.P99)
			}
		}
		c.Operations = append(c.Operations, peerRatio{Name: name, Rate: spreadOf(rates), P99: spreadOf(tails)})
	}
	return c
}

func (c comparison) print(stdout io.Writer) error {
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "operation\trate of the peer's\t(min–max)\tp99 of the peer's by\t(min–max)\t")
	for _, op := range c.Operations {
		fmt.Fprintf(table, "%s\t%.1f ×\t(%.1f–%.1f)\t%.1f\t(%.1f–%.1f)\t\n", op.Name, op.Rate.Median, op.Rate.Min, op.Rate.Max, op.P99.Median, op.P99.Min, op.P99.Max)
	}
	return table.Flush()
}
