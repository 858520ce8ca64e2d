package dashboards

// releases shows how traffic moves from one version to the next, and what became of it.
func releases() Dashboard {
	return Dashboard{Name: "releases", Title: "Releases", Markers: []Marker{released}, Rows: []Row{
		{Title: "Traffic", Panels: []Panel{
			one("Weights", "Share of the traffic that each slot is given.", Percent, "edge_slot_weight", "{{slot}}"),
			one("Requests by slot", "As the edge counts them.", PerSecond, "sum by (slot) (rate(edge_slot_requests_total"+window+"))", "{{slot}}"),
			one("Answers by slot", "By class of status; none is no whole answer.", PerSecond, "sum by (slot, code) (rate(edge_slot_requests_total"+window+"))", "{{slot}} {{code}}"),
		}},
		{Title: "Versions", Panels: []Panel{
			one("Errors", "What a verdict compares: the share of answers of 500 and more.", Share,
				`(sum by (service_version) (rate(http_server_requests_total{http_response_status_code=~"5.."}`+window+`)) or 0 * sum by (service_version) (rate(http_server_requests_total`+window+`)))`+
					` / sum by (service_version) (rate(http_server_requests_total`+window+`))`, "{{service_version}}"),
			one("Duration, 95 %", "What a verdict compares.", Seconds, quantile("0.95", "service_version"), "{{service_version}}"),
			one("Replicas", "Ready ones, as the edge finds them.", Number, "sum by (slot) (edge_replica_healthy)", "{{slot}}"),
		}},
		{Title: "Changes", Panels: []Panel{
			one("Changes of the slots", "Each step of a release is one.", Number, "edge_generation", "changes"),
			one("Lease", "1 while a release holds the weights: without its word they go back.", Number, "edge_lease", "leased"),
			maybe(one("Last release", "When one ended, by how.", Seconds, "time() - delivery_release_last_timestamp_seconds", "{{outcome}}")),
		}},
		{Title: "Scaling", Panels: []Panel{
			maybe(Panel{Title: "Autoscaler", About: "Replicas that it has decided on, and that there may be.", Unit: Number, Queries: []Query{
				{"autoscaler_replicas", "decided"}, {"autoscaler_max_replicas", "most"},
			}}),
			one("Requests in flight", "On each slot.", Number, "edge_slot_in_flight", "{{slot}}"),
		}},
	}}
}

// edge shows how clients reach the service.
func edge() Dashboard {
	return Dashboard{Name: "edge", Title: "Edge", Markers: []Marker{released}, Rows: []Row{
		{Title: "Traffic", Panels: []Panel{
			one("Answers", "Per second, by class of status.", PerSecond, "sum by (code) (rate(edge_slot_requests_total"+window+"))", "{{code}}"),
			one("In flight", "Requests, by slot.", Number, "edge_slot_in_flight", "{{slot}}"),
			one("Replicas", "1 for each that is ready.", Number, "edge_replica_healthy", "{{replica}}"),
		}},
		{Title: "From outside", Panels: []Panel{
			one("Probes", "1 when the address answers as it should.", Number, "probe_success", "{{instance}}"),
			one("Duration of a probe", "", Seconds, "probe_duration_seconds", "{{instance}}"),
			one("Status", "What a probe was answered.", Number, "probe_http_status_code", "{{instance}}"),
		}},
		{Title: "Certificates", Panels: []Panel{
			maybe(one("Time left", "Until a certificate expires.", Seconds, "edge_certificate_expiry_timestamp_seconds - time()", "{{host}}")),
			maybe(one("Lifetime left", "It is renewed at a third.", Share,
				"(edge_certificate_expiry_timestamp_seconds - time()) / (edge_certificate_lifetime_seconds > 0)", "{{host}}")),
			maybe(one("Failing", "1 while none can be got.", Number, "edge_certificate_failing", "{{host}}")),
		}},
		{Title: "State", Panels: []Panel{one("Errors of the state", "How often it could not be read or kept.", Number, "edge_state_errors", "errors")}},
	}}
}

// database shows PostgreSQL.
func database() Dashboard {
	return Dashboard{Name: "database", Title: "Database", Markers: []Marker{released}, Rows: []Row{
		{Title: "Work", Panels: []Panel{
			{Title: "Transactions", About: "Per second.", Unit: PerSecond, Queries: []Query{
				{"sum(rate(pg_stat_database_xact_commit" + window + "))", "committed"}, {"sum(rate(pg_stat_database_xact_rollback" + window + "))", "rolled back"},
			}},
			one("Found in the cache", "Share of the blocks that were not read.", Share,
				"sum(rate(pg_stat_database_blks_hit"+window+")) / (sum(rate(pg_stat_database_blks_hit"+window+")) + sum(rate(pg_stat_database_blks_read"+window+")))", "share"),
			one("Deadlocks", "Since the start.", Number, "sum by (datname) (pg_stat_database_deadlocks)", "{{datname}}"),
		}},
		{Title: "Connections", Panels: []Panel{
			{Title: "Connections", About: "By what they do, and how many there may be.", Unit: Number, Queries: []Query{
				{"sum by (state) (pg_stat_activity_count)", "{{state}}"}, {"pg_settings_max_connections", "most"},
			}},
			one("Oldest transaction", "By who has it.", Seconds, "max by (usename) (pg_stat_activity_max_tx_duration)", "{{usename}}"),
			one("Locks", "By mode.", Number, "sum by (mode) (pg_locks_count)", "{{mode}}"),
		}},
		{Title: "Storage", Panels: []Panel{
			one("Size", "Of each database.", Bytes, "pg_database_size_bytes", "{{datname}}"),
			one("Write-ahead log", "What is kept of it.", Bytes, "pg_wal_size_bytes", "log"),
			maybe(one("Kept for slots", "Log that a replication slot keeps.", Bytes, "pg_replication_slots_pg_wal_lsn_diff", "{{slot_name}}")),
		}},
		{Title: "Tables", Panels: []Panel{
			one("Rows", "Live ones.", Number, "topk(10, pg_stat_user_tables_n_live_tup)", "{{relname}}"),
			one("Dead rows", "Until autovacuum removes them.", Number, "topk(10, pg_stat_user_tables_n_dead_tup)", "{{relname}}"),
			one("Server", "1 when it answers.", Number, "pg_up", "{{instance}}"),
		}},
	}}
}

// backup shows whether data would survive, and how old secrets are.
func backup() Dashboard {
	return Dashboard{Name: "backup", Title: "Backup and rotation", Rows: []Row{
		{Title: "Backups", Panels: []Panel{
			maybe(one("Age of the newest", "Of each type.", Seconds, "time() - pgbackrest_backup_last_timestamp_seconds", "{{type}}")),
			maybe(one("In the repository", "", Number, "pgbackrest_backups", "backups")),
			maybe(one("Size of the repository", "", Bytes, "pgbackrest_repository_size_bytes", "bytes")),
		}},
		{Title: "Archive", Panels: []Panel{
			maybe(one("Waiting", "How long the first segment that is not archived has waited.", Seconds, "pgbackrest_archive_pending_age_seconds", "waiting")),
			maybe(one("Since the last segment", "", Seconds, "time() - pgbackrest_archive_last_timestamp_seconds", "since")),
			maybe(Panel{Title: "Failures", About: "Since the start.", Unit: Number, Queries: []Query{
				{"pgbackrest_backup_failures_total", "backups"}, {"pgbackrest_archive_failures_total", "segments"},
			}}),
		}},
		{Title: "Drills and rotation", Panels: []Panel{
			maybe(one("Since the last drill that worked", "", Seconds, "time() - drill_last_success_timestamp_seconds", "since")),
			maybe(one("Last drill", "1 when it worked.", Number, "drill_last_outcome", "outcome")),
			maybe(one("Age of secrets", "How long ago each was made or rotated.", Seconds, "time() - rotation_last_success_timestamp_seconds", "{{secret}}")),
		}},
	}}
}

// host shows the machine, the containers, and the telemetry itself.
func host() Dashboard {
	return Dashboard{Name: "host", Title: "Host and containers", Rows: []Row{
		{Title: "Containers", Panels: []Panel{
			one("CPU", "Of all CPUs together.", Percent, "container_cpu_utilization_ratio", "{{container_name}}"),
			one("Memory", "Without the cache.", Bytes, "container_memory_usage_total_bytes", "{{container_name}}"),
			one("Memory of its limit", "At 1 it is killed.", Share, "container_memory_usage_total_bytes / (container_memory_usage_limit_bytes > 0)", "{{container_name}}"),
			one("Restarts", "By the engine.", Number, "container_restarts_total", "{{container_name}}"),
			one("Uptime", "", Seconds, "container_uptime_seconds", "{{container_name}}"),
			{Title: "Network", About: "Bytes per second.", Unit: Bytes, Queries: []Query{
				{"sum by (container_name) (rate(container_network_io_usage_rx_bytes_total" + window + "))", "{{container_name}} in"},
				{"sum by (container_name) (rate(container_network_io_usage_tx_bytes_total" + window + "))", "{{container_name}} out"},
			}},
		}},
		{Title: "Host", Panels: []Panel{
			one("CPU", "By mode, of all CPUs.", Share, `sum by (mode) (rate(node_cpu_seconds_total{mode!="idle"}`+window+`))`, "{{mode}}"),
			one("Load", "", Number, "node_load1", "{{instance}}"),
			one("Memory left", "", Share, "node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes", "{{instance}}"),
			one("Disk left", "", Share, `node_filesystem_avail_bytes{fstype!~"tmpfs|overlay|squashfs"} / (node_filesystem_size_bytes > 0)`, "{{mountpoint}}"),
			one("Killed for memory", "Since the start.", Number, "node_vmstat_oom_kill", "{{instance}}"),
			{Title: "Network", About: "Bytes per second.", Unit: Bytes, Queries: []Query{
				{"sum by (device) (rate(node_network_receive_bytes_total" + window + "))", "{{device}} in"},
				{"sum by (device) (rate(node_network_transmit_bytes_total" + window + "))", "{{device}} out"},
			}},
		}},
		{Title: "Telemetry", Panels: []Panel{
			one("Targets", "1 for each that answers.", Number, "up", "{{job}} {{instance}}"),
			one("Series", "In Prometheus' memory.", Number, "prometheus_tsdb_head_series", "series"),
			one("Collector's queue", "Share that is in use.", Share, "otelcol_exporter_queue_size / otelcol_exporter_queue_capacity", "{{exporter}}"),
		}},
	}}
}
