package delivery

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bookshelf/infra/release"
	"bookshelf/infra/release/history"
	"bookshelf/infra/stack"
)

func TestPrometheusLearnsWhenReleasesEndedLast(t *testing.T) {
	t.Parallel()
	layout := stack.Layout{State: t.TempDir()}
	s := &session{Operator: &Operator{Layout: layout}, name: "prod"}
	past := history.Store{Dir: layout.HistoryDir("prod")}
	for id, r := range map[string]struct {
		outcome release.Outcome
		ended   int64
	}{
		"20260901-100000": {release.OutcomeReleased, 1_790_000_000}, "20260902-100000": {release.OutcomeRolledBack, 1_790_086_400},
		"20260903-100000": {release.OutcomeReleased, 1_790_172_800},
	} {
		err := past.Save(release.Report{ID: id, Environment: "prod", Outcome: r.outcome, Started: time.Unix(r.ended-60, 0), Ended: time.Unix(r.ended, 0)})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.tellReleases(past); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(layout.MetricsDir("prod"), "release.prom"))
	if err != nil {
		t.Fatal(err)
	}
	const name = "delivery_release_last_timestamp_seconds"
	want := "# HELP " + name + " When a release ended last, by how it ended.\n# TYPE " + name + " gauge\n" +
		name + "{outcome=\"released\"} 1790172800\n" + name + "{outcome=\"rolled back\"} 1790086400\n"
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
