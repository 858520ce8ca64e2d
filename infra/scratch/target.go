package scratch

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"bookshelf/infra/backup"
)

// Target is where recovery ends. The zero value is the end of what was archived.
type Target struct {
	// Point is a restore point, Time a moment; one of them at most. Immediate is as soon as the backup is consistent.
	Point     string
	Time      time.Time
	Immediate bool
	// Own stays on the timeline that the backup was taken on, also where a restore has since begun another one before that.
	Own bool
	// Hold keeps the database at the target, read-only, instead of going on from there.
	Hold bool
}

// settings are PostgreSQL's, on its command line: they go before those that the backup tool has written to the restored cluster.
func (t Target) settings() []string {
	var settings []string
	set := func(key, value string) { settings = append(settings, "-c", key+"="+value) }
	if t.Own {
		set("recovery_target_timeline", "current")
	}
	switch {
	case t.Point != "":
		set("recovery_target_name", t.Point)
	case !t.Time.IsZero():
		set("recovery_target_time", t.Time.UTC().Format("2006-01-02 15:04:05.999999+00"))
	case t.Immediate:
		set("recovery_target", "immediate")
	default:
		return settings
	}
	action := "promote"
	if t.Hold {
		action = "pause"
	}
	set("recovery_target_action", action)
	return settings
}

// reached is a query that tells whether recovery has ended, or is held.
func (t Target) reached() string {
	if t.Hold {
		return "SELECT pg_get_wal_replay_pause_state() = 'paused'"
	}
	return "SELECT NOT pg_is_in_recovery()"
}

// pointPrefix begins the names of the restore points of releases, which are followed by the time at which the release began.
const pointPrefix, pointTime = "release-", "20060102-150405"

// Find reads what a person wants to return to: LATEST, a time (RFC 3339), the label of a backup, or the restore point of a release. It
// returns the backup to begin with and where to go from there.
func Find(to string, backups []backup.Backup) (backup.Backup, Target, error) {
	if len(backups) == 0 {
		return backup.Backup{}, Target{}, fmt.Errorf("the repository holds no backup")
	}
	newest := backups[len(backups)-1]
	if strings.EqualFold(to, "latest") {
		return newest, Target{}, nil
	}
	for _, b := range backups {
		switch {
		case b.Label == to && b.Marker != nil:
			return b, Target{Point: b.Marker.Name, Own: true}, nil
		case b.Label == to:
			return b, Target{Immediate: true, Own: true}, nil
		}
	}
	at, err := time.Parse(time.RFC3339Nano, to)
	target := Target{Time: at}
	if moment, named := strings.CutPrefix(to, pointPrefix); err != nil && named {
		at, err = time.Parse(pointTime, moment)
		target = Target{Point: to}
	}
	if err != nil {
		return backup.Backup{}, Target{}, fmt.Errorf("%q is neither LATEST, a time such as %s, the label of a backup, nor the restore point of a release", to, newest.Stopped.Format(time.RFC3339))
	}
	if at.After(time.Now()) {
		return backup.Backup{}, Target{}, fmt.Errorf("%s has not come yet", to)
	}
	for _, b := range slices.Backward(backups) {
		if !b.Stopped.After(at) {
			return b, target, nil
		}
	}
	return backup.Backup{}, Target{}, fmt.Errorf("the oldest backup, %s, ended at %s, after %s", backups[0].Label, backups[0].Stopped.Format(time.RFC3339), to)
}
