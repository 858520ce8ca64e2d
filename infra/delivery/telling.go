package delivery

import (
	"maps"
	"slices"
	"time"

	"bookshelf/infra/observability/textfile"
	"bookshelf/infra/release/history"
)

// tellReleases writes when releases ended last, by how they ended. All of the history is told anew: a file that was lost comes back.
func (s *session) tellReleases(past history.Store) error {
	reports, err := past.All()
	if err != nil {
		return err
	}
	last := map[string]time.Time{}
	for _, r := range reports {
		if r.Ended.After(last[string(r.Outcome)]) {
			last[string(r.Outcome)] = r.Ended
		}
	}
	var samples []textfile.Sample
	for _, outcome := range slices.Sorted(maps.Keys(last)) {
		samples = append(samples, textfile.Sample{
			Name: "delivery_release_last_timestamp_seconds", Labels: map[string]string{"outcome": outcome}, Value: float64(last[outcome].Unix()),
		})
	}
	return textfile.Write(s.Layout.MetricsDir(s.name), "release", samples)
}
