package delivery

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Comparison is what a promotion asks for before it moves anything: that the image which is about to serve was measured beside the one
// that serves, and is not slower. Who has measured, where and how is none of its business: docs/contract.md describes the report.
type Comparison struct {
	// File is the report, "" for the one that `make perf` leaves in the repository.
	File string
	// Waived is a person's reason to do without one, which is kept with the release.
	Waived string
}

// compared are the parts of a comparison's report that are read here.
type compared struct {
	MeasuredAt time.Time    `json:"measured_at"`
	Outcome    string       `json:"outcome"`
	Quick      bool         `json:"quick"`
	This       comparedSide `json:"this"`
	Last       comparedSide `json:"last"`
	Ratios     []struct {
		Operation string  `json:"operation"`
		Of        string  `json:"of"`
		Median    float64 `json:"median"`
		Low       float64 `json:"low"`
		High      float64 `json:"high"`
	} `json:"ratios"`
}

// comparedSide is an image as it was named when it was measured, and as the engine (its ID) or the registry (its digest) knows it.
type comparedSide struct {
	Image string `json:"image"`
	ID    string `json:"id"`
}

// is reports whether it is the image that a slot runs: an ID, or NAME@sha256:…
func (c comparedSide) is(image string) bool {
	return strings.Contains(image, "sha256:") && (c.Image == image || c.ID == image || c.ID != "" && strings.HasSuffix(image, "@"+c.ID))
}

// judge says, for the release's report, how image compares with the one that serves; an error when it is not known to be good enough.
func (c Comparison) judge(name, repository, serves, image string) (string, error) {
	switch {
	case c.Waived != "":
		return "not compared with what served: " + c.Waived, nil
	case serves == image:
		return "the image served before, so there was nothing to compare", nil
	}
	file := c.File
	if file == "" {
		file = filepath.Join(repository, "reports", "perf", "perf.json")
	}
	refuse := func(format string, args ...any) (string, error) {
		return "", &UsageError{Problem: fmt.Sprintf("%s takes an image only after it was compared with the one that serves there: %s. Measure it, on a machine that may be busy "+
			"for some minutes: make perf IMAGE=%s BASELINE=%s; or say why not: --no-comparison 'REASON'", name, fmt.Sprintf(format, args...), image, serves)}
	}
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return refuse("there is no report %s", file)
	}
	if err != nil {
		return "", err
	}
	var report compared
	if err := json.Unmarshal(content, &report); err != nil {
		return refuse("%s is no report: %v", file, err)
	}
	switch {
	case !report.This.is(image) || !report.Last.is(serves):
		return refuse("the report %s is of %s against %s, and not of %s against %s", file, report.This.Image, report.Last.Image, image, serves)
	case report.Quick:
		return refuse("the report %s is of a quick look", file)
	case report.Outcome != "passed" || len(report.Ratios) == 0:
		return refuse("the report %s says %q", file, report.Outcome)
	}
	least := report.Ratios[0]
	for _, r := range report.Ratios {
		if r.Median < least.Median {
			least = r
		}
	}
	return fmt.Sprintf("compared with what served, on %s: %d ratios, the least %.2f (%.2f–%.2f, %s of %s)",
		report.MeasuredAt.UTC().Format("2006-01-02 15:04"), len(report.Ratios), least.Median, least.Low, least.High, least.Of, least.Operation), nil
}
