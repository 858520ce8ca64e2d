// Command bench measures the service against the limit of its parts, all in one run on one machine.
//
//	GOWORK=off go run -C tools ./bench [--bookd FILE] [--profile FILE] [--peer IMAGE] [OPERATION…]
//
// The limit of an operation is what its two parts leave when they share the processors: PostgreSQL answering the same SQL
// (pgbench with prepared statements over the same Unix socket), and net/http sending the same bytes.
//
//	limit = 1 / (1/limit_pg + 1/limit_http)
//
// The three are measured in turn, round by round, so that whatever else the machine does meets all of them; printed are
// ratios within a round. With --peer it is compared with another service instead. BENCH_SECONDS (300) is about how long all of it takes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"bookshelf/tools/internal/command"
	"bookshelf/tools/internal/load"
	"bookshelf/tools/internal/repo"
)

const (
	connections = 32 // of the load generator
	poolSize    = 10 // the service's connections to PostgreSQL, as by default; pgbench has as many
	books       = 100_000
	hotBooks    = 10_000 // of them; they fit into the read cache as it is by default
	coldStarts  = 5
)

func main() { command.Main("bench", run) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 1 {
		switch args[0] {
		case "load":
			return runLoad(ctx, os.Stdin, stdout)
		case "bare":
			return runBare(ctx, os.Stdin, stdout)
		}
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	binary := flags.String("bookd", "", "measure this program instead of building one")
	profile := flags.String("profile", "", "take no measurements; write a CPU profile of a mixed load for default.pgo")
	peerImage := flags.String("peer", "", "compare with this image, of tools/bench/peer, instead of with the limits")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *profile != "" && *peerImage != "" {
		return errors.New("--profile and --peer are two different things to do")
	}
	ops, err := command.Choose("operation", operations(), func(op operation) string { return op.Name }, flags.Args())
	if err != nil {
		return err
	}
	if *profile != "" || *peerImage != "" {
		// Both are about one process, and a cached operation has one of its own.
		if ops = slices.DeleteFunc(ops, func(op operation) bool { return op.cached }); len(ops) == 0 {
			return errors.New("nothing is left to do: cached operations are only measured against the limits")
		}
	}
	p, err := plan(os.Getenv("BENCH_SECONDS"), len(ops))
	if err != nil {
		return err
	}
	root, err := repo.Root()
	if err != nil {
		return err
	}
	return measureAll(ctx, root, *binary, *profile, *peerImage, ops, p, stdout)
}

// timing is how a run spends its time.
type timing struct {
	rounds  int
	seconds int // of one measurement; pgbench counts whole ones
}

// plan divides the time that is wanted, in seconds, among the measurements.
func plan(wanted string, operations int) (timing, error) {
	total := 300
	if wanted != "" {
		var err error
		if total, err = strconv.Atoi(wanted); err != nil || total < 30 || total > 3600 {
			return timing{}, fmt.Errorf("BENCH_SECONDS must be a number of seconds from 30 to 3600, is %q", wanted)
		}
	}
	t := timing{rounds: 5}
	if total < 150 {
		t.rounds = 3
	}
	// Three measurements for an operation and round, one more at half of the rate; the rest is for building, filling the
	// database and starting.
	t.seconds = max(1, (total-30)/(operations*(3*t.rounds+1)))
	return t, nil
}

// measureAll sets everything up, measures, and takes everything down again, also after Ctrl-C.
func measureAll(
	ctx context.Context, root, binary, profile, peerImage string, ops []operation, p timing, stdout io.Writer,
) (err error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if binary == "" {
		binary = filepath.Join(dir, "bookd")
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, "./cmd/bookd")
		build.Dir = filepath.Join(root, "app")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build bookd: %w: %s", err, command.Tail(string(out), 10))
		}
	}
	fmt.Fprintf(stdout, "%d rounds of %d s for each of %d operations, with %d connections\n",
		p.rounds, p.seconds, len(ops), connections)
	db, err := startDatabase(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.stop()) }()
	s := &service{binary: binary, dir: dir, db: db}
	if err := db.create(ctx); err != nil {
		return err
	}
	if _, err := s.command(ctx, ownerRole, "migrate"); err != nil {
		return err
	}
	if err := db.fill(ctx, books); err != nil {
		return err
	}
	token, err := s.command(ctx, servingRole, "token", "create", "--scopes", "books:read,books:write", "bench")
	if err != nil {
		return err
	}
	b := &bench{timing: p, operations: ops, db: db, service: s, stdout: stdout, spec: load.Spec{
		Token: token, Books: books, Connections: connections, Seconds: float64(p.seconds),
	}}
	if err := b.coldStart(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if profile != "" {
		return b.profile(ctx, profile)
	}
	if peerImage != "" {
		return b.measurePeer(ctx, peerImage, filepath.Join(root, "bench"))
	}
	result, err := b.measure(ctx)
	if err != nil {
		return err
	}
	return result.write(filepath.Join(root, "bench"), stdout)
}

// bench is one run.
type bench struct {
	timing

	operations []operation
	db         *database
	service    *service
	spec       load.Spec
	stdout     io.Writer
	starts     []time.Duration
}

// coldStart starts the service several times and leaves the last one running.
func (b *bench) coldStart(ctx context.Context) error {
	for i := range coldStarts {
		took, err := b.service.start(ctx)
		if err != nil {
			return err
		}
		b.starts = append(b.starts, took)
		if i < coldStarts-1 {
			if err := b.service.stop(); err != nil {
				return err
			}
		}
	}
	b.spec.Addr = b.service.addr
	return nil
}

// measure runs the rounds, and then what needs their result.
func (b *bench) measure(ctx context.Context) (*report, error) {
	samples := map[string]sample{}
	for _, op := range b.operations {
		var err error
		if samples[op.Name], err = fetchSample(b.spec, op); err != nil {
			return nil, err
		}
	}
	addrs := map[string]string{}
	bare, err := startHelper(ctx, "bare", samples, &addrs)
	if err != nil {
		return nil, err
	}
	defer func() {
		_ = bare.Process.Kill() // it has nothing to finish
		_ = bare.Wait()
	}()
	measured := map[string]*measurement{}
	for round := range b.rounds {
		for _, op := range b.operations {
			if measured[op.Name] == nil {
				measured[op.Name] = &measurement{Name: op.Name, Target: op.target, TargetOfPG: op.ofPG}
			}
			if err := b.round(ctx, op, round, addrs[op.Name], measured[op.Name]); err != nil {
				return nil, fmt.Errorf("%s: %w", op.Name, err)
			}
		}
		fmt.Fprintf(b.stdout, "round %d of %d\n", round+1, b.rounds)
	}
	result := &report{
		Go: runtime.Version(), CPUs: runtime.NumCPU(), Connections: connections, Pool: poolSize, Books: books,
		Rounds: b.rounds, Seconds: b.seconds,
	}
	for _, op := range b.operations {
		m := measured[op.Name]
		spec := op.spec(b.spec)
		spec.Rate = median(m.Service) / 2
		var half load.Result
		err := b.with(ctx, op, spec, func(_ *service, spec load.Spec) error { return helper(ctx, "load", spec, &half) })
		if err != nil {
			return nil, err
		}
		m.HalfRate = latency{PerSec: half.PerSec, P50: half.P50, P99: half.P99}
		result.Operations = append(result.Operations, *m)
	}
	used, err := b.service.usage()
	if err != nil {
		return nil, err
	}
	result.PeakRSSMiB = used.peakRSS / (1 << 20)
	slices.Sort(b.starts)
	result.ColdStart = spread{
		Median: b.starts[len(b.starts)/2].Seconds(), Min: b.starts[0].Seconds(), Max: b.starts[len(b.starts)-1].Seconds(),
	}
	version, err := b.db.psql(ctx, "postgres", "SHOW server_version")
	result.PostgreSQL, _, _ = strings.Cut(firstLine(version), " ") // without the distribution's own version
	return result, err
}

// round measures an operation three times. Which of them comes first changes from round to round: what one leaves behind,
// such as pages to write to the disk, must not always meet the same.
func (b *bench) round(ctx context.Context, op operation, round int, bareAddr string, m *measurement) error {
	spec := op.spec(b.spec)
	parts := []func() error{
		func() error {
			if op.cached {
				return nil
			}
			rate, err := b.db.pgbench(ctx, op.sql, poolSize, b.seconds, books)
			m.PostgreSQL = append(m.PostgreSQL, rate)
			return err
		},
		func() error {
			bare := spec
			bare.Addr = bareAddr
			var result load.Result
			err := helper(ctx, "load", bare, &result)
			m.HTTP = append(m.HTTP, result.PerSec)
			return err
		},
		func() error {
			return b.with(ctx, op, spec, func(s *service, spec load.Spec) error { return loadService(ctx, s, spec, m) })
		},
	}
	for i := range parts {
		if err := parts[(i+round)%len(parts)](); err != nil {
			return err
		}
	}
	return nil
}

// loadService measures the service itself.
func loadService(ctx context.Context, s *service, spec load.Spec, m *measurement) error {
	before, err := s.usage()
	if err != nil {
		return err
	}
	var result load.Result
	if err := helper(ctx, "load", spec, &result); err != nil {
		return err
	}
	after, err := s.usage()
	n := float64(result.Requests)
	m.Service = append(m.Service, result.PerSec)
	m.CPU = append(m.CPU, (after.cpu-before.cpu)/n)
	m.Allocs = append(m.Allocs, (after.allocs-before.allocs)/n)
	m.Bytes = append(m.Bytes, (after.bytes-before.bytes)/n)
	return err
}

// warmSeconds is enough to ask for each of the hot books several times.
const warmSeconds = 3

// with calls run with the service that an operation is for, and where to find it. One with a read cache runs only
// meanwhile, since changes cost more while there is one, and is warm.
func (b *bench) with(
	ctx context.Context, op operation, spec load.Spec, run func(*service, load.Spec) error,
) (err error) {
	if !op.cached {
		return run(b.service, spec)
	}
	s := &service{binary: b.service.binary, dir: b.service.dir, db: b.db, cached: true}
	if _, err := s.start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	spec.Addr = s.addr
	warm := spec
	warm.Rate, warm.Seconds = 0, warmSeconds
	var ignored load.Result
	if err := helper(ctx, "load", warm, &ignored); err != nil {
		return err
	}
	return run(s, spec)
}

// profile loads the service with each operation in turn while it takes a profile of itself.
func (b *bench) profile(ctx context.Context, path string) error {
	const seconds = 5
	taken := make(chan error, 1)
	go func() { taken <- b.service.profile(path, seconds*len(b.operations)) }()
	for _, op := range b.operations {
		spec := op.spec(b.spec)
		spec.Seconds = seconds
		var result load.Result
		if err := helper(ctx, "load", spec, &result); err != nil {
			return err
		}
		fmt.Fprintf(b.stdout, "%s: %d requests\n", op.Name, result.Requests)
	}
	return <-taken
}
