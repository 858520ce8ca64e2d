package scratch

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bookshelf/infra/backup"
)

// two backups, of two days.
func backups() []backup.Backup {
	at := func(day int) time.Time { return time.Date(2026, time.March, day, 2, 0, 0, 0, time.UTC) }
	return []backup.Backup{
		{Label: "first", Stopped: at(1), Marker: &backup.Marker{Name: "backup-first"}},
		{Label: "second", Stopped: at(2)},
	}
}

func TestWhatAPersonWantsToReturnTo(t *testing.T) {
	t.Parallel()
	for to, want := range map[string]struct {
		label  string
		target Target
	}{
		"LATEST":                    {"second", Target{}},
		"latest":                    {"second", Target{}},
		"first":                     {"first", Target{Point: "backup-first", Own: true}},
		"second":                    {"second", Target{Immediate: true, Own: true}},
		"2026-03-01T02:00:00Z":      {"first", Target{Time: time.Date(2026, time.March, 1, 2, 0, 0, 0, time.UTC)}},
		"2026-03-02T01:59:59.999Z":  {"first", Target{Time: time.Date(2026, time.March, 2, 1, 59, 59, 999_000_000, time.UTC)}},
		"2026-03-02T04:30:00+02:00": {"second", Target{Time: time.Date(2026, time.March, 2, 2, 30, 0, 0, time.UTC)}},
		"release-20260301-120000":   {"first", Target{Point: "release-20260301-120000"}},
		"release-20260302-020000":   {"second", Target{Point: "release-20260302-020000"}},
	} {
		b, target, err := Find(to, backups())
		if err != nil || b.Label != want.label || !target.Time.Equal(want.target.Time) {
			t.Errorf("%s: %s, %+v, %v", to, b.Label, target, err)
			continue
		}
		target.Time = want.target.Time // the same moment, perhaps in another zone
		if diff := cmp.Diff(want.target, target); diff != "" {
			t.Errorf("%s: %s", to, diff)
		}
	}
}

func TestWhatCannotBeReturnedToIsSaid(t *testing.T) {
	t.Parallel()
	for to, want := range map[string]string{
		"yesterday":               "neither LATEST, a time such as 2026-03-02T02:00:00Z",
		"release-now":             "neither LATEST",
		"2026-02-01T00:00:00Z":    "the oldest backup, first, ended at 2026-03-01T02:00:00Z",
		"release-20260101-000000": "the oldest backup",
		"2999-01-01T00:00:00Z":    "has not come yet",
	} {
		if _, _, err := Find(to, backups()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", to, err, want)
		}
	}
	if _, _, err := Find("LATEST", nil); err == nil || !strings.Contains(err.Error(), "no backup") {
		t.Errorf("an empty repository: %v", err)
	}
}

func TestATargetIsWhatPostgreSQLIsTold(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		target Target
		want   string
	}{
		"the end of the archive":      {Target{}, ""},
		"a restore point":             {Target{Point: "p"}, "-c recovery_target_name=p -c recovery_target_action=promote"},
		"a point to be looked at":     {Target{Point: "p", Own: true, Hold: true}, "-c recovery_target_timeline=current -c recovery_target_name=p -c recovery_target_action=pause"},
		"a moment, in UTC":            {Target{Time: time.Date(2026, time.March, 1, 2, 0, 0, 5000, time.FixedZone("", 3600))}, "-c recovery_target_time=2026-03-01 01:00:00.000005+00 -c recovery_target_action=promote"},
		"as soon as it is consistent": {Target{Immediate: true}, "-c recovery_target=immediate -c recovery_target_action=promote"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := strings.Join(test.target.settings(), " "); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestTheReasonIsWhatPostgreSQLCallsFatal(t *testing.T) {
	t.Parallel()
	log := "db | 2026-03-01 LOG:  starting\ndb | 2026-03-01 FATAL:  recovery ended before configured recovery target was reached\ndb | LOG:  shut down\n"
	if got := reason(log); got != "recovery ended before configured recovery target was reached" {
		t.Errorf("the reason is %q", got)
	}
	if got := reason("something\n else "); got != "something else" {
		t.Errorf("without one it is %q", got)
	}
}
