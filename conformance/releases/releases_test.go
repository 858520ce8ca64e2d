package releases

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"

	"bookshelf/conformance/internal/images"
)

// full reports whether everything is to be tried, or the short form.
func full() bool { return os.Getenv("E2E") == "full" }

// table is a line for each release, printed when all tests have ended.
var table struct {
	sync.Mutex

	lines []string
}

func TestMain(m *testing.M) {
	code := m.Run()
	if len(table.lines) > 0 {
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "RELEASE\tOUTCOME\tSENT\tFAILED\tLOST\tWRITES FOUND ONCE\tP99 BEFORE\tDURING\tAFTER\tSWITCH\tDRAIN\tROLLBACK\tTOOK")
		for _, line := range table.lines {
			fmt.Fprintln(w, line)
		}
		_ = w.Flush() // standard output
	}
	os.Exit(code)
}

// note adds a release to the table.
func note(what string, r report) {
	writes := "–"
	if w := r.Account.Writes; w != nil {
		writes = fmt.Sprintf("%d of %d", w.Once, w.Acknowledged)
	}
	table.Lock()
	defer table.Unlock()
	table.lines = append(table.lines, fmt.Sprintf("%s\t%s\t%d\t%d\t%d\t%s\t%.0f ms\t%.0f ms\t%.0f ms\t%.0f ms\t%.0f ms\t%.0f ms\t%.1f s", what, r.Outcome,
		r.Account.Sent, r.Account.Failed, r.Account.Lost, writes, r.Before.P99, r.During.P99, r.After.P99, r.SwitchMS, r.DrainMS, r.RollbackMS,
		r.Ended.Sub(r.Started).Seconds()))
}

// wantReleased asserts a good release: everything was answered, by the right version, and every write is there once.
func (e *environment) wantReleased(what string, r report, code int) {
	e.t.Helper()
	note(what, r)
	if r.Outcome != "released" || code != exitDone {
		e.t.Errorf("%s: %s (exit code %d): %s", what, r.Outcome, code, r.Reason)
	}
	e.wantNothingLost(what, r)
	if r.Account.Failed != 0 || r.Account.WrongVersion != 0 {
		e.t.Errorf("%s: %d failed, %d answered by the wrong version: %+v …", what, r.Account.Failed, r.Account.WrongVersion, r.Account.Losses[:min(3, len(r.Account.Losses))])
	}
	if version := e.version(); r.Outcome == "released" && version != r.To.Version {
		e.t.Errorf("%s: version %s serves, want %s", what, version, r.To.Version)
	}
}

// wantNothingLost asserts what holds whatever a release comes to: each request has an answer, each write that was acknowledged is there,
// and none is there twice.
func (e *environment) wantNothingLost(what string, r report) {
	e.t.Helper()
	a := r.Account
	if a.Sent == 0 || a.Sent != a.Answered+a.Failed+a.Lost {
		e.t.Errorf("%s: %d sent are not %d answered, %d failed and %d lost", what, a.Sent, a.Answered, a.Failed, a.Lost)
	}
	if a.Lost != 0 {
		e.t.Errorf("%s: %d of %d requests were lost: %+v …", what, a.Lost, a.Sent, a.Losses[:min(3, len(a.Losses))])
	}
	if w := a.Writes; w != nil && (w.Sent == 0 || w.Missing != 0 || w.Twice != 0) {
		e.t.Errorf("%s: writes: %+v", what, *w)
	}
}

// wantRolledBack asserts a bad release that took itself back: the former version serves everything.
func (e *environment) wantRolledBack(what string, r report, code int, reason string) {
	e.t.Helper()
	note(what, r)
	if r.Outcome != "rolled back" || code != exitFailed {
		e.t.Errorf("%s: %s (exit code %d), want it rolled back: %s", what, r.Outcome, code, r.Reason)
	}
	if !strings.Contains(r.Reason, reason) {
		e.t.Errorf("%s: the reason is %q, want %q in it", what, r.Reason, reason)
	}
	if len(r.NotUndone) == 0 {
		e.t.Errorf("%s: nothing is said of what was not undone", what)
	}
	if version := e.version(); version != r.From.Version {
		e.t.Errorf("%s: version %s serves, want %s", what, version, r.From.Version)
	}
	if s := e.status(); !s.Healthy || s.Live != r.From.Slot || s.weight(s.Live) != 100 {
		e.t.Errorf("%s: status %+v", what, s)
	}
}

// TestAReleaseLosesNothingAndABadOneTakesItselfBack is the promise, in one life of an environment with two replicas in each slot.
func TestAReleaseLosesNothingAndABadOneTakesItselfBack(t *testing.T) {
	t.Parallel()
	base := product(t)
	// Images first: they can go only after the environment.
	v1, v2, bad := images.Product(t, base, "v1"), images.Product(t, base, "v2"), images.Faulty(t, base, "v3", "errors")
	e := newEnvironment(t, `  bookshelf:replicas: "2"`)
	e.up(v1)

	r, code := e.release(v2)
	e.wantReleased("good: v2", r, code)
	if len(r.Verdicts) < 3 || r.SwitchMS <= 0 {
		t.Errorf("%d verdicts, switched in %.0f ms", len(r.Verdicts), r.SwitchMS)
	}

	r, code = e.release(bad, "--load", "0s") // which would find it before any client does
	e.wantRolledBack("bad: 20 % errors on one route", r, code, "error ratio")
	e.wantNothingLost("bad: 20 % errors on one route", r)

	if out := e.run(t.Context(), "up"); out.code != exitDone || !strings.Contains(out.stdout, `"changes": {}`) {
		t.Errorf("up after a rollback changes something: exit code %d: %s", out.code, out.stdout)
	}

	out := e.run(t.Context(), "rollback", "--rate", rate())
	r = e.reportOf(out)
	e.wantReleased("by hand: back to v1", r, out.code)
}

// TestGoodReleasesInARowLoseNothing releases twenty versions one after the other.
func TestGoodReleasesInARowLoseNothing(t *testing.T) {
	t.Parallel()
	if !full() {
		t.Skip("make e2e runs it: twenty releases take a quarter of an hour")
	}
	base := product(t)
	// Two versions take turns: what is released is what differs from what serves.
	versions := []string{images.Product(t, base, "v0"), images.Product(t, base, "v1")}
	e := newEnvironment(t)
	e.up(versions[0])
	const releases = 20
	for n := range releases {
		r, code := e.release(versions[(n+1)%2], "--bake", "2s")
		e.wantReleased(fmt.Sprintf("good %d", n+1), r, code)
		if t.Failed() {
			break
		}
	}
}

// TestEveryKindOfBadReleaseTakesItselfBack releases one of each.
func TestEveryKindOfBadReleaseTakesItselfBack(t *testing.T) {
	t.Parallel()
	if !full() {
		t.Skip("make e2e runs it: one of them is in the short form")
	}
	base := product(t)
	good := images.Product(t, base, "v1")
	kinds := []struct {
		fault    string
		settings []string
		reason   string
		bake     string
		load     string
		// share is the largest share of requests that may have met the fault, in percent.
		share float64
	}{
		{fault: "start", reason: "app-"},
		{fault: "unhealthy", reason: "app-"},
		{fault: "migration", reason: "migration failed"},
		{fault: "errors", reason: "error ratio (load)"},
		{fault: "errors", reason: "error ratio", load: "0s", share: 5},
		{fault: "slow", reason: "p50 (load)"},
		{fault: "slow", reason: "slow requests", load: "0s"},
		{fault: "late", settings: []string{"BOOKD_FAULT_AFTER=45s"}, reason: "error ratio", bake: "2m", share: 50},
		{fault: "leak", settings: []string{"BOOKD_FAULT_RATE=4"}, reason: "at 100 %", bake: "2m", share: 100},
	}
	faulty := map[string]string{}
	for _, bad := range kinds {
		if faulty[bad.fault] == "" {
			faulty[bad.fault] = images.Faulty(t, base, "v2", bad.fault, bad.settings...)
		}
	}
	e := newEnvironment(t)
	e.up(good)
	for _, bad := range kinds {
		args := []string{}
		if bad.bake != "" {
			args = append(args, "--bake", bad.bake)
		}
		what := "bad: " + bad.fault
		if bad.load != "" {
			args, what = append(args, "--load", bad.load), what+", not loaded before"
		}
		r, code := e.release(faulty[bad.fault], args...)
		e.wantRolledBack(what, r, code, bad.reason)
		if met := 100 * float64(r.Account.Failed+r.Account.Lost) / float64(max(r.Account.Sent, 1)); met > bad.share {
			t.Errorf("%s: %.1f %% of the requests met it, want at most %.0f %%: %+v …", what, met, bad.share, r.Account.Losses[:min(3, len(r.Account.Losses))])
		}
		if w := r.Account.Writes; w == nil || w.Missing != 0 || w.Twice != 0 {
			t.Errorf("%s: writes: %+v", what, w)
		}
		if t.Failed() {
			break
		}
	}
}
