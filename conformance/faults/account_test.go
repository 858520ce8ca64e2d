package faults

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"bookshelf/conformance/internal/engine"
)

// table is a line for each fault, printed when all tests have ended.
var table struct {
	sync.Mutex

	lines  []string // of faults
	writes []string // of what was written during them
}

func TestMain(m *testing.M) {
	code := m.Run()
	show("FAULT\tLASTED\tREADS GOOD\t503\tWRITES GOOD\t503\t409\tOTHER\tLOST\tWHY 503\tSLOWEST\tRECOVERED AFTER", table.lines)
	show("WRITES\tACKNOWLEDGED\tIN THE DATABASE\tHASH OF BOTH", table.writes)
	os.Exit(code)
}

func show(head string, lines []string) {
	if len(lines) == 0 {
		return
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, line := range append([]string{head}, lines...) {
		fmt.Fprintln(w, line)
	}
	_ = w.Flush() // standard output
}

// fault is something that breaks and is mended again.
type fault struct {
	name string
	// inject breaks it. mend takes the cause away and returns since when that works again which was broken.
	inject func()
	mend   func() time.Time
	// seen tells when clients have met it; nil: they do not, and all that they get meanwhile is good.
	seen func(counts) bool
	// down asserts that the service says of itself that it is not ready.
	down bool
}

// everybody is refused, each client twice.
func everybody(c counts) bool { return c.reads[later] >= 2*readers && c.writes[later] >= 2*writers }

// suffer lets clients meet the fault and returns the moments at which it came, was mended, and was over for them. It asserts what holds
// for every fault.
func (s *stack) suffer(l *load, f fault) (came, mended, over time.Time) {
	t := s.t
	t.Helper()
	goroutines := s.metric("go_goroutines")
	came = time.Now()
	f.inject()
	if f.seen != nil {
		l.until("clients meet it", came, f.seen)
	} else {
		l.until("clients go on", time.Now(), func(c counts) bool { return c.reads[good] >= 100 && c.writes[good] >= 100 })
	}
	if f.down {
		s.wantAliveNotReady()
	}
	peak := s.metric("go_goroutines")
	mended = f.mend()
	over = l.recovered(mended)

	c := l.since(came)
	for _, kind := range []map[string]int{c.reads, c.writes} {
		if kind[lost] != 0 || kind[wrong] != 0 || f.seen == nil && kind[later] != 0 {
			t.Errorf("%s: reads %v, writes %v %v: %s", f.name, c.reads, c.writes, c.reasons, l.example(came))
			break
		}
	}
	if status, body, _ := s.get(s.api + "/readyz"); status != 200 {
		t.Errorf("%s: /readyz afterwards: %d %s", f.name, status, body)
	}
	// Nothing piles up: neither requests and what waits for them, nor sessions of the database.
	engine.Eventually(t, f.name+": what the fault has piled up goes", func() string {
		if now := s.metric("go_goroutines"); now > 2*goroutines {
			return fmt.Sprintf("%.0f goroutines, %.0f before", now, goroutines)
		}
		if sessions := s.psql("bookshelf", "SELECT count(*) FROM pg_stat_activity WHERE usename = 'bookshelf_app_a'"); len(sessions) > 1 && sessions != fmt.Sprint(poolSize) {
			return sessions + " sessions"
		}
		return ""
	})
	reasons := make([]string, 0, len(c.reasons))
	for _, reason := range slices.Sorted(maps.Keys(c.reasons)) {
		reasons = append(reasons, fmt.Sprintf("%d %s", c.reasons[reason], reason))
	}
	line := fmt.Sprintf("%s\t%.1f s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%.1f s\t%.1f s", f.name, mended.Sub(came).Seconds(), c.reads[good], c.reads[later],
		c.writes[good], c.writes[later], c.writes[inUse], c.reads[wrong]+c.writes[wrong], c.reads[lost]+c.writes[lost],
		strings.Join(reasons, ", "), c.slowest.Seconds(), over.Sub(mended).Seconds())
	t.Logf("%s | goroutines %.0f before, %.0f at the height", strings.ReplaceAll(line, "\t", " | "), goroutines, peak)
	table.Lock()
	defer table.Unlock()
	table.lines = append(table.lines, line)
	return came, mended, over
}

// example is what was said about one of the requests that must not be.
func (l *load) example(since time.Time) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		if e.to.After(since) && (e.outcome == lost || e.outcome == wrong) {
			return e.detail
		}
	}
	return "no example"
}

// settle ends the load and asserts that every acknowledged write is in the database.
func (s *stack) settle(l *load, name string) {
	s.t.Helper()
	want, got := s.compare(l)
	if got != want {
		s.t.Errorf("%s: acknowledged were %v, in the database are %v", name, want, got)
	}
	table.Lock()
	defer table.Unlock()
	table.writes = append(table.writes, fmt.Sprintf("%s\t%s\t%s\t%s", name, want.books, got.books, got.hash))
}

// books are what there is of them.
type books struct {
	books, hash string // how many, and a hash of identifiers, titles and versions
	history     string // how many creations it has
}

// compare ends the load and returns what was acknowledged, and what is in the database, where nothing else may be.
func (s *stack) compare(l *load) (acknowledged, stored books) {
	t := s.t
	t.Helper()
	count, hash := l.end()
	if count == 0 {
		t.Fatal("nothing was acknowledged")
	}
	out := s.psql("bookshelf", `SELECT count(*), md5(string_agg(id || ' ' || title || ' ' || version, E'\n' ORDER BY id)),
		(SELECT count(*) FROM book_events WHERE action = 'create') FROM books`)
	columns := strings.Split(out, "|")
	if len(columns) != 3 {
		t.Fatalf("three columns are wanted: %s", out)
	}
	return books{fmt.Sprint(count), hash, fmt.Sprint(count)}, books{columns[0], columns[1], columns[2]}
}
