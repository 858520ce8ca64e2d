// Package history keeps what releases leave behind: a folder for each, with its report as data and as a page, and beside them whatever
// else a release puts there.
package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/moby/sys/atomicwriter"

	"bookshelf/infra/release"
	"bookshelf/infra/release/report"
)

// The files of one release.
const (
	reportJSON = "report.json"
	reportHTML = "report.html"
	// Dump is the database as it was before the release.
	Dump = "before.dump"
)

// keptDumps is how many releases' dumps of the database are kept.
const keptDumps = 3

// Store is the history of one environment: a folder with a folder for each release, which is called by its ID. IDs are sorted by time.
type Store struct{ Dir string }

// Folder is the folder of one release. It need not be there yet.
func (s Store) Folder(id string) string { return filepath.Join(s.Dir, id) }

// Page is the path of the page of one release.
func (s Store) Page(id string) string { return filepath.Join(s.Folder(id), reportHTML) }

// Save keeps a release's report, as data and as a page.
func (s Store) Save(r release.Report) error {
	dir := s.Folder(r.ID)
	content, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err == nil {
		err = atomicwriter.WriteFile(filepath.Join(dir, reportJSON), append(content, '\n'), 0o600)
	}
	if err == nil {
		var page bytes.Buffer
		if err = report.HTML(&page, r); err == nil {
			err = atomicwriter.WriteFile(s.Page(r.ID), page.Bytes(), 0o600)
		}
	}
	if err != nil {
		return fmt.Errorf("keep the report: %w", err)
	}
	return nil
}

// All returns every report, the newest first; none where there was no release yet.
func (s Store) All() ([]release.Report, error) {
	entries, err := os.ReadDir(s.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list releases: %w", err)
	}
	reports := []release.Report{}
	for _, entry := range slices.Backward(entries) {
		path := filepath.Join(s.Folder(entry.Name()), reportJSON)
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // killed before there was one
		}
		if err != nil {
			return nil, fmt.Errorf("read report: %w", err)
		}
		var r release.Report
		if err := json.Unmarshal(content, &r); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		reports = append(reports, r)
	}
	return reports, nil
}

// Find returns the report of one release, "" meaning the latest, and false where there is none.
func (s Store) Find(id string) (release.Report, bool, error) {
	all, err := s.All()
	if err != nil {
		return release.Report{}, false, err
	}
	at := slices.IndexFunc(all, func(r release.Report) bool { return id == "" || r.ID == id })
	if at < 0 {
		return release.Report{}, false, nil
	}
	return all[at], true, nil
}

// Prune removes the dumps of older releases. Reports are small and stay.
func (s Store) Prune() error {
	dumps, err := filepath.Glob(filepath.Join(s.Dir, "*", Dump))
	if err != nil {
		return err
	}
	slices.Sort(dumps)
	var problems []error
	for _, path := range dumps[:max(0, len(dumps)-keptDumps)] {
		problems = append(problems, os.Remove(path))
	}
	return errors.Join(problems...)
}
