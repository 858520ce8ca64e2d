package schedule

import (
	"testing"
	"time"
)

func TestWhatIsDue(t *testing.T) {
	t.Parallel()
	weekly := Schedule{Full: 7 * 24 * time.Hour, Diff: 24 * time.Hour}
	now := time.Date(2026, 3, 8, 12, 0, 0, 0, time.UTC)
	ago := func(kind string, hours int) Done { return Done{kind, now.Add(-time.Duration(hours) * time.Hour)} }
	for name, test := range map[string]struct {
		schedule Schedule
		done     []Done
		due      string
		next     time.Duration // from now
	}{
		"a full backup where there is none":               {weekly, nil, Full, 0},
		"a full one where all others are gone":            {weekly, []Done{ago(Differential, 1)}, Full, 0},
		"nothing after a full one":                        {weekly, []Done{ago(Full, 1)}, "", 23 * time.Hour},
		"a differential one after a day":                  {weekly, []Done{ago(Full, 24)}, Differential, 0},
		"nothing while the last of any type is young":     {weekly, []Done{ago(Full, 50), ago(Incremental, 2)}, "", 22 * time.Hour},
		"a full one after a week, whatever else there is": {weekly, []Done{ago(Full, 168), ago(Differential, 1)}, Full, 0},
		"the full one before the next differential one":   {weekly, []Done{ago(Full, 160), ago(Differential, 1)}, "", 8 * time.Hour},
		"what was missed for a month, once":               {weekly, []Done{ago(Full, 700)}, Full, 0},
		"no differential ones where they are left out":    {Schedule{Full: 48 * time.Hour}, []Done{ago(Full, 40)}, "", 8 * time.Hour},
		"a backup of the future counts as one of now":     {weekly, []Done{ago(Full, -1000)}, "", 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			due, next := test.schedule.Due(test.done, now)
			if due != test.due || next.Sub(now) != test.next {
				t.Errorf("due %q, next in %s; want %q, %s", due, next.Sub(now), test.due, test.next)
			}
		})
	}
}
