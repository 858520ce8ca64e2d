// Package alerts writes the alerts once: what is wrong, how much it matters, and which page says what to do.
package alerts

import (
	"fmt"
	"strings"
	"time"

	"bookshelf/infra/observability/generate/contract"
)

// Severity says who hears of an alert, and how.
type Severity string

// The severities, in the order of their weight.
const (
	Critical Severity = "critical" // somebody is woken: clients notice, or data is at risk
	Warning  Severity = "warning"  // somebody looks at it in working hours
	None     Severity = "none"     // the dead man's switch: it has to arrive all the time
)

// Alert is one alerting rule.
type Alert struct {
	Name     string
	Severity Severity
	Expr     string
	For      time.Duration // how long it has to hold before anybody is told
	KeepFor  time.Duration // how long it fires on after that; 0 for not at all
	// Summary is one line, Description what it means for clients. Both may use Prometheus' templates.
	Summary, Description string
	// Labels are added to the alert; inhibition goes by them.
	Labels map[string]string
}

// Group is a list of alerts about one thing. Its runbook is docs/runbooks/NAME.md, with a heading for each alert.
type Group struct {
	Name   string
	About  string // what the group is about, as a heading
	Alerts []Alert
}

// Runbook is where the repository says what to do about an alert.
func (g Group) Runbook(alert string) string {
	return fmt.Sprintf("docs/runbooks/%s.md#%s", g.Name, strings.ToLower(alert))
}

// Groups returns all alerts but those of objectives, which package objectives makes.
func Groups(set *contract.Set) []Group {
	return []Group{service(set.App), edge(), database(), backup(), platform(), delivery(), telemetry(set.Targets)}
}

const minute, hour = time.Minute, time.Hour

// service is about what any service of docs/contract.md tells, and about what this one says of its limits.
func service(app contract.Contract) Group {
	const (
		errors   = `sum(rate(http_server_requests_total{http_response_status_code=~"5.."}[5m]))`
		requests = `sum(rate(http_server_requests_total[5m]))`
	)
	g := Group{Name: "service", About: "The service", Alerts: []Alert{
		{Name: "InstanceDown", Severity: Warning, For: minute,
			Expr:        `up{job="service"} == 0`,
			Summary:     "{{ $labels.instance }} of {{ $labels.environment }} does not answer",
			Description: "The edge sends nobody there; the other replicas carry its load."},
		{Name: "NoInstanceReady", Severity: Critical, For: 30 * time.Second,
			Expr:        `sum by (environment) (edge_replica_healthy * on (slot, instance, environment) group_left () clamp_max(edge_slot_weight, 1)) == 0`,
			Summary:     "no replica of {{ $labels.environment }} is ready",
			Description: "Every request is answered with 503 by the edge."},
		{Name: "ErrorRatio", Severity: Critical, For: 2 * minute,
			Expr:        errors + " / " + requests + " > 0.05 and " + errors + " > 0.05",
			Summary:     "{{ $value | humanizePercentage }} of the requests are answered with an error of the server",
			Description: "More than one request in twenty fails."},
		{Name: "LatencyHigh", Severity: Warning, For: 10 * minute,
			Expr: `histogram_quantile(0.95, sum by (le) (rate(http_server_request_duration_seconds_bucket{http_route!~".*/(export|import)"}[5m]))) > 1 and ` +
				requests + " > 0.2",
			Summary:     "one request in twenty takes longer than {{ $value | humanizeDuration }}",
			Description: "The service answers, and slowly; exports and imports are not counted."},
	}}
	for _, s := range app.Saturation {
		g.Alerts = append(g.Alerts, Alert{Name: "Saturation", Severity: Warning, For: 5 * minute,
			Labels:      map[string]string{"resource": s.Name},
			Expr:        fmt.Sprintf("sum by (instance, environment) (%s) / sum by (instance, environment) (%s) > 0.9", s.Used, s.Limit),
			Summary:     s.Name + " of {{ $labels.instance }}: {{ $value | humanizePercentage }} in use",
			Description: "What comes next has to wait, or is refused."})
	}
	for _, r := range app.Refusals {
		var matchers []string
		for label, value := range r.Refused {
			matchers = append(matchers, fmt.Sprintf("%s=%q", label, value))
		}
		refused := fmt.Sprintf("sum(rate(%s{%s}[5m]))", r.Of, strings.Join(matchers, ","))
		g.Alerts = append(g.Alerts, Alert{Name: "Refusals", Severity: Warning, For: 10 * minute,
			Labels:      map[string]string{"resource": r.Name},
			Expr:        fmt.Sprintf("%s / sum(rate(%s[5m])) > 0.2 and %s > 0.2", refused, r.Of, refused),
			Summary:     r.Name + ": {{ $value | humanizePercentage }} of the requests are refused",
			Description: "One client asks too much, or the limit is too low for what clients need."})
	}
	return g
}

// edge is about how clients reach the service. The lifetime of certificates differs from 12 hours to a year, so what is left is
// compared with it: they are renewed when a third is left.
func edge() Group {
	return Group{Name: "edge", About: "The edge and its certificates", Alerts: []Alert{
		{Name: "EdgeDown", Severity: Critical, For: 30 * time.Second,
			Expr:        `up{job="edge"} == 0`,
			Summary:     "the edge of {{ $labels.environment }} does not answer",
			Description: "No client reaches the service."},
		{Name: "ProbeFailing", Severity: Critical, For: minute,
			Expr:        `probe_success == 0`,
			Summary:     "{{ $labels.instance }} does not answer as it should, seen from outside",
			Description: "A client that does the same gets the same."},
		{Name: "CertificateExpiring", Severity: Critical, For: 5 * minute,
			Expr:        `(edge_certificate_expiry_timestamp_seconds - time()) / (edge_certificate_lifetime_seconds > 0) < 0.2`,
			Summary:     "the certificate of {{ $labels.host }} has {{ $value | humanizePercentage }} of its lifetime left",
			Description: "It should have been renewed at a third. When it expires, clients refuse to connect."},
		{Name: "CertificateFailing", Severity: Warning, For: hour,
			Expr:        `edge_certificate_failing == 1`,
			Summary:     "no certificate could be got for {{ $labels.host }}",
			Description: "The one that is served works until it expires."},
		{Name: "EdgeStateErrors", Severity: Warning,
			Expr:        `increase(edge_state_errors[10m]) > 0`,
			Summary:     "the edge of {{ $labels.environment }} cannot keep its weights",
			Description: "After a restart it would send clients where they were sent before."},
	}}
}

// database is about PostgreSQL.
func database() Group {
	return Group{Name: "database", About: "The database", Alerts: []Alert{
		{Name: "DatabaseDown", Severity: Critical, For: 30 * time.Second,
			Expr:        `pg_up == 0`,
			Summary:     "PostgreSQL of {{ $labels.environment }} does not answer",
			Description: "No replica is ready; every request is answered with 503."},
		{Name: "DatabaseConnections", Severity: Warning, For: 5 * minute,
			Expr:        `sum by (instance, environment) (pg_stat_activity_count) / on (instance, environment) pg_settings_max_connections > 0.8`,
			Summary:     "{{ $value | humanizePercentage }} of PostgreSQL's connections are taken",
			Description: "When all are, requests fail that need a new one."},
		{Name: "ReplicationSlotInactive", Severity: Warning, For: 15 * minute,
			Expr:        `pg_replication_slots_active == 0`,
			Summary:     "nobody reads from the replication slot {{ $labels.slot_name }}",
			Description: "PostgreSQL keeps all of its log since, until the disk is full."},
		{Name: "ReplicationSlotLag", Severity: Critical, For: 5 * minute,
			Expr:        `pg_replication_slots_pg_wal_lsn_diff > 2147483648`,
			Summary:     "the replication slot {{ $labels.slot_name }} keeps {{ $value | humanize1024 }}B of log",
			Description: "The disk fills with log that nobody has read."},
		{Name: "LongTransaction", Severity: Warning, For: minute,
			Expr:        `max by (instance, environment, datname, usename) (pg_stat_activity_max_tx_duration{backend_type="client backend"}) > 900`,
			Summary:     "a transaction of {{ $labels.usename }} in {{ $labels.datname }} is {{ $value | humanizeDuration }} old",
			Description: "What it holds locked waits, and dead rows cannot be removed."},
		{Name: "DeadTuples", Severity: Warning, For: hour,
			Expr: `pg_stat_user_tables_n_dead_tup > 10000 and ` +
				`pg_stat_user_tables_n_dead_tup / (pg_stat_user_tables_n_live_tup + pg_stat_user_tables_n_dead_tup) > 0.4`,
			Summary:     "{{ $labels.relname }} has {{ $value | humanize }} dead rows",
			Description: "Autovacuum does not keep up: reads get slower and the disk fills."},
		{Name: "Deadlocks", Severity: Warning,
			Expr:        `increase(pg_stat_database_deadlocks[15m]) > 5`,
			Summary:     "{{ $value | humanize }} deadlocks in {{ $labels.datname }} within 15 minutes",
			Description: "Each is a request that failed; two statements take the same locks in different orders."},
	}}
}

// backup is about whether the data would survive the loss of its disk.
func backup() Group {
	return Group{Name: "backup", About: "Backups, archive and drills", Alerts: []Alert{
		{Name: "BackupStale", Severity: Critical, For: 10 * minute,
			Expr: `time() - max by (environment) (pgbackrest_backup_last_timestamp_seconds) > 93600 or ` +
				`max by (environment) (pgbackrest_backups) == 0 and max by (environment) (min_over_time(pgbackrest_repository_up[26h])) == 1`,
			Summary:     "{{ $labels.environment }} has had no backup for more than 26 hours",
			Description: "A restore takes longer the older the newest backup is; without the archive, what came after it is lost."},
		{Name: "BackupFailed", Severity: Warning,
			Expr:        `increase(pgbackrest_backup_failures_total[1h]) > 0`,
			Summary:     "a backup of {{ $labels.environment }} failed",
			Description: "The next one of the schedule may do; twice in a row is worth a look."},
		{Name: "BackupRepositoryDown", Severity: Critical, For: 15 * minute,
			Expr:        `pgbackrest_repository_up == 0`,
			Summary:     "the repository of backups of {{ $labels.environment }} cannot be read",
			Description: "Nothing could be restored from it."},
		{Name: "ArchiveFailing", Severity: Critical, For: 5 * minute,
			Expr:        `pgbackrest_archive_pending_age_seconds > 300`,
			Summary:     "the write-ahead log of {{ $labels.environment }} is not archived",
			Description: "What was written since {{ $value | humanizeDuration }} exists on one disk only, and that disk fills."},
		{Name: "DrillOverdue", Severity: Warning, For: hour,
			Expr:        `time() - drill_last_success_timestamp_seconds > 691200`,
			Summary:     "the last restore that worked was {{ $value | humanizeDuration }} ago",
			Description: "Whether the backups are worth anything is known by restoring one."},
		{Name: "DrillFailed", Severity: Critical,
			Expr:        `drill_last_outcome == 0`,
			Summary:     "the last drill of {{ $labels.environment }} failed",
			Description: "The backups may be worth nothing."},
	}}
}

// platform is about the machine and the containers.
func platform() Group {
	return Group{Name: "platform", About: "Host and containers", Alerts: []Alert{
		{Name: "ContainerRestarting", Severity: Warning, For: 0,
			Expr:        `increase(container_restarts_total[15m]) >= 2`,
			Summary:     "{{ $labels.container_name }} was restarted {{ $value | humanize }} times within 15 minutes",
			Description: "It ends by itself again and again."},
		{Name: "KilledForMemory", Severity: Warning, KeepFor: 10 * minute,
			Expr:        `increase(node_vmstat_oom_kill[5m]) > 0`,
			Summary:     "the kernel killed {{ $value | humanize }} processes for memory on {{ $labels.instance }}",
			Description: "A container reached its limit, or the machine its end."},
		{Name: "ContainerMemory", Severity: Warning, For: 10 * minute,
			Expr:        `container_memory_usage_total_bytes / (container_memory_usage_limit_bytes > 0) > 0.9`,
			Summary:     "{{ $labels.container_name }} uses {{ $value | humanizePercentage }} of its memory",
			Description: "At its limit it is killed."},
		{Name: "DiskFilling", Severity: Warning, For: 10 * minute,
			Expr:        `node_filesystem_avail_bytes{fstype!~"tmpfs|overlay|squashfs"} / (node_filesystem_size_bytes > 0) < 0.15`,
			Summary:     "{{ $labels.mountpoint }} of {{ $labels.instance }} has {{ $value | humanizePercentage }} left",
			Description: "PostgreSQL stops when it cannot write."},
		{Name: "DiskFull", Severity: Critical, For: minute,
			Expr:        `node_filesystem_avail_bytes{fstype!~"tmpfs|overlay|squashfs"} / (node_filesystem_size_bytes > 0) < 0.05`,
			Summary:     "{{ $labels.mountpoint }} of {{ $labels.instance }} has {{ $value | humanizePercentage }} left",
			Description: "PostgreSQL stops when it cannot write."},
		{Name: "HostMemory", Severity: Warning, For: 10 * minute,
			Expr:        `node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes < 0.1`,
			Summary:     "{{ $labels.instance }} has {{ $value | humanizePercentage }} of its memory left",
			Description: "The kernel will choose what to kill."},
	}}
}

// delivery is about what `deliver` does, or should have done.
func delivery() Group {
	return Group{Name: "delivery", About: "Releases, scaling, rotation", Alerts: []Alert{
		{Name: "ReleaseStuck", Severity: Warning, For: hour,
			Expr:        `count by (environment) (edge_slot_weight > 0) > 1`,
			Summary:     "the traffic of {{ $labels.environment }} has been split for an hour",
			Description: "A release goes on, or was left in the middle. Clients are served by two versions."},
		{Name: "AutoscalerAtBound", Severity: Warning, For: 15 * minute,
			Expr:        `autoscaler_at_max == 1 and time() - autoscaler_last_round_timestamp_seconds < 120`,
			Summary:     "the load of {{ $labels.environment }} asks for more replicas than the autoscaler may start",
			Description: "The replicas there are carry more than they should."},
		{Name: "RotationOverdue", Severity: Warning, For: hour,
			Expr:        `time() - rotation_last_success_timestamp_seconds > (rotation_max_age_seconds > 0)`,
			Summary:     "the secret {{ $labels.secret }} is {{ $value | humanizeDuration }} old",
			Description: "A secret that leaked works until it is rotated."},
	}}
}

// telemetry is about whether alerts can be believed. An environment without a job of targets.yaml that is not optional is blind there.
func telemetry(targets contract.Targets) Group {
	g := Group{Name: "telemetry", About: "Telemetry itself", Alerts: []Alert{
		{Name: "TargetDown", Severity: Warning, For: 2 * minute,
			Expr:        `up{job!~"service|edge"} == 0`,
			Summary:     "{{ $labels.job }} ({{ $labels.instance }}) cannot be scraped",
			Description: "What it would tell is not known; alerts about it cannot fire."},
		{Name: "TelemetryDropped", Severity: Warning, For: 5 * minute,
			Expr: `rate(otelcol_exporter_send_failed_log_records_total[5m]) > 0 or rate(otelcol_exporter_send_failed_spans_total[5m]) > 0 or ` +
				`otelcol_exporter_queue_size / otelcol_exporter_queue_capacity > 0.9`,
			Summary:     "the collector loses what {{ $labels.exporter }} does not take",
			Description: "Log lines or traces of this time will be missing."},
		{Name: "RulesFailing", Severity: Warning, For: 5 * minute,
			Expr:        `rate(prometheus_rule_evaluation_failures_total[5m]) > 0`,
			Summary:     "rules of {{ $labels.rule_group }} cannot be evaluated",
			Description: "Their alerts cannot fire."},
		{Name: "NotificationsFailing", Severity: Critical, For: 5 * minute,
			Expr:        `rate(alertmanager_notifications_failed_total[5m]) > 0 or rate(prometheus_notifications_dropped_total[5m]) > 0`,
			Summary:     "notifications do not reach {{ with $labels.integration }}{{ . }}{{ else }}Alertmanager{{ end }}",
			Description: "Alerts fire and nobody hears of them."},
		{Name: "Watchdog", Severity: None,
			Expr:        `vector(1)`,
			Summary:     "alerts work",
			Description: "Always fires. Whoever receives it raises the alarm when it stops coming."},
	}}
	for _, job := range targets.Jobs {
		if !job.Optional {
			g.Alerts = append(g.Alerts, Alert{Name: "TargetMissing", Severity: Warning, For: 5 * minute,
				Labels:      map[string]string{"job": job.Name},
				Expr:        fmt.Sprintf("absent(up{job=%q})", job.Name),
				Summary:     "nothing is scraped as {{ $labels.job }}",
				Description: "Not even that it is down could be told: " + job.What + "."})
		}
	}
	return g
}
