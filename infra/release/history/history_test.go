package history

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bookshelf/infra/release"
)

// kept is a history of releases with these IDs.
func kept(t *testing.T, ids ...string) Store {
	t.Helper()
	s := Store{Dir: filepath.Join(t.TempDir(), "releases")}
	for _, id := range ids {
		if err := s.Save(release.Report{ID: id, Outcome: release.OutcomeReleased}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func ids(reports []release.Report) []string {
	var ids []string
	for _, r := range reports {
		ids = append(ids, r.ID)
	}
	return ids
}

func TestReleasesAreListedTheNewestFirst(t *testing.T) {
	t.Parallel()
	s := kept(t, "20260301-120000", "20260302-090000", "20260228-235959")
	all, err := s.All()
	if diff := cmp.Diff([]string{"20260302-090000", "20260301-120000", "20260228-235959"}, ids(all)); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestNoReleaseYetIsAnEmptyListAndNoError(t *testing.T) {
	t.Parallel()
	if all, err := kept(t).All(); err != nil || all == nil || len(all) > 0 {
		t.Errorf("have %#v, %v", all, err)
	}
}

func TestAReleaseThatWasKilledBeforeItsReportIsLeftOut(t *testing.T) {
	t.Parallel()
	s := kept(t, "1")
	if err := os.Mkdir(s.Folder("2"), 0o700); err != nil {
		t.Fatal(err)
	}
	all, err := s.All()
	if diff := cmp.Diff([]string{"1"}, ids(all)); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestAReportThatCannotBeReadIsNamed(t *testing.T) {
	t.Parallel()
	s := kept(t, "1", "2")
	path := filepath.Join(s.Folder("1"), reportJSON)
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.All(); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("want an error that names %s, have %v", path, err)
	}
}

func TestAReleaseIsFoundByItsIDAndTheLatestByNone(t *testing.T) {
	t.Parallel()
	s := kept(t, "1", "2", "3")
	for id, want := range map[string]string{"2": "2", "": "3", "4": ""} {
		r, found, err := s.Find(id)
		if err != nil || r.ID != want || found != (want != "") {
			t.Errorf("%q: have %q, %v, %v, want %q", id, r.ID, found, err, want)
		}
	}
	if _, found, err := kept(t).Find(""); found || err != nil {
		t.Errorf("without a release there is no latest: %v, %v", found, err)
	}
}

func TestAReportIsKeptAsAPageForNobodyElseToRead(t *testing.T) {
	t.Parallel()
	s := kept(t, "1")
	for _, path := range []string{s.Page("1"), filepath.Join(s.Folder("1"), reportJSON)} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 || info.Size() == 0 {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
}

func TestOnlyTheLatestDumpsAreKeptAndEveryReport(t *testing.T) {
	t.Parallel()
	s := kept(t, "1", "2", "3", "4", "5")
	for _, id := range []string{"1", "2", "3", "5"} { // release 4 ended before it had one
		if err := os.WriteFile(filepath.Join(s.Folder(id), Dump), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Prune(); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(s.Dir, "*", Dump))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{filepath.Join(s.Folder("2"), Dump), filepath.Join(s.Folder("3"), Dump), filepath.Join(s.Folder("5"), Dump)}
	if diff := cmp.Diff(want, left); diff != "" {
		t.Error(diff)
	}
	if all, err := s.All(); err != nil || len(all) != 5 {
		t.Errorf("%d reports are left (%v), want 5", len(all), err)
	}
}
