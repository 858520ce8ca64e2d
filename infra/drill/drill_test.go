package drill

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"bookshelf/infra/backup"
)

func TestTablesAreComparedOneByOne(t *testing.T) {
	t.Parallel()
	wanted := backup.Content{Tables: []backup.Table{{Name: "a", Rows: 2, Hash: "1"}, {Name: "b", Rows: 3, Hash: "2"}, {Name: "c", Rows: 1, Hash: "3"}, {Name: "d", Rows: 1, Hash: "4"}}}
	found := backup.Content{Tables: []backup.Table{{Name: "a", Rows: 2, Hash: "1"}, {Name: "b", Rows: 3, Hash: "9"}, {Name: "c", Rows: 0, Hash: "0"}, {Name: "new", Rows: 5, Hash: "5"}}}
	want := []Table{
		{Name: "a", Rows: 2, Wanted: 2, Same: true},
		{Name: "b", Rows: 3, Wanted: 3},
		{Name: "c", Rows: 0, Wanted: 1},
		{Name: "d", Rows: 0, Wanted: 1},
		{Name: "new", Rows: 5},
	}
	if diff := cmp.Diff(want, tables(wanted, found)); diff != "" {
		t.Error(diff)
	}
}

func TestSegmentsAreComparedWhateverTheirTimeline(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		reached, wanted string
		missing         bool
	}{
		{"000000020000000000000005", "000000010000000000000005", false},
		{"000000010000000000000004", "000000010000000000000005", true},
		{"000000010000000100000000", "0000000100000000000000FF", false},
		{"000000010000000000000004", "000000010000000000000005.00000028.backup", true},
		{"000000010000000000000004", "00000002.history", false},
		{"000000010000000000000004", "", false},
	} {
		if missing := position(test.reached) < position(test.wanted); missing != test.missing {
			t.Errorf("recovery ended in %s, %q was archived: missing %t", test.reached, test.wanted, missing)
		}
	}
}

// sample is a drill that went well, or one that did not.
func sample(passed bool) Report {
	at := time.Date(2026, time.March, 1, 3, 0, 0, 0, time.UTC)
	r := Report{
		ID: "20260301-030000", Environment: "prod", Passed: passed, Started: at, Ended: at.Add(95 * time.Second),
		Backup:     &backup.Backup{Label: "20260301-020000F", Type: "full", Stopped: at.Add(-time.Hour), Marker: &backup.Marker{Name: "backup-20260301-020000F", LSN: "0/5000028"}},
		AgeSeconds: 3600, RTOSeconds: 12.5, RPOSeconds: 41, Newest: &at,
		Steps:  []Step{{Name: "restore the backup", Seconds: 4, Restoring: true}, {Name: "compare the content", Seconds: 2}},
		Tables: []Table{{Name: "public.books", Rows: 1234567, Wanted: 1234567, Same: true, Newest: &at}},
	}
	if !passed {
		r.Problem, r.RTOSeconds, r.RPOSeconds = `compare the content: <b>public.books</b> holds 1 rows`, 0, 0
		r.Tables[0].Rows, r.Tables[0].Same = 1, false
	}
	return r
}

func TestThePageShowsWhatWasProven(t *testing.T) {
	t.Parallel()
	for passed, wants := range map[bool][]string{
		true:  {"prod can be restored", "12.5 s", "1,234,567", "all as they were backed up", "20260301-020000F", "1m35s"},
		false: {"prod could not be restored", "&lt;b&gt;public.books", "different"},
	} {
		var page bytes.Buffer
		if err := HTML(&page, sample(passed)); err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(page.String(), want) {
				t.Errorf("passed %t: the page does not show %q", passed, want)
			}
		}
		for _, never := range []string{"<script", "http://", "https://", "src=", "ZgotmplZ"} {
			if strings.Contains(page.String(), never) {
				t.Errorf("passed %t: the page has %q in it", passed, never)
			}
		}
	}
}

func TestAReportIsKeptAsDataAsAPageAndAsMetrics(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, passed := range []bool{true, false} {
		want := sample(passed)
		want.ID += fmt.Sprint("-", passed)
		page, err := Save(dir, want)
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(filepath.Join(filepath.Dir(page), "report.json"))
		if err != nil {
			t.Fatal(err)
		}
		var read Report
		if err := json.Unmarshal(content, &read); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, read); diff != "" {
			t.Error(diff)
		}
		metrics := map[string]float64{}
		for _, m := range read.Metrics() {
			metrics[m.Name] = m.Value
		}
		_, measured := metrics["drill_last_rto_seconds"]
		if (metrics["drill_last_outcome"] == 1) != passed || measured != passed {
			t.Errorf("passed %t: metrics %v", passed, metrics)
		}
	}
	last, err := LastSuccess(dir)
	if want := sample(true).Ended; err != nil || !last.Equal(want) {
		t.Errorf("the last success: %v, %v, want %v", last, err, want)
	}
	if last, err := LastSuccess(t.TempDir()); err != nil || !last.IsZero() {
		t.Errorf("without a drill: %v, %v", last, err)
	}
}

func TestTheMarkerOfABackupThatWasTakenJustNowIsWaitedFor(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		age    time.Duration
		fault  string
		comes  int // with which look, 0 for never
		looks  int
		marked bool
	}{
		"it is there":             {age: time.Second, comes: 1, looks: 1, marked: true},
		"it comes a moment later": {age: time.Second, comes: 4, looks: 4, marked: true},
		"it does not come":        {age: 25 * time.Second, looks: 7},
		"an old backup":           {age: time.Hour, comes: 2, looks: 1},
		"a faulty backup":         {age: time.Second, fault: "cannot be read", comes: 2, looks: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				looks, stopped := 0, time.Now().Add(-test.age)
				newest, err := settled(t.Context(), func(context.Context) ([]backup.Backup, error) {
					looks++
					b := backup.Backup{Label: "new", Stopped: stopped, Fault: test.fault}
					if looks == test.comes {
						b.Marker = &backup.Marker{}
					}
					return []backup.Backup{{Label: "old"}, b}, nil
				})
				if err != nil || newest.Label != "new" || looks != test.looks || (newest.Marker != nil) != test.marked {
					t.Errorf("after %d looks: %+v, %v", looks, newest, err)
				}
			})
		})
	}
}

func TestATerminalIsToldInAFewLines(t *testing.T) {
	t.Parallel()
	var good, bad bytes.Buffer
	if err := Text(&good, sample(true)); err != nil {
		t.Fatal(err)
	}
	if err := Text(&bad, sample(false)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(good.String(), "passed in 1m35s") || !strings.Contains(good.String(), "RTO      12.5 s") {
		t.Errorf("a good one:\n%s", &good)
	}
	if !strings.Contains(bad.String(), "failed in") || !strings.Contains(bad.String(), "holds 1 rows") || strings.Contains(bad.String(), "RTO") {
		t.Errorf("a bad one:\n%s", &bad)
	}
}
