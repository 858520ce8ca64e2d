package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bookshelf/conformance/internal/engine"
)

// inMemory are the options of a volume of so many MiB, which is full when they are used up.
func inMemory(mib int) []string {
	return []string{"type=tmpfs", "device=tmpfs", fmt.Sprintf("o=size=%dm,mode=0755", mib)}
}

// keep holds a volume, which otherwise forgets its content when the database ends, and returns the container from where it can be
// filled and emptied.
func (s *stack) keep(volume string) string {
	s.t.Helper()
	name := volume + "-keeper"
	s.docker("run", "--detach", "--name", name, "--network", "none", "--label", "bookshelf.test="+s.name, "--volume", volume+":/kept",
		"--entrypoint", "sleep", engine.PostgresImage, "infinity")
	engine.CleanUp(s.t, "rm", "--force", "--volumes", name)
	return name
}

// fill leaves no byte free on a volume.
func (s *stack) fill(keeper string) {
	s.t.Helper()
	s.docker("exec", keeper, "sh", "-c", `dd if=/dev/zero of=/kept/fill bs=64k 2>&1 | grep -q 'No space left'`)
}

func (s *stack) empty(keeper string) { s.docker("exec", keeper, "rm", "/kept/fill") }

// TestAFullDiskRefusesWritesAndServesReads fills the volume with the tables.
func TestAFullDiskRefusesWritesAndServesReads(t *testing.T) {
	t.Parallel()
	long(t)
	s := newStack(t, shape{
		data: inMemory(256), flags: []string{"--env", "PGDATA=/var/lib/postgresql/data/cluster", "--env", "POSTGRES_INITDB_WALDIR=/var/lib/postgresql/wal"},
	})
	keeper := s.keep(s.data)
	l := s.load()
	came, _, _ := s.suffer(l, fault{
		name:   "no space for tables",
		inject: func() { s.fill(keeper) },
		seen:   func(c counts) bool { return c.writes[later] >= 4*writers && c.reads[good] >= 100 },
		mend: func() time.Time {
			s.empty(keeper)
			return time.Now()
		},
	})
	if c := l.since(came); c.reads[later] != 0 {
		t.Errorf("reads need no space, and %d were refused: %v", c.reads[later], c.reasons)
	}
	s.settle(l, "no space for tables")
}

// TestAFullLogIsACrashAndARecovery fills the volume with the write-ahead log. PostgreSQL then ends itself, and starts until it can write.
func TestAFullLogIsACrashAndARecovery(t *testing.T) {
	t.Parallel()
	long(t)
	name := engine.UniqueName() + "-wal"
	// The volume of the log is there before the database is, and has to go after it.
	w := &stack{t: t, name: name}
	w.volume(name, inMemory(96)...)
	keeper := w.keep(name)
	s := newStack(t, shape{
		flags:    []string{"--volume", name + ":/wal", "--env", "POSTGRES_INITDB_WALDIR=/wal/log", "--env", "POSTGRES_INITDB_ARGS=--wal-segsize=1"},
		settings: []string{"min_wal_size=4MB", "max_wal_size=16MB"},
	})
	l := s.load()
	s.suffer(l, fault{
		name:   "no space for the log",
		inject: func() { s.fill(keeper) },
		seen:   everybody,
		mend: func() time.Time {
			s.empty(keeper)
			s.untilDatabase()
			return s.opened()
		},
	})
	if logs := s.docker("logs", s.db); strings.Contains(logs, "PANIC") { // on the other stream, where it belongs
		t.Log("PostgreSQL ended itself")
	}
	s.settle(l, "no space for the log")
}

// writesPerSecond is what the slow disk does. Each commit takes at least one write, which it waits for.
const writesPerSecond = 20

// TestASlowDiskMakesWritesSlowAndLosesNothing bounds the writes of the database's container, as a busy or failing disk does.
func TestASlowDiskMakesWritesSlowAndLosesNothing(t *testing.T) {
	t.Parallel()
	long(t)
	s := newStack(t, shape{})
	throttle := s.throttle()
	l := s.load()
	began := time.Now()
	l.until("as fast as it is", began, func(c counts) bool { return c.writes[good] >= 100 })
	came, mended, over := s.suffer(l, fault{
		name:   fmt.Sprintf("a disk of %d writes a second", writesPerSecond),
		inject: func() { throttle(writesPerSecond) },
		seen:   func(c counts) bool { return c.writes[good] >= 10*writers && c.reads[good] >= 100 },
		mend: func() time.Time {
			throttle(0)
			return time.Now()
		},
	})
	before, during := l.median(true, began, came), l.median(true, came, mended)
	t.Logf("median of writes: %v before, %v while slow, %v afterwards; of reads: %v, %v, %v", before, during, l.median(true, over, time.Now()),
		l.median(false, began, came), l.median(false, came, mended), l.median(false, over, time.Now()))
	if during < 2*before {
		t.Errorf("writes took %v, before %v: the disk was not slow", during, before)
	}
	s.settle(l, "slow disk")
}

// throttle returns what bounds the writes per second of the database on the device of its data; 0 is no bound. It works with both
// versions of control groups, and for root alone.
func (s *stack) throttle() func(perSecond int) {
	t := s.t
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root may bound what a container writes")
	}
	device := s.device()
	groups, err := os.ReadFile("/proc/" + s.docker("inspect", "--format", "{{.State.Pid}}", s.db) + "/cgroup")
	if err != nil {
		t.Skipf("the engine's containers are not processes of this machine: %v", err)
	}
	for line := range strings.Lines(string(groups)) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3) // cgroups(7), "/proc/pid/cgroup"
		var file, bound, none string
		switch {
		case part[1] == "blkio":
			file, bound, none = filepath.Join("/sys/fs/cgroup/blkio", part[2], "blkio.throttle.write_iops_device"), "%s %d", "%s 0"
		case part[1] == "":
			file, bound, none = filepath.Join("/sys/fs/cgroup", part[2], "io.max"), "%s wiops=%d", "%s wiops=max"
		}
		if _, err := os.Stat(file); file == "" || err != nil {
			continue
		}
		return func(perSecond int) {
			t.Helper()
			text := fmt.Sprintf(none, device)
			if perSecond > 0 {
				text = fmt.Sprintf(bound, device, perSecond)
			}
			if err := os.WriteFile(file, []byte(text), 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Skipf("this machine's control groups bound no disk: %s", groups)
	return nil
}

// device is the disk below the volume with the data, as MAJOR:MINOR. A bound is for a whole disk, not for a partition.
func (s *stack) device() string {
	t := s.t
	t.Helper()
	var stat syscall.Stat_t
	if err := syscall.Stat(s.docker("volume", "inspect", "--format", "{{.Mountpoint}}", s.data), &stat); err != nil {
		t.Skipf("the engine's volumes are not on this machine: %v", err)
	}
	// The layout of a device number in Linux: 12 bits of major, 20 of minor, folded for programs that know 16 in all.
	dev := stat.Dev
	device := fmt.Sprintf("%d:%d", dev>>8&0xfff, dev&0xff|dev>>12&0xfff00)
	folder, err := filepath.EvalSymlinks("/sys/dev/block/" + device)
	if err != nil {
		t.Skipf("the engine's volumes are on no disk: %v", err)
	}
	if _, err := os.Stat(filepath.Join(folder, "partition")); err == nil {
		disk, err := os.ReadFile(filepath.Join(filepath.Dir(folder), "dev"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(disk))
	}
	return device
}
