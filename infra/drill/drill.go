// Package drill proves that a backup can be restored: it restores the newest one beside the environment, compares what is in it with what
// was written down when it was taken, follows the write-ahead log to its end, has the service serve with it, and measures how long that took.
package drill

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"bookshelf/infra/backup"
	"bookshelf/infra/environment"
	"bookshelf/infra/runtime"
	"bookshelf/infra/scratch"
)

// Config is what a drill is about.
type Config struct {
	Scratch scratch.Config
	// ID is the drill's.
	ID string
	// MaxAge is how old the newest backup may be.
	MaxAge time.Duration
	// System is the identifier of the environment's cluster, "" where it does not run and cannot be asked.
	System string
	// LastWAL is the segment that the environment had archived last when the drill began, "" for none.
	LastWAL string
	// Slot is what serves, Paths what it must answer beside /readyz.
	Slot  environment.Slot
	Paths []string
	// Exposure measures for how long a change may be lost: from a commit until it is in the repository. It runs beside the drill; nil where
	// the environment does not run.
	Exposure func(context.Context) (time.Duration, error)
	// Progress is told of each step that begins.
	Progress func(step string)
}

// Report is everything about one drill. Its JSON form is kept with the environment, and is what `deliver drill --json` prints.
type Report struct {
	ID          string    `json:"id"`
	Environment string    `json:"environment"`
	Passed      bool      `json:"passed"`
	Problem     string    `json:"problem,omitempty"` // why not
	Started     time.Time `json:"started"`
	Ended       time.Time `json:"ended"`
	// Backup is what was restored, nil where it did not come to that.
	Backup *backup.Backup `json:"backup,omitempty"`
	// AgeSeconds is how old that was when the drill began.
	AgeSeconds float64 `json:"age_seconds,omitempty"`
	// RTOSeconds is how long it took from the decision until the service could serve with the restored database; RPOSeconds how long a change
	// that was committed when the drill began could still be lost. 0 where it was not measured.
	RTOSeconds float64 `json:"rto_seconds,omitempty"`
	RPOSeconds float64 `json:"rpo_seconds,omitempty"`
	// Newest is the time of the newest row at the end of what was archived.
	Newest *time.Time `json:"newest,omitempty"`
	Steps  []Step     `json:"steps"`
	Tables []Table    `json:"tables"`
}

// Step is one part of a drill.
type Step struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
	// Restoring says that it is part of the RTO: proofs are not.
	Restoring bool   `json:"restoring"`
	Problem   string `json:"problem,omitempty"`
}

// Table compares a table of the restored database with the one that was backed up.
type Table struct {
	Name string `json:"name"`
	// Rows are those that were found, Wanted those that were written down.
	Rows   int64 `json:"rows"`
	Wanted int64 `json:"wanted"`
	// Same says that the content is the same, by rows and hash.
	Same   bool       `json:"same"`
	Newest *time.Time `json:"newest,omitempty"`
}

// stepLimit bounds each step: a drill that hangs is one that failed.
const stepLimit = 6 * time.Hour

// run is a drill while it goes on.
type run struct {
	Config
	scratch *scratch.Scratch
	report  Report
}

// Run carries out a drill. It leaves nothing behind, and changes nothing that the environment uses; what a drill that was killed has left
// is removed first. The error is about what could not be cleared away: whether the backup is good is in the report.
func Run(ctx context.Context, platform runtime.Platform, config Config) (Report, error) {
	r := &run{
		Config: config, scratch: scratch.New(platform, config.Scratch),
		report: Report{ID: config.ID, Environment: config.Scratch.Env.Name, Started: time.Now().UTC(), Steps: []Step{}, Tables: []Table{}},
	}
	err := r.scratch.Clear(ctx, false)
	if err == nil {
		err = r.carryOut(ctx)
	}
	r.report.Ended = time.Now().UTC()
	r.report.Passed = err == nil
	if err != nil {
		r.report.Problem = err.Error()
	}
	if err := r.scratch.Clear(context.WithoutCancel(ctx), false); err != nil {
		return r.report, fmt.Errorf("clear the drill away: %w", err)
	}
	return r.report, nil
}

func (r *run) carryOut(ctx context.Context) error {
	exposed := r.measureExposure(ctx)
	var chosen backup.Backup
	for _, s := range []struct {
		name      string
		restoring bool
		do        func(context.Context) error
	}{
		{"look into the repository", true, func(ctx context.Context) (err error) {
			chosen, err = r.choose(ctx)
			return err
		}},
		{"restore the backup", true, func(ctx context.Context) error { return r.scratch.Restore(ctx, chosen.Label) }},
		{"recover to its restore point", true, func(ctx context.Context) error {
			return r.scratch.Start(ctx, scratch.Target{Point: chosen.Marker.Name, Own: true, Hold: true})
		}},
		{"compare the content", false, func(ctx context.Context) error { return r.compare(ctx, *chosen.Marker) }},
		{"recover to the end of the archive", true, func(ctx context.Context) error { return r.scratch.Start(ctx, scratch.Target{}) }},
		{"look for what was archived last", false, r.complete},
		{"give it the roles of today", true, r.scratch.Adopt},
		{"have the service serve with it", true, func(ctx context.Context) error { return r.scratch.Try(ctx, r.Slot, r.Paths) }},
	} {
		if err := r.step(ctx, s.name, s.restoring, s.do); err != nil {
			return err
		}
	}
	for _, s := range r.report.Steps {
		if s.Restoring {
			r.report.RTOSeconds += s.Seconds
		}
	}
	if r.Exposure == nil {
		return nil
	}
	return r.step(ctx, "wait until what was written is archived", false, func(ctx context.Context) error {
		select {
		case measured := <-exposed:
			r.report.RPOSeconds = measured.after.Seconds()
			return measured.err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
}

// exposure is how long a change could be lost, or why that is not known.
type exposure struct {
	after time.Duration
	err   error
}

func (r *run) measureExposure(ctx context.Context) <-chan exposure {
	measured := make(chan exposure, 1)
	if r.Exposure != nil {
		go func() {
			after, err := r.Exposure(ctx)
			measured <- exposure{after, err}
		}()
	}
	return measured
}

func (r *run) step(ctx context.Context, name string, restoring bool, do func(context.Context) error) error {
	if r.Progress != nil {
		r.Progress(name)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, stepLimit, fmt.Errorf("not done after %s", stepLimit))
	defer cancel()
	began := time.Now()
	err := do(ctx)
	s := Step{Name: name, Seconds: time.Since(began).Seconds(), Restoring: restoring}
	if err != nil {
		s.Problem = err.Error()
		err = fmt.Errorf("%s: %w", name, err)
	}
	r.report.Steps = append(r.report.Steps, s)
	return err
}

// choose takes the newest backup and says what is wrong with it already.
func (r *run) choose(ctx context.Context) (backup.Backup, error) {
	if err := r.scratch.Open(ctx); err != nil {
		return backup.Backup{}, err
	}
	newest, err := settled(ctx, r.scratch.Backups)
	if err != nil {
		return backup.Backup{}, err
	}
	r.report.Backup = &newest
	age := max(0, r.report.Started.Sub(newest.Stopped))
	r.report.AgeSeconds = age.Seconds()
	marker := newest.Marker
	switch {
	case age > r.MaxAge:
		return newest, fmt.Errorf("backup %s is stale: it is %s old, more than %s", newest.Label, age.Round(time.Second), r.MaxAge)
	case newest.Fault != "":
		return newest, fmt.Errorf("backup %s: %s", newest.Label, newest.Fault)
	case marker == nil:
		return newest, fmt.Errorf("backup %s has no marker, so there is nothing to compare it with: take another one", newest.Label)
	case r.System != "" && marker.System != r.System:
		return newest, fmt.Errorf("backup %s is of another database: its cluster is %s, that of %s is %s", newest.Label, marker.System, r.report.Environment, r.System)
	case marker.Rows() == 0:
		return newest, fmt.Errorf("backup %s is empty: it holds %d tables without a row", newest.Label, len(marker.Tables))
	}
	return newest, nil
}

// A backup gets its marker right after it was taken. One that has none and is younger than markerLate is looked at again, for so long.
const markerLate = 30 * time.Second

// settled is the newest backup, with the marker of one that was taken just now.
func settled(ctx context.Context, look func(context.Context) ([]backup.Backup, error)) (backup.Backup, error) {
	for {
		list, err := look(ctx)
		if err != nil {
			return backup.Backup{}, err
		}
		if len(list) == 0 {
			return backup.Backup{}, errors.New("the repository holds no backup")
		}
		newest := list[len(list)-1]
		if newest.Marker != nil || newest.Fault != "" || time.Since(newest.Stopped) > markerLate {
			return newest, nil
		}
		select {
		case <-ctx.Done():
			return backup.Backup{}, context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
}

// compare holds the restored content against the marker.
func (r *run) compare(ctx context.Context, marker backup.Marker) error {
	found, err := r.scratch.Content(ctx)
	if err != nil {
		return err
	}
	r.report.Tables = tables(marker.Content, found)
	var problems []string
	if found.System != marker.System {
		problems = append(problems, fmt.Sprintf("the cluster is %s, and not %s", found.System, marker.System))
	}
	for _, t := range r.report.Tables {
		if !t.Same {
			problems = append(problems, fmt.Sprintf("%s holds %d rows, not the %d that were backed up", t.Name, t.Rows, t.Wanted))
			if t.Rows == t.Wanted {
				problems[len(problems)-1] = fmt.Sprintf("%s holds other rows than those that were backed up", t.Name)
			}
		}
	}
	if len(problems) > 0 {
		return errors.New(strings.Join(problems, "; "))
	}
	return nil
}

// tables compares table by table; what is on one side alone is there too.
func tables(wanted, found backup.Content) []Table {
	list := []Table{}
	place := map[string]int{}
	for _, w := range wanted.Tables {
		place[w.Name] = len(list)
		list = append(list, Table{Name: w.Name, Wanted: w.Rows})
	}
	hashes := map[string]string{}
	for _, w := range wanted.Tables {
		hashes[w.Name] = w.Hash
	}
	for _, f := range found.Tables {
		at, known := place[f.Name]
		if !known {
			at = len(list)
			list = append(list, Table{Name: f.Name})
		}
		t := &list[at]
		t.Rows, t.Newest = f.Rows, f.Newest
		t.Same = known && f.Rows == t.Wanted && f.Hash == hashes[f.Name]
	}
	return list
}

// complete makes sure that recovery has come to what was archived last. PostgreSQL takes a segment that is missing for the end of the log.
func (r *run) complete(ctx context.Context) error {
	content, err := r.scratch.Content(ctx)
	if err != nil {
		return err
	}
	r.report.Newest = content.Newest()
	words, err := r.scratch.Query(ctx, "SELECT pg_walfile_name(pg_last_wal_replay_lsn())")
	if err != nil {
		return err
	}
	if len(words) != 1 {
		return fmt.Errorf("the database does not say how far it has come: %q", words)
	}
	if reached, wanted := position(words[0]), position(r.LastWAL); reached < wanted {
		return fmt.Errorf("a segment of the write-ahead log is missing: recovery ended in %s, and %s was archived before the drill began", words[0], r.LastWAL)
	}
	return nil
}

// position is the place of a segment in the log, whatever its timeline; "" for a file that is no segment.
func position(segment string) string {
	const timeline, whole = 8, 24
	if len(segment) < whole {
		return ""
	}
	return segment[timeline:whole]
}
