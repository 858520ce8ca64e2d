package delivery

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	takenImage  = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	servesImage = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
)

// comparison is a report of two images, named and known by ID.
func comparison(outcome, this, last, more string) string {
	return fmt.Sprintf(`{"measured_at": "2026-11-25T12:00:00Z", "outcome": %q, "this": {"image": "bookshelf:new", "id": %q}, "last": {"image": "bookshelf:old", "id": %q},
		"ratios": [{"operation": "get", "of": "throughput", "median": 1.02, "low": 0.98, "high": 1.1}, {"operation": "list", "of": "p99", "median": 0.95, "low": 0.6, "high": 1.2}]%s}`,
		outcome, this, last, more)
}

func TestAPromotionTakesOnlyWhatWasComparedWithWhatServes(t *testing.T) {
	t.Parallel()
	pinned := func(id string) string { return "registry.example/bookshelf@" + id }
	for name, test := range map[string]struct {
		report       string // "" for none
		taken, serve string
		want         string
		refused      bool
	}{
		"a comparison that has passed":     {comparison("passed", takenImage, servesImage, ""), takenImage, servesImage, "2 ratios, the least 0.95 (0.60–1.20, p99 of list)", false},
		"the same, by digest":              {comparison("passed", takenImage, servesImage, ""), pinned(takenImage), pinned(servesImage), "on 2026-11-25 12:00", false},
		"no report":                        {"", takenImage, servesImage, "make perf IMAGE=" + takenImage + " BASELINE=" + servesImage, true},
		"a report of a slower image":       {comparison("worse", takenImage, servesImage, ""), takenImage, servesImage, `says "worse"`, true},
		"a report without a verdict":       {comparison("undecided", takenImage, servesImage, ""), takenImage, servesImage, `says "undecided"`, true},
		"a report of another image":        {comparison("passed", servesImage, servesImage, ""), takenImage, servesImage, "and not of " + takenImage, true},
		"a report against another image":   {comparison("passed", takenImage, takenImage, ""), takenImage, servesImage, "and not of " + takenImage, true},
		"a report that names no image":     {comparison("passed", "", "", ""), pinned(takenImage), pinned(servesImage), "and not of", true},
		"a report of a quick look":         {comparison("passed", takenImage, servesImage, `, "quick": true`), takenImage, servesImage, "a quick look", true},
		"a report that is none":            {"## Performance: passed", takenImage, servesImage, "is no report", true},
		"a report that compared nothing":   {`{"outcome": "passed", "this": {"id": "` + takenImage + `"}, "last": {"id": "` + servesImage + `"}}`, takenImage, servesImage, "says", true},
		"the image that serves, no report": {"", servesImage, servesImage, "nothing to compare", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			if test.report != "" {
				dir := filepath.Join(root, "reports", "perf")
				if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "perf.json"), []byte(test.report), 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			said, err := Comparison{}.judge("prod", root, test.serve, test.taken)
			_, refused := errors.AsType[*UsageError](err)
			if refused != test.refused || err != nil && !refused {
				t.Fatalf("it says %q, %v", said, err)
			}
			if refused {
				said = err.Error()
			}
			if !strings.Contains(said, test.want) {
				t.Errorf("it says %q, want %q in it", said, test.want)
			}
		})
	}
}

func TestAReasonIsEnoughAndIsKept(t *testing.T) {
	t.Parallel()
	said, err := Comparison{Waived: "the fix of an outage"}.judge("prod", t.TempDir(), servesImage, takenImage)
	if err != nil || said != "not compared with what served: the fix of an outage" {
		t.Errorf("%q, %v", said, err)
	}
}

func TestAReportCanLieElsewhere(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "perf.json")
	if err := os.WriteFile(file, []byte(comparison("passed", takenImage, servesImage, "")), 0o644); err != nil {
		t.Fatal(err)
	}
	if said, err := (Comparison{File: file}).judge("prod", t.TempDir(), servesImage, takenImage); err != nil || !strings.Contains(said, "2 ratios") {
		t.Errorf("%q, %v", said, err)
	}
}
