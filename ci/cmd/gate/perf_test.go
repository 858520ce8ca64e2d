package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dagger/bookshelf/plan"
)

func TestAComparisonNeedsBothImages(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		built []string // files of .tools
		want  string
	}{
		"nothing is built":              {nil, "no image was built here (run `make image`)"},
		"the last release's is missing": {[]string{"image-id"}, "no image was built here (run `make perf`)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, _ := newGate(t, nil)
			for _, file := range test.built {
				write(t, filepath.Join(g.root, ".tools", file), "sha256:aaaa\n", 0o600)
			}
			err := g.command(t.Context(), []string{"perf"})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("want %q, have %v", test.want, err)
			}
		})
	}
}

// The report of an earlier run, of other images, must not stand beside this one's verdict.
func TestBeforeThereIsAReleaseNothingIsComparedAndThatIsSaid(t *testing.T) {
	t.Parallel()
	g, out := newGate(t, nil)
	old := filepath.Join(g.reports, "perf", "perf.json")
	write(t, old, "{}\n", 0o600)
	if err := g.command(t.Context(), []string{"perf", "--image", "this:1", "--baseline", plan.NoBaseline}); err != nil {
		t.Fatal(err)
	}
	verdict, err := os.ReadFile(filepath.Join(g.reports, "perf", "verdict.md"))
	if err != nil || string(verdict) != plan.NothingToCompare || out.String() != plan.NothingToCompare {
		t.Errorf("it says %q and leaves %q, %v", out, verdict, err)
	}
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the report of the earlier run is still there (%v)", err)
	}
}
