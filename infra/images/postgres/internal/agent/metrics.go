package agent

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// handler answers for metrics (Prometheus text format, version 0.0.4) and for the health check.
func (a *agent) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		now := time.Now()
		archive, err := a.settings.archive(r.Context(), now)
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		writeMetrics(w, a.noted(), archive, err == nil, now)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	return mux
}

// writeMetrics writes what is known. What is not known is left out: 0 would be a claim.
func writeMetrics(w io.Writer, s seen, archive Archive, asked bool, now time.Time) {
	metric := func(name, kind, help string, values ...string) {
		if len(values) == 0 {
			return
		}
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
		for _, value := range values {
			fmt.Fprintf(w, "%s%s\n", name, value)
		}
	}
	one := func(value any) string { return fmt.Sprintf(" %v", value) }
	truth := func(b bool) string {
		if b {
			return " 1"
		}
		return " 0"
	}
	metric("pgbackrest_repository_up", "gauge", "Whether the repository could be read when it was looked at last.", truth(s.problem == ""))
	if s.problem == "" {
		metric("pgbackrest_repository_size_bytes", "gauge", "Bytes that the repository takes.", one(s.bytes))
	}
	metric("pgbackrest_backups", "gauge", "Backups in the repository.", one(len(s.backups)))
	var ages, stamps, sizes []string
	for _, kind := range []string{"full", "diff", "incr"} {
		for _, b := range slices.Backward(s.backups) {
			if b.Type == kind {
				label := fmt.Sprintf("{type=%q} ", kind)
				ages = append(ages, label+fmt.Sprintf("%.0f", max(0, now.Sub(b.Stopped).Seconds())))
				stamps = append(stamps, label+fmt.Sprint(b.Stopped.Unix()))
				sizes = append(sizes, label+fmt.Sprint(b.RepositoryBytes))
				break
			}
		}
	}
	metric("pgbackrest_backup_last_type_age_seconds", "gauge", "Age of the newest backup of each type.", ages...)
	metric("pgbackrest_backup_last_timestamp_seconds", "gauge", "When the newest backup of each type ended.", stamps...)
	metric("pgbackrest_backup_last_size_bytes", "gauge", "Bytes that the newest backup of each type added to the repository.", sizes...)
	if n := len(s.backups); n > 0 {
		newest := s.backups[n-1]
		metric("pgbackrest_backup_last_age_seconds", "gauge", "Age of the newest backup.", one(fmt.Sprintf("%.0f", max(0, now.Sub(newest.Stopped).Seconds()))))
		metric("pgbackrest_backup_last_verified", "gauge", "Whether the newest backup was read again and found whole.", truth(newest.Verified != nil))
	}
	metric("pgbackrest_backup_running", "gauge", "Whether the schedule takes a backup now.", truth(s.running))
	metric("pgbackrest_backups_taken_total", "counter", "Backups that the schedule has taken.", one(s.taken))
	metric("pgbackrest_backup_failures_total", "counter", "Backups of the schedule that failed.", one(s.failed))
	if !asked {
		return
	}
	metric("pgbackrest_archive_working", "gauge", "Whether what was written lately is in the repository.", truth(archive.Working))
	metric("pgbackrest_archive_segments_total", "counter", "Segments of the write-ahead log that were archived.", one(archive.Archived))
	metric("pgbackrest_archive_failures_total", "counter", "Attempts to archive a segment that failed.", one(archive.Failed))
	metric("pgbackrest_archive_pending_segments", "gauge", "Segments that wait to be archived.", one(archive.Pending))
	waiting := 0.0
	if archive.OldestPending != nil {
		waiting = max(0, now.Sub(*archive.OldestPending).Seconds())
	}
	metric("pgbackrest_archive_pending_age_seconds", "gauge", "How long the first of the segments that wait has waited.", one(fmt.Sprintf("%.0f", waiting)))
	if archive.LastAt != nil {
		metric("pgbackrest_archive_last_timestamp_seconds", "gauge", "When a segment was archived last.", one(archive.LastAt.Unix()))
	}
}
