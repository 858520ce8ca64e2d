package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"bookshelf/infra/observability/generate/alerts"
	"bookshelf/infra/observability/generate/contract"
)

// The scenarios have a sample a minute for two hours. A fault lasts from minute 10 to minute 90, unless it is told otherwise.
const (
	step     = time.Minute
	length   = 118 * time.Minute
	faultAt  = 10 * time.Minute
	mendedAt = 90 * time.Minute
)

// flat is a value that stays; fault is one that another takes the place of from minute 10 to minute 90.
func flat(value string) string { return value + "x119" }

func fault(good, bad string) string { return good + "x9 " + bad + "x79 " + good + "x29" }

// rises is a counter that grows so much each minute; rush one that does so during the fault only.
func rises(perMinute string) string { return "0+" + perMinute + "x119" }

func rush(perMinute, after string) string {
	return "0x9 0+" + perMinute + "x79 " + after + "x29"
}

const service = `,job="service",environment="prod"`

// requests is the series of the requests of a slot's version with a status.
func requests(slot, status string) string {
	return `http_server_requests_total{http_route="/api/v1/books",http_request_method="GET",http_response_status_code="` + status +
		`",service_version="` + slot + `",instance="` + slot + `-1:9090"` + service + `}`
}

func bucket(le string) string {
	return `http_server_request_duration_seconds_bucket{http_route="/api/v1/books",http_request_method="GET",http_response_status_code="200",` +
		`service_version="blue",le="` + le + `",instance="blue-1:9090"` + service + `}`
}

// prod is an environment in which all is well.
func prod() world {
	w := world{
		requests("blue", "200"): rises("600"), requests("blue", "404"): rises("30"),
		bucket("0.25"): rises("600"), bucket("1"): rises("600"), bucket("2.5"): rises("600"), bucket("+Inf"): rises("600"),
		`edge_slot_weight{slot="blue",job="edge",instance="edge:9180",environment="prod"}`:                                       flat("100"),
		`edge_slot_weight{slot="green",job="edge",instance="edge:9180",environment="prod"}`:                                      flat("0"),
		`edge_state_errors{job="edge",instance="edge:9180",environment="prod"}`:                                                  flat("0"),
		`edge_certificate_expiry_timestamp_seconds{host="books.example.org",job="edge",instance="edge:9180",environment="prod"}`: flat("3000000"),
		`edge_certificate_lifetime_seconds{host="books.example.org",job="edge",instance="edge:9180",environment="prod"}`:         flat("7776000"),
		`edge_certificate_failing{host="books.example.org",job="edge",instance="edge:9180",environment="prod"}`:                  flat("0"),
		`probe_success{job="probe",instance="https://books.example.org/livez",environment="prod"}`:                               flat("1"),
		`autoscaler_at_max{job="host",instance="host",environment="prod"}`:                                                       flat("0"),
		`autoscaler_last_round_timestamp_seconds{job="host",instance="host",environment="prod"}`:                                 rises("60"),
		`rotation_last_success_timestamp_seconds{secret="database-app",job="host",instance="host",environment="prod"}`:           flat("0"),
		`rotation_max_age_seconds{secret="database-app",job="host",instance="host",environment="prod"}`:                          flat("7776000"),
		`drill_last_success_timestamp_seconds{job="host",instance="host",environment="prod"}`:                                    flat("0"),
		`drill_last_outcome{job="host",instance="host",environment="prod"}`:                                                      flat("1"),
		`node_vmstat_oom_kill{job="host",instance="host",environment="prod"}`:                                                    flat("3"),
		`node_memory_MemAvailable_bytes{job="host",instance="host",environment="prod"}`:                                          flat("4000"),
		`node_memory_MemTotal_bytes{job="host",instance="host",environment="prod"}`:                                              flat("8000"),
		`container_restarts_total{container_name="app-blue-1",job="containers",instance="collector",environment="prod"}`:         flat("0"),
	}
	for series, value := range map[string]string{
		"bookd_db_pool_used_connections": "3", "bookd_db_pool_max_connections": "10", "http_server_active_requests": "8",
		"bookd_active_requests_limit": "1024", "bookd_connections": "20", "bookd_connections_limit": "4096",
	} {
		w[series+`{instance="blue-1:9090"`+service+`}`] = flat(value)
	}
	for _, outcome := range []string{"allowed", "refused"} {
		w[limited(outcome)] = map[string]string{"allowed": rises("600"), "refused": rises("1")}[outcome]
	}
	for _, n := range []string{"1", "2"} {
		w[healthy(n)] = flat("1")
		w[`up{instance="blue-`+n+`:9090"`+service+`}`] = flat("1")
	}
	for _, job := range []string{"edge", "database", "backup", "host", "containers", "probe", "collector", "prometheus", "alertmanager"} {
		w[up(job)] = flat("1")
	}
	for series, value := range map[string]string{
		"pg_up": "1", `pg_stat_activity_count{state="idle",datname="bookshelf"}`: "20", "pg_settings_max_connections": "100",
		`pg_replication_slots_active{slot_name="archive"}`: "1", `pg_replication_slots_pg_wal_lsn_diff{slot_name="archive"}`: "1000",
		`pg_stat_activity_max_tx_duration{backend_type="client backend",datname="bookshelf",usename="app"}`: "1",
		`pg_stat_user_tables_n_dead_tup{relname="books"}`:                                                   "500", `pg_stat_user_tables_n_live_tup{relname="books"}`: "100000",
		`pg_stat_database_deadlocks{datname="bookshelf"}`: "0",
	} {
		w[of("database", series)] = flat(value)
	}
	for series, value := range map[string]string{
		"pgbackrest_repository_up": "1", "pgbackrest_backups": "7", `pgbackrest_backup_last_timestamp_seconds{type="full"}`: "0",
		"pgbackrest_backup_failures_total": "0", "pgbackrest_archive_pending_age_seconds": "10",
	} {
		w[of("backup", series)] = flat(value)
	}
	for series, value := range map[string]string{
		"node_filesystem_avail_bytes": "500", "node_filesystem_size_bytes": "1000",
	} {
		w[of("host", series+`{mountpoint="/",fstype="ext4"}`)] = flat(value)
	}
	for series, value := range map[string]string{"container_memory_usage_total_bytes": "200", "container_memory_usage_limit_bytes": "500"} {
		w[of("containers", series+`{container_name="app-blue-1"}`)] = flat(value)
	}
	for series, value := range map[string]string{
		`otelcol_exporter_send_failed_log_records_total{exporter="otlp_http/loki"}`: "0", `otelcol_exporter_queue_size{exporter="otlp_http/loki"}`: "2",
		`otelcol_exporter_queue_capacity{exporter="otlp_http/loki"}`: "1000",
	} {
		w[of("collector", series)] = flat(value)
	}
	w[of("prometheus", `prometheus_rule_evaluation_failures_total{rule_group="service"}`)] = flat("0")
	w[of("alertmanager", `alertmanager_notifications_failed_total{integration="webhook",reason="other"}`)] = flat("0")
	return w
}

// of adds the labels of a target to a series.
func of(job, series string) string {
	labels := `job="` + job + `",instance="` + job + `",environment="prod"}`
	if head, cut := strings.CutSuffix(series, "}"); cut {
		return head + "," + labels
	}
	return series + "{" + labels
}

func up(job string) string { return of(job, "up") }

func limited(outcome string) string {
	return `bookd_rate_limit_checks_total{policy="address",outcome="` + outcome + `",instance="blue-1:9090"` + service + `}`
}

func healthy(n string) string {
	return `edge_replica_healthy{slot="blue",replica="blue-` + n + `:8080",job="edge",instance="edge:9180",environment="prod"}`
}

// faults are the ways in which things go wrong: what is seen of each, and what has to fire, no more and no less.
var faults = []struct {
	name   string
	change world
	fires  []string
}{
	{"a replica is gone", world{`up{instance="blue-2:9090"` + service + `}`: fault("1", "0"), healthy("2"): fault("1", "0")}, []string{"InstanceDown"}},
	{"no replica is ready", world{healthy("1"): fault("1", "0"), healthy("2"): fault("1", "0")}, []string{"NoInstanceReady"}},
	{"one request in ten fails", world{requests("blue", "500"): rush("66", "5214")}, []string{"ErrorRatio"}},
	{"requests take two seconds", world{bucket("0.25"): "0+600x9 5400x109", bucket("1"): "0+600x9 5400x79 5400+600x29"}, []string{"LatencyHigh"}},
	{"all connections of the pool are in use", world{`bookd_db_pool_used_connections{instance="blue-1:9090"` + service + `}`: fault("3", "10")}, []string{"Saturation"}},
	{"a client asks three times as often as it may", world{limited("refused"): rush("1200", "94800")}, []string{"Refusals"}},
	{"the edge is gone", world{up("edge"): fault("1", "0")}, []string{"EdgeDown"}},
	{"the outside sees an error", world{`probe_success{job="probe",instance="https://books.example.org/livez",environment="prod"}`: fault("1", "0")}, []string{"ProbeFailing"}},
	{"a certificate of 90 days has ten left", world{`edge_certificate_expiry_timestamp_seconds{host="books.example.org",job="edge",instance="edge:9180",environment="prod"}`: fault("7776000", "864000")}, []string{"CertificateExpiring"}},
	{"no certificate is given", world{`edge_certificate_failing{host="books.example.org",job="edge",instance="edge:9180",environment="prod"}`: fault("0", "1")}, []string{"CertificateFailing"}},
	{"the edge's disk is full", world{`edge_state_errors{job="edge",instance="edge:9180",environment="prod"}`: "0x9 0+1x3 3x109"}, []string{"EdgeStateErrors"}},
	{"PostgreSQL is gone", world{of("database", "pg_up"): fault("1", "0")}, []string{"DatabaseDown"}},
	{"ninety connections of a hundred are taken", world{of("database", `pg_stat_activity_count{state="idle",datname="bookshelf"}`): fault("20", "90")}, []string{"DatabaseConnections"}},
	{"nobody reads from a slot", world{of("database", `pg_replication_slots_active{slot_name="archive"}`): fault("1", "0")}, []string{"ReplicationSlotInactive"}},
	{"a slot keeps four gigabytes", world{of("database", `pg_replication_slots_pg_wal_lsn_diff{slot_name="archive"}`): fault("1000", "4294967296")}, []string{"ReplicationSlotLag"}},
	{"a transaction is left open", world{of("database", `pg_stat_activity_max_tx_duration{backend_type="client backend",datname="bookshelf",usename="app"}`): "0x9 0+60x79 0x29"}, []string{"LongTransaction"}},
	{"half of a table is dead", world{of("database", `pg_stat_user_tables_n_dead_tup{relname="books"}`): fault("500", "100000")}, []string{"DeadTuples"}},
	{"requests wait for each other", world{of("database", `pg_stat_database_deadlocks{datname="bookshelf"}`): "0x9 0+1x30 30x78"}, []string{"Deadlocks"}},
	{"the last backup is of the day before yesterday", world{of("backup", `pgbackrest_backup_last_timestamp_seconds{type="full"}`): fault("0", "-100000")}, []string{"BackupStale"}},
	{"there has never been a backup", world{of("backup", "pgbackrest_backups"): fault("7", "0"), of("backup", `pgbackrest_backup_last_timestamp_seconds{type="full"}`): ""}, []string{"BackupStale"}},
	{"a backup fails", world{of("backup", "pgbackrest_backup_failures_total"): "0x9 1x109"}, []string{"BackupFailed"}},
	{"the repository is away", world{of("backup", "pgbackrest_repository_up"): fault("1", "0")}, []string{"BackupRepositoryDown"}},
	{"nothing is archived", world{of("backup", "pgbackrest_archive_pending_age_seconds"): "10x9 0+60x79 10x29"}, []string{"ArchiveFailing"}},
	{"nobody has tried a restore for nine days", world{`drill_last_success_timestamp_seconds{job="host",instance="host",environment="prod"}`: fault("0", "-777600")}, []string{"DrillOverdue"}},
	{"a restore does not work", world{`drill_last_outcome{job="host",instance="host",environment="prod"}`: fault("1", "0")}, []string{"DrillFailed"}},
	{"a container ends again and again", world{`container_restarts_total{container_name="app-blue-1",job="containers",instance="collector",environment="prod"}`: "0x9 0+1x10 10x99"}, []string{"ContainerRestarting"}},
	{"a process is killed for memory", world{`node_vmstat_oom_kill{job="host",instance="host",environment="prod"}`: "3x9 4x109"}, []string{"KilledForMemory"}},
	{"a container is at its limit", world{of("containers", `container_memory_usage_total_bytes{container_name="app-blue-1"}`): fault("200", "480")}, []string{"ContainerMemory"}},
	{"a disk has a tenth left", world{of("host", `node_filesystem_avail_bytes{mountpoint="/",fstype="ext4"}`): fault("500", "100")}, []string{"DiskFilling"}},
	{"a disk is full", world{of("host", `node_filesystem_avail_bytes{mountpoint="/",fstype="ext4"}`): fault("500", "10")}, []string{"DiskFilling", "DiskFull"}},
	{"the machine is out of memory", world{`node_memory_MemAvailable_bytes{job="host",instance="host",environment="prod"}`: fault("4000", "100")}, []string{"HostMemory"}},
	{"a release is left in the middle", world{
		`edge_slot_weight{slot="blue",job="edge",instance="edge:9180",environment="prod"}`:  fault("100", "95"),
		`edge_slot_weight{slot="green",job="edge",instance="edge:9180",environment="prod"}`: fault("0", "5"),
	}, []string{"ReleaseStuck"}},
	{"the load asks for more than may be", world{`autoscaler_at_max{job="host",instance="host",environment="prod"}`: fault("0", "1")}, []string{"AutoscalerAtBound"}},
	{"a password is a hundred days old", world{`rotation_last_success_timestamp_seconds{secret="database-app",job="host",instance="host",environment="prod"}`: fault("0", "-8640000")}, []string{"RotationOverdue"}},
	{"an exporter is gone", world{up("database"): fault("1", "0")}, []string{"TargetDown"}},
	{"a job has lost its targets", world{up("edge"): "1x9 _x79 1x29"}, []string{"TargetMissing"}},
	{"the store of logs takes nothing", world{of("collector", `otelcol_exporter_send_failed_log_records_total{exporter="otlp_http/loki"}`): rush("50", "3950")}, []string{"TelemetryDropped"}},
	{"a rule cannot be evaluated", world{of("prometheus", `prometheus_rule_evaluation_failures_total{rule_group="service"}`): rush("1", "79")}, []string{"RulesFailing"}},
	{"the receiver is away", world{of("alertmanager", `alertmanager_notifications_failed_total{integration="webhook",reason="other"}`): rush("1", "79")}, []string{"NotificationsFailing"}},
}

func TestEachFaultFiresItsAlertAloneAndItResolves(t *testing.T) {
	t.Parallel()
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			at := watch(t, prod().with(f.change), step, length, "alerts.yml")
			var all []firing
			for moment, list := range at {
				if len(names(list)) > 0 && moment < faultAt {
					t.Errorf("%v fire after %v, before anything is wrong", names(list), moment)
				}
				for _, one := range list {
					if one.summary == "" || strings.Contains(one.summary, "<no value>") || strings.Contains(one.summary, "error expanding") {
						t.Errorf("the summary of %s is %q", one.name, one.summary)
					}
				}
				all = append(all, list...)
			}
			if got := names(all); !slices.Equal(got, f.fires) {
				t.Errorf("%v fire; want %v", got, f.fires)
			}
			if late := names(at[length]); len(late) > 0 {
				t.Errorf("%v still fire %v after all is well", late, length-mendedAt)
			}
		})
	}
}

func TestEveryAlertHasAFaultThatFiresIt(t *testing.T) {
	t.Parallel()
	set, err := contract.Load("../../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range alerts.Groups(set) {
		for _, a := range g.Alerts {
			known := a.Severity == alerts.None
			for _, f := range faults {
				known = known || slices.Contains(f.fires, a.Name)
			}
			if !known {
				t.Errorf("no fault fires %s", a.Name)
			}
		}
	}
}

// A thing that is done on purpose, and goes well, must wake nobody.
func TestWhatIsDoneOnPurposeFiresNothing(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]world{
		"nothing happens": {},
		"a release of half an hour": {
			`edge_slot_weight{slot="blue",job="edge",instance="edge:9180",environment="prod"}`:                             "100x9 95x9 75x9 50x9 0x80",
			`edge_slot_weight{slot="green",job="edge",instance="edge:9180",environment="prod"}`:                            "0x9 5x9 25x9 50x9 100x80",
			`edge_replica_healthy{slot="green",replica="green-1:8080",job="edge",instance="edge:9180",environment="prod"}`: "_x8 0 1x110",
			healthy("1"): "1x40 _x79", healthy("2"): "1x40 _x79",
			`up{instance="green-1:9090"` + service + `}`: "_x8 0 1x110", `up{instance="blue-1:9090"` + service + `}`: "1x40 _x79", `up{instance="blue-2:9090"` + service + `}`: "1x40 _x79",
			requests("blue", "200"): "0+600x40 _x79", requests("green", "200"): "_x10 0+600x109", requests("green", "503"): "_x10 0x3 1x106",
		},
		"a release that is taken back for its errors within a minute": {
			`edge_slot_weight{slot="blue",job="edge",instance="edge:9180",environment="prod"}`:  "100x9 95 100x109",
			`edge_slot_weight{slot="green",job="edge",instance="edge:9180",environment="prod"}`: "0x9 5 0x109",
			requests("green", "500"): "_x10 0 30 30x5 _x102",
		},
		"a rotation": {
			`rotation_last_success_timestamp_seconds{secret="database-app",job="host",instance="host",environment="prod"}`: "0x20 1260x99",
			of("database", `pg_stat_activity_count{state="idle",datname="bookshelf"}`):                                     "20x20 40x2 20x97",
			`up{instance="blue-1:9090"` + service + `}`:                                                                    "1x20 0 1x98",
		},
		"a drill with a backup": {
			`drill_last_success_timestamp_seconds{job="host",instance="host",environment="prod"}`:                               "0x30 1860x89",
			of("backup", `pgbackrest_backup_last_timestamp_seconds{type="full"}`):                                               "0x30 1860x89",
			of("database", `pg_stat_activity_max_tx_duration{backend_type="client backend",datname="bookshelf",usename="app"}`): "1x25 0+60x10 1x84",
			of("host", `node_filesystem_avail_bytes{mountpoint="/",fstype="ext4"}`):                                             "500x25 300x10 500x84",
			of("backup", "pgbackrest_archive_pending_age_seconds"):                                                              "10x25 120x5 10x89",
		},
		"an autoscaler that was at its bound and has ended": {
			`autoscaler_at_max{job="host",instance="host",environment="prod"}`: "0x9 1x110", `autoscaler_last_round_timestamp_seconds{job="host",instance="host",environment="prod"}`: "0+60x15 900x104",
		},
		"an environment without backups or an autoscaler": {
			up("backup"): "", of("backup", "pgbackrest_repository_up"): "", of("backup", "pgbackrest_backups"): "", of("backup", `pgbackrest_backup_last_timestamp_seconds{type="full"}`): "",
			of("backup", "pgbackrest_archive_pending_age_seconds"): "", `autoscaler_at_max{job="host",instance="host",environment="prod"}`: "",
			`drill_last_success_timestamp_seconds{job="host",instance="host",environment="prod"}`: "", `drill_last_outcome{job="host",instance="host",environment="prod"}`: "",
		},
		"one failure of a few requests at night": {
			requests("blue", "200"): "0x119", requests("blue", "404"): "0x119", requests("blue", "500"): "0x40 1x79",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := []string{"alerts.yml"}
			if strings.Contains(name, "release") || strings.Contains(name, "failure") { // what budgets are spent by
				files = append(files, "objectives.yml")
			}
			for moment, list := range watch(t, prod().with(change), step, length, files...) {
				if found := names(list); len(found) > 0 {
					t.Errorf("after %v: %v", moment, found)
				}
				if len(list) == 0 {
					t.Errorf("after %v the dead man's switch is silent", moment)
				}
			}
		})
	}
}
