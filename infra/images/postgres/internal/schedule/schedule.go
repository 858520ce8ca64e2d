// Package schedule decides when a backup is due. It looks at the backups that there are and at the clock, and at nothing else: whatever
// was missed while nothing ran is due at once afterwards, and a restart changes nothing.
package schedule

import "time"

// Types of backups, as pgBackRest calls them.
const (
	Full         = "full"
	Differential = "diff"
	Incremental  = "incr"
)

// Schedule is how old the newest backup may become before another one is due.
type Schedule struct {
	// Full is for full backups; Diff for backups of any type, 0 to leave differential ones out.
	Full, Diff time.Duration
}

// Done is a backup that was taken.
type Done struct {
	Type string
	At   time.Time // when it began
}

// Due returns the type of backup that is due now, "" for none, and when to look again.
func (s Schedule) Due(done []Done, now time.Time) (due string, next time.Time) {
	var full, latest time.Time
	for _, backup := range done {
		at := backup.At
		if at.After(now) {
			at = now // a clock that was set back must not put off backups for as long as it was wrong
		}
		if backup.Type == Full && at.After(full) {
			full = at
		}
		if at.After(latest) {
			latest = at
		}
	}
	next = full.Add(s.Full)
	if full.IsZero() || !next.After(now) {
		return Full, now
	}
	if s.Diff == 0 {
		return "", next
	}
	another := latest.Add(s.Diff)
	if !another.After(now) {
		return Differential, now
	}
	if another.Before(next) {
		next = another
	}
	return "", next
}
