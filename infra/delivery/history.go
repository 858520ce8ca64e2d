package delivery

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

// The files of one release in the history.
const (
	reportJSON = "report.json"
	reportHTML = "report.html"
)

// historyDir is the folder of one release.
func (o *Operator) historyDir(name, id string) string {
	return filepath.Join(o.Layout.HistoryDir(name), id)
}

// saveReport keeps a release's report, as data and as a page.
func (o *Operator) saveReport(name string, r release.Report) error {
	dir := o.historyDir(name, r.ID)
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
			err = atomicwriter.WriteFile(filepath.Join(dir, reportHTML), page.Bytes(), 0o600)
		}
	}
	if err != nil {
		return fmt.Errorf("keep the report: %w", err)
	}
	return nil
}

// History lists the releases of an environment, the newest first.
func (o *Operator) History(name string) ([]release.Report, error) {
	if _, err := o.settings(name); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(o.Layout.HistoryDir(name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list releases: %w", err)
	}
	reports := []release.Report{}
	for _, entry := range slices.Backward(entries) {
		path := filepath.Join(o.historyDir(name, entry.Name()), reportJSON)
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

// ReportPage returns the path of the page of one release, "" meaning the latest, and its report.
func (o *Operator) ReportPage(name, id string) (string, release.Report, error) {
	history, err := o.History(name)
	if err != nil {
		return "", release.Report{}, err
	}
	for _, r := range history {
		if id == "" || r.ID == id {
			return filepath.Join(o.historyDir(name, r.ID), reportHTML), r, nil
		}
	}
	if id == "" {
		return "", release.Report{}, &UsageError{Problem: name + " has had no release yet"}
	}
	return "", release.Report{}, &UsageError{Problem: fmt.Sprintf("%s has had no release %q (see `deliver history -e %s`)", name, id, name)}
}

// keptDumps is how many releases' dumps of the database are kept.
const keptDumps = 3

// prune removes the dumps of older releases. Reports are small and stay.
func (o *Operator) prune(name string) error {
	dumps, err := filepath.Glob(filepath.Join(o.Layout.HistoryDir(name), "*", "before.dump"))
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
