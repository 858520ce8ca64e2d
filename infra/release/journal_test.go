package release

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func record() Record {
	o := order()
	return Record{
		ID: o.ID, Environment: o.Environment, From: o.From, To: o.To, Phase: PhaseCanary, Percent: 25,
		Since: time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC), RestorePoint: "how", Profile: Profiles["fast"],
	}
}

func TestAJournalKeepsOneRecord(t *testing.T) {
	t.Parallel()
	j := FileJournal(filepath.Join(t.TempDir(), "release.json"))
	if _, found, err := j.Load(); err != nil || found {
		t.Errorf("an empty journal has a record: %t, %v", found, err)
	}
	want := record()
	for _, phase := range []Phase{PhaseCanary, PhaseCommit} {
		want.Phase = phase
		if err := j.Save(want); err != nil {
			t.Fatal(err)
		}
		have, found, err := j.Load()
		if err != nil || !found {
			t.Fatalf("found: %t, %v", found, err)
		}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Error(diff)
		}
	}
	for range 2 { // clearing what is clear is no error
		if err := j.Clear(); err != nil {
			t.Error(err)
		}
	}
	if _, found, err := j.Load(); err != nil || found {
		t.Errorf("a cleared journal has a record: %t, %v", found, err)
	}
	if left, err := os.ReadDir(filepath.Dir(string(j))); err != nil || len(left) > 0 {
		t.Errorf("files are left: %v, %v", left, err)
	}
}

func TestARecordThatIsNotUnderstoodIsNotActedOn(t *testing.T) {
	t.Parallel()
	whole := filepath.Join(t.TempDir(), "whole.json")
	if err := FileJournal(whole).Save(record()); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	for name, test := range map[string]struct{ text, want string }{
		"nothing":            {"", "EOF"},
		"half of it":         {text[:len(text)/2], "unexpected EOF"},
		"another phase":      {strings.Replace(text, `"canary"`, `"lunch"`, 1), `"lunch" is no phase`},
		"a finished one":     {strings.Replace(text, `"canary"`, `"done"`, 1), `"done" is no phase`},
		"a slot to itself":   {strings.Replace(text, `"blue"`, `"green"`, 1), "want two different ones"},
		"an unknown member":  {strings.Replace(text, `"phase"`, `"stage"`, 1), "stage"},
		"an unknown setting": {strings.Replace(text, `"bake"`, `"cake"`, 1), "cake: no such key"},
		"no profile":         {`{"id": "r1", "phase": "bake", "from": {"slot": "a"}, "to": {"slot": "b"}}`, "steps = []"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "release.json")
			if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Recover(t.Context(), nil, FileJournal(path)) // a target would be needed if anything was done
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("want the file and %q, have %v", test.want, err)
			}
		})
	}
}

func TestAJournalThatCannotBeWrittenSaysSo(t *testing.T) {
	t.Parallel()
	j := FileJournal(filepath.Join(t.TempDir(), "missing", "release.json"))
	if err := j.Save(record()); err == nil || !strings.Contains(err.Error(), "write the release's journal") {
		t.Errorf("have %v", err)
	}
}
