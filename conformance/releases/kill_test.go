package releases

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"bookshelf/conformance/internal/images"
)

// journal is the phase that the release under way has written down, "" where there is none.
func (e *environment) journal() string {
	content, err := os.ReadFile(filepath.Join(e.root, ".bookshelf", e.name, "release.json"))
	if err != nil {
		return ""
	}
	var record struct{ Phase string }
	if json.Unmarshal(content, &record) != nil {
		return ""
	}
	return record.Phase
}

// other is what each of two versions, and of the two slots, takes turns with.
var other = map[string]string{"v1": "v2", "v2": "v1", "blue": "green", "green": "blue"}

// wantConverged asserts that after an up a version serves everything, and nothing of a release is left.
func (e *environment) wantConverged(what, version, release string) {
	e.t.Helper()
	if up := e.run(e.t.Context(), "up"); up.code != exitDone {
		e.t.Errorf("%s: up: exit code %d: %s (the release: %s)", what, up.code, up.stderr, release)
	}
	if serves := e.version(); serves != version {
		e.t.Errorf("%s: version %s serves, want %s", what, serves, version)
	}
	if s := e.status(); !s.Healthy || s.weight(s.Live) != 100 || e.journal() != "" {
		e.t.Errorf("%s: status %+v, journal %q", what, s, e.journal())
	}
}

// TestAReleaseThatIsKilledConverges kills deliver in each phase. The service goes on answering, and the next run brings the release to
// its end: back before the commit, forward from there on.
//
//nolint:tparallel,paralleltest // the steps are an order
func TestAReleaseThatIsKilledConverges(t *testing.T) {
	t.Parallel()
	if !full() {
		t.Skip("make e2e-kills runs it: unit tests kill at every single transition")
	}
	base := product(t)
	versions := map[string]string{"v1": images.Product(t, base, "v1"), "v2": images.Product(t, base, "v2")}
	e := newEnvironment(t)
	e.up(versions["v1"])
	for _, phase := range []string{"start", "canary", "bake", "commit", "retire"} {
		before := e.version()
		next := other[before]
		process, out, wait := e.process(t.Context(), "release", "--image", versions[next], "--rate", rate())
		e.must(process.Start())
		e.until("in phase "+phase, func() bool { return e.journal() == phase })
		e.must(process.Process.Kill())
		wait()
		if version := e.version(); version != before && version != next {
			t.Errorf("killed in %s: version %s answers", phase, version)
		}
		want := before
		if phase == "commit" || phase == "retire" {
			want = next
		}
		e.wantConverged("killed in "+phase, want, out.stderr)
	}

	t.Run("a second release is told who is at it, and Ctrl-C takes the first back", func(t *testing.T) {
		before := e.version()
		next := other[before]
		process, out, wait := e.process(t.Context(), "release", "--image", versions[next], "--rate", rate())
		e.must(process.Start())
		e.until("in the canary", func() bool { return e.journal() == "canary" })
		if second := e.run(t.Context(), "release", "--image", versions[next]); second.code != exitFailed {
			t.Errorf("a second release: exit code %d: %s", second.code, second.stderr)
		}
		e.must(process.Process.Signal(os.Interrupt))
		wait()
		e.wantRolledBack("interrupted", e.reportOf(*out), out.code, "interrupted")
	})

	t.Run("a rollback by hand ends the release that is under way", func(t *testing.T) {
		before := e.version()
		next := other[before]
		_, wait := e.start(t.Context(), "release", "--image", versions[next], "--rate", rate(), "--bake", "5m")
		e.until("in the bake", func() bool { return e.journal() == "bake" })
		if rollback := e.run(t.Context(), "rollback"); rollback.code != exitDone {
			t.Errorf("rollback: exit code %d: %s", rollback.code, rollback.stderr)
		}
		wait()
		if version := e.version(); version != before {
			t.Errorf("version %s serves, want %s", version, before)
		}
	})

	t.Run("an edge that is killed comes back as it was", func(t *testing.T) {
		needRoot(t)
		before := e.status()
		e.kill("edge")
		begun := time.Now()
		e.until("healthy again", func() bool { return e.status().Healthy })
		t.Logf("healthy again after %.1f s", time.Since(begun).Seconds())
		if after := e.status(); after.Live != before.Live || after.weight(after.Live) != 100 {
			t.Errorf("status %+v, before %+v", after, before)
		}
	})
}

// needRoot skips a test that ends a container's process behind the engine's back.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root may end the process of a container")
	}
}

// kill ends the main process of a container with SIGKILL, behind the engine's back: it sees a crash and restarts it, which `docker kill`
// would keep it from.
func (e *environment) kill(part string) {
	e.t.Helper()
	pid, err := strconv.Atoi(e.docker("inspect", "--format", "{{.State.Pid}}", e.container(part)))
	e.must(err)
	e.must(syscall.Kill(pid, syscall.SIGKILL))
}

// TestAReleaseStandsTheDeathOfAnyPart kills what a release works with while it goes on: the edge, the database, a replica of the slot
// that serves and one of the slot that is to. The release comes to an end by itself, no acknowledged write is gone or there twice, and
// the version that the report says serves.
//
//nolint:tparallel,paralleltest // the steps are an order
func TestAReleaseStandsTheDeathOfAnyPart(t *testing.T) {
	t.Parallel()
	if !full() {
		t.Skip("make e2e-kills runs it: unit tests let every call fail at every transition")
	}
	needRoot(t)
	base := product(t)
	versions := map[string]string{"v1": images.Product(t, base, "v1"), "v2": images.Product(t, base, "v2")}
	e := newEnvironment(t)
	e.up(versions["v1"])
	const live, standby = "the slot that serves", "the slot that is to serve"
	for _, death := range []struct{ phase, of string }{
		{"start", "postgres"},
		{"canary", "postgres"},
		{"canary", "edge"},
		{"canary", live},
		{"canary", standby},
		{"bake", "edge"},
		{"bake", standby},
		{"commit", "postgres"},
	} {
		t.Run(death.of+" in phase "+death.phase, func(t *testing.T) {
			before, slot := e.version(), e.status().Live
			next := other[before]
			part := death.of
			switch death.of {
			case live:
				part = "app-" + slot + "-1"
			case standby:
				part = "app-" + other[slot] + "-1"
			}
			out, wait := e.start(t.Context(), "release", "--image", versions[next], "--rate", rate(), "--load", "0s")
			e.until("in phase "+death.phase, func() bool { return e.journal() == death.phase })
			e.kill(part)
			wait()
			r := e.reportOf(*out)
			note(death.of+" dies in phase "+death.phase, r)
			t.Logf("%s: %s", r.Outcome, r.Reason)
			serves := map[string]string{"released": next, "rolled back": before}[r.Outcome]
			if serves == "" {
				t.Errorf("exit code %d: %s: %s (%s)", out.code, r.Outcome, r.Reason, out.stderr)
			}
			if w := r.Account.Writes; w == nil || w.Missing != 0 || w.Twice != 0 {
				t.Errorf("writes: %+v", w)
			}
			e.wantConverged(death.of+" died in phase "+death.phase, serves, out.stderr)
		})
		if t.Failed() {
			break
		}
	}
}
