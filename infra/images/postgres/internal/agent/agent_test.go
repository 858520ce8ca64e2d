package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bookshelf/postgres/internal/pgbackrest"
)

// handed is a folder with a socket at which somebody takes what is handed over.
func handed(t *testing.T, carry func(context.Context, string) error) string {
	t.Helper()
	sockets, err := os.MkdirTemp("", "a") //nolint:usetesting // a socket's path is short, and that of a test's folder is long
	if err != nil {
		t.Fatal(err)
	}
	listener, err := listen(sockets)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	r := receiver{carry: carry}
	go func() { done <- r.serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		os.RemoveAll(sockets)
	})
	return sockets
}

func TestASegmentIsArchivedOnlyWhenItWasCarriedOver(t *testing.T) {
	t.Parallel()
	var carried []string
	sockets := handed(t, func(_ context.Context, name string) error {
		carried = append(carried, name)
		if strings.HasSuffix(name, "2") {
			return errors.New("no space\nleft")
		}
		return nil
	})
	if err := push(t.Context(), sockets, "pg_wal/000000010000000000000001"); err != nil {
		t.Error(err)
	}
	if err := push(t.Context(), sockets, "pg_wal/000000010000000000000002"); err == nil || err.Error() != "no space; left" {
		t.Errorf("a failure: %v", err)
	}
	if len(carried) != 2 {
		t.Errorf("carried over: %q", carried)
	}
}

func TestOnlyFilesOfTheWriteAheadLogAreTaken(t *testing.T) {
	t.Parallel()
	sockets := handed(t, func(_ context.Context, name string) error { return nil })
	for name, taken := range map[string]bool{
		"000000010000000000000001": true, "000000010000000000000003.00000028.backup": true, "00000002.history": true, "000000010000000000000004.partial": true,
		"postgresql.conf": false, "..": false, "00000001000000000000000": false, "--repo1-path": false,
	} {
		if err := push(t.Context(), sockets, "/x/"+name); (err == nil) != taken {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWithoutAnAgentASegmentStaysWhereItIs(t *testing.T) {
	t.Parallel()
	sockets := t.TempDir()
	if err := os.WriteFile(handover(sockets), nil, 0o600); err != nil { // what a killed one has left
		t.Fatal(err)
	}
	if err := push(t.Context(), sockets, "000000010000000000000001"); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("error %v", err)
	}
}

func TestArchivingIsJudgedByWhatWaits(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	at := func(ago time.Duration) *time.Time { return new(now.Add(-ago)) }
	for name, test := range map[string]struct {
		archive Archive
		mode    string
		problem string
	}{
		"nothing waits":                        {Archive{}, "on", ""},
		"one waits, since a moment":            {Archive{Pending: 1, OldestPending: at(time.Minute)}, "on", ""},
		"one waits for long":                   {Archive{Pending: 3, OldestPending: at(10 * time.Minute), FailedAt: at(time.Minute)}, "on", "3 segments wait, the first since 2026-03-01T11:50:00Z; the last attempt failed at 2026-03-01T11:59:00Z"},
		"an attempt failed, and nothing waits": {Archive{FailedAt: at(time.Hour), LastAt: at(2 * time.Hour)}, "on", ""},
		"it is off":                            {Archive{}, "off", "archive_mode is off"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := test.archive
			a.judge(test.mode, now)
			if a.Working != (test.problem == "") || a.Problem != test.problem {
				t.Errorf("working %t: %q, want %q", a.Working, a.Problem, test.problem)
			}
		})
	}
}

func TestWhatWaitsIsCounted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	for i, name := range []string{"a.ready", "b.ready", "c.done"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, old, old.Add(time.Duration(i)*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	count, oldest, err := pending(dir)
	if err != nil || count != 2 || !oldest.Equal(old) {
		t.Errorf("%d wait, since %v, %v", count, oldest, err)
	}
	if _, _, err := pending(filepath.Join(dir, "gone")); err == nil {
		t.Error("a folder that is not there counts as nothing that waits")
	}
}

func TestABackupIsShownWithWhatWasWrittenToIt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		annotations     map[string]string
		faulty          bool
		verified, fault bool
		rows            int64
	}{
		"new":                  {nil, false, false, false, -1},
		"verified and marked":  {map[string]string{annotationVerified: "2026-03-01T12:00:00Z", annotationMarker: `{"name": "m", "tables": [{"name": "a", "rows": 3}]}`}, false, true, false, 3},
		"found damaged":        {map[string]string{annotationVerified: "failed: checksum invalid"}, false, false, true, -1},
		"with a broken marker": {map[string]string{annotationMarker: `{"name"`}, false, false, true, -1},
		"of a damaged cluster": {nil, true, false, true, -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := shown(pgbackrest.Backup{Label: "x", Annotations: test.annotations, Faulty: test.faulty})
			if (b.Verified != nil) != test.verified || (b.Fault != "") != test.fault || (b.Marker != nil) != (test.rows >= 0) || b.Marker != nil && b.Marker.Tables[0].Rows != test.rows {
				t.Errorf("shown as %+v", b)
			}
		})
	}
}

func TestMetricsSayWhatIsKnownAndNothingElse(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	s := seen{bytes: 1000, taken: 2, failed: 1, backups: []Backup{
		{Type: "full", Stopped: now.Add(-time.Hour), RepositoryBytes: 900}, {Type: "diff", Stopped: now.Add(-time.Minute), Verified: &now},
	}}
	var known, unknown bytes.Buffer
	writeMetrics(&known, s, Archive{Working: true, Archived: 7, Failed: 2, LastAt: &now}, true, now)
	writeMetrics(&unknown, seen{problem: "gone"}, Archive{}, false, now)
	for _, want := range []string{
		"\npgbackrest_repository_size_bytes 1000\n", "\npgbackrest_backup_last_age_seconds 60\n", "\npgbackrest_backup_last_verified 1\n",
		"\npgbackrest_backup_last_type_age_seconds{type=\"full\"} 3600\n", "\npgbackrest_archive_failures_total 2\n", "\npgbackrest_archive_working 1\n",
		"# TYPE pgbackrest_archive_failures_total counter\n", fmt.Sprintf("\npgbackrest_archive_last_timestamp_seconds %d\n", now.Unix()),
	} {
		if !strings.Contains(known.String(), want) {
			t.Errorf("metrics lack %q:\n%s", want, &known)
		}
	}
	for _, never := range []string{"_archive_", "size_bytes", "_age_seconds"} {
		if strings.Contains(unknown.String(), never) {
			t.Errorf("of what is not known there is %q:\n%s", never, &unknown)
		}
	}
}

func TestSettingsAreCheckedTogether(t *testing.T) {
	t.Parallel()
	values := map[string]string{"PGBACKREST_STANZA": "dev", "PGDATABASE": "books", "PGUSER": "backup", "PGDATA": "/data"}
	lookup := func(name string) (string, bool) { value, ok := values[name]; return value, ok }
	s, err := load(lookup)
	if err != nil || s.Schedule.Full != 168*time.Hour || s.Schedule.Diff != 24*time.Hour || s.Sockets != "/var/run/postgresql" {
		t.Errorf("%+v, %v", s, err)
	}
	values["BACKUP_FULL"], values["PGDATA"] = "often", ""
	if _, err = load(lookup); err == nil || !strings.Contains(err.Error(), "BACKUP_FULL") || !strings.Contains(err.Error(), "PGDATA") || ExitCode(err) != 2 {
		t.Errorf("error %v", err)
	}
}

func TestAMistypedCommandDoesNothing(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"bakup"}, {"backup"}, {"backup", "big"}, {"push"}, {"serve", "now"}} {
		if err := Run(t.Context(), args, func(string) (string, bool) { return "", false }, nil); ExitCode(err) != 2 || !strings.Contains(err.Error(), "is no command") {
			t.Errorf("%q: %v", args, err)
		}
	}
}
