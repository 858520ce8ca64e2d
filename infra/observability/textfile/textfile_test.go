package textfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

func TestWhatIsWrittenPrometheusCanRead(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "metrics")
	samples := []Sample{
		{Name: "delivery_release_last_timestamp_seconds", Labels: map[string]string{"outcome": "rolled back"}, Value: 1_790_000_000},
		{Name: "autoscaler_replicas", Value: 3},
		{Name: "delivery_release_last_timestamp_seconds", Labels: map[string]string{"outcome": "released"}, Value: 1_790_000_100.5},
	}
	for range 2 { // the second replaces the first
		if err := Write(dir, "release", samples); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "release.prom"))
	if err != nil {
		t.Fatal(err)
	}
	want := "# HELP autoscaler_replicas Replicas that it has decided on.\n# TYPE autoscaler_replicas gauge\nautoscaler_replicas 3\n" +
		"# HELP delivery_release_last_timestamp_seconds When a release ended last, by how it ended.\n# TYPE delivery_release_last_timestamp_seconds gauge\n" +
		"delivery_release_last_timestamp_seconds{outcome=\"rolled back\"} 1790000000\ndelivery_release_last_timestamp_seconds{outcome=\"released\"} 1790000100.5\n"
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	if families, err := parser.TextToMetricFamilies(strings.NewReader(string(text))); err != nil || len(families) != 2 {
		t.Errorf("%d families, %v", len(families), err)
	}
	if info, err := os.Stat(filepath.Join(dir, "release.prom")); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", info, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("%d files are left, %v", len(entries), err)
	}
}

func TestWhatTheContractDoesNotHaveIsNotWritten(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sample Sample
		want   string
	}{
		"another metric": {Sample{Name: "delivery_made_up"}, "metrics of x: the contract has no delivery_made_up"},
		"another label":  {Sample{Name: "autoscaler_replicas", Labels: map[string]string{"slot": "blue"}}, "no label slot of autoscaler_replicas"},
		"a label less":   {Sample{Name: "delivery_release_last_timestamp_seconds"}, "want the labels [outcome]"},
	} {
		dir := t.TempDir()
		if err := Write(dir, "x", []Sample{c.sample}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
			t.Errorf("%s: %d files, %v", name, len(entries), err)
		}
	}
}
