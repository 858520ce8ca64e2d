package stack

import (
	"fmt"
	"maps"
	"time"
)

func metrics(o Options) (Part, error) {
	p := Part{
		Name: Metrics, User: user, Keeps: true, Networks: []string{Watch, Frontend},
		Command: []string{
			"/victoria-metrics-prod", fmt.Sprintf("-httpListenAddr=:%d", metricsPort), "-storageDataPath=" + DataPath,
			"-retentionPeriod=" + hours(o.Retention), "-memory.allowedPercent=50", "-loggerFormat=json",
			"-vmui.customDashboardsPath=" + FilesPath,
		},
		Files: maps.Clone(o.Dashboards), Port: metricsPort, Ready: "/health", Page: "/vmui/", MemoryMiB: 192, CPUs: "0.5",
	}
	if o.Level == Full {
		return p, nil // Prometheus scrapes, and sends it everything
	}
	if p.Files == nil {
		p.Files = map[string]string{}
	}
	config, err := text(object{"global": object{"scrape_interval": interval, "scrape_timeout": timeout}, "scrape_configs": scrapes(o)})
	if err != nil {
		return p, err
	}
	// Beside the dashboards, which are the JSON files: this one ends otherwise.
	p.Files["scrape.yml"] = config
	p.Command = append(p.Command, "-promscrape.config="+FilesPath+"/scrape.yml", "-promscrape.fileSDCheckInterval=5s")
	p.Reloads, err = targets(o)
	return p, err
}

func logs(o Options) (Part, error) {
	return Part{
		Name: Logs, User: user, Keeps: true, Networks: []string{Watch},
		Command: []string{
			"/victoria-logs-prod", fmt.Sprintf("-httpListenAddr=:%d", logsPort), "-storageDataPath=" + DataPath,
			"-retentionPeriod=" + hours(max(o.Retention, 24*time.Hour)), "-memory.allowedPercent=50", "-loggerFormat=json",
		},
		Port: logsPort, Ready: "/health", Page: "/select/vmui/", MemoryMiB: 192, CPUs: "0.5",
	}, nil
}

func engineView(o Options) (Part, error) {
	return Part{
		Name: EngineView, User: root, Networks: []string{Engine},
		Command: []string{"/engineview", fmt.Sprintf("-listen=:%d", engineViewPort), "-environment=" + o.Environment},
		Mounts:  []Mount{{"/var/run/docker.sock", "/var/run/docker.sock"}},
		Port:    engineViewPort, MemoryMiB: 32, CPUs: "0.5",
	}, nil
}

func traces(Options) (Part, error) {
	return Part{
		Name: Traces, User: user, Keeps: true, Networks: []string{Watch},
		Command: []string{
			"/go/bin/all-in-one-linux", fmt.Sprintf("--query.http-server.host-port=:%d", tracesPort),
			fmt.Sprintf("--collector.otlp.http.host-port=:%d", otlpPort), "--collector.otlp.enabled=true",
			"--badger.ephemeral=false", "--badger.directory-key=" + DataPath + "/key", "--badger.directory-value=" + DataPath + "/value",
		},
		Env:  map[string]string{"SPAN_STORAGE_TYPE": "badger"},
		Port: tracesPort, Ready: "/", MemoryMiB: 256, CPUs: "0.5",
	}, nil
}

func host(Options) (Part, error) {
	return Part{
		Name: Host, User: user, Networks: []string{Watch},
		Command: []string{
			"/bin/node_exporter", fmt.Sprintf("--web.listen-address=:%d", hostPort), "--path.procfs=/host/proc", "--path.sysfs=/host/sys",
			"--collector.disable-defaults", "--collector.cpu", "--collector.meminfo", "--collector.loadavg", "--collector.diskstats",
			"--collector.filesystem", "--collector.netdev", "--collector.stat", "--collector.uname", "--collector.vmstat",
		},
		Mounts: []Mount{{"/proc", "/host/proc"}, {"/sys", "/host/sys"}},
		Port:   hostPort, MemoryMiB: 64, CPUs: "0.2",
	}, nil
}

func probe(Options) (Part, error) {
	config, err := text(object{"modules": object{"http_2xx": object{"prober": "http", "timeout": timeout, "http": object{
		"preferred_ip_protocol": "ip4", "valid_status_codes": list{200},
		// An authority of the edge's own is nobody's here; when its certificate ends is told all the same.
		"tls_config": object{"insecure_skip_verify": true},
	}}}})
	return Part{
		Name: Probe, User: user, Networks: []string{Watch, Frontend},
		Command: []string{"/bin/blackbox_exporter", "--config.file=" + FilesPath + "/probe.yml", fmt.Sprintf("--web.listen-address=:%d", probePort)},
		Files:   map[string]string{"probe.yml": config},
		Port:    probePort, MemoryMiB: 64, CPUs: "0.2",
	}, err
}

func alertmanager(o Options) (Part, error) {
	routing, err := o.AlertRouting, error(nil)
	if routing == "" {
		routing, err = text(object{"route": object{"receiver": "nobody"}, "receivers": list{object{"name": "nobody"}}})
	}
	return Part{
		Name: Alertmanager, User: user, Keeps: true, Networks: []string{Watch},
		Command: []string{
			"/bin/alertmanager", "--config.file=" + FilesPath + "/alertmanager.yml", "--storage.path=" + DataPath,
			fmt.Sprintf("--web.listen-address=:%d", alertmanagerPort), "--cluster.listen-address=", "--log.format=json",
		},
		Files: map[string]string{"alertmanager.yml": routing},
		Port:  alertmanagerPort, Ready: "/-/ready", Page: "/", MemoryMiB: 64, CPUs: "0.2",
	}, err
}

func prometheus(o Options) (Part, error) {
	config, err := text(object{
		"global": object{
			"scrape_interval": interval, "scrape_timeout": timeout, "evaluation_interval": interval,
		},
		"rule_files": list{FilesPath + "/rules-*.yml"},
		"alerting":   object{"alertmanagers": list{object{"static_configs": list{object{"targets": list{address(Alertmanager, alertmanagerPort)}}}}}},
		// The page that a person looks at is of the other store.
		"remote_write":   list{object{"url": "http://" + address(Metrics, metricsPort) + "/api/v1/write"}},
		"scrape_configs": scrapes(o),
	})
	p := Part{
		Name: Prometheus, User: user, Keeps: true, Networks: []string{Watch, Frontend},
		Command: []string{
			"/bin/prometheus", "--config.file=" + FilesPath + "/prometheus.yml", "--storage.tsdb.path=" + DataPath,
			"--storage.tsdb.retention.time=" + hours(o.Retention), fmt.Sprintf("--web.listen-address=:%d", prometheusPort),
			"--enable-feature=exemplar-storage", "--log.format=json",
		},
		Files: map[string]string{"prometheus.yml": config},
		Port:  prometheusPort, Ready: "/-/ready", Page: "/graph", MemoryMiB: 384, CPUs: "1",
	}
	for name, rules := range o.Rules {
		p.Files["rules-"+name] = rules
	}
	if err == nil {
		p.Reloads, err = targets(o)
	}
	return p, err
}

func loki(o Options) (Part, error) {
	config, err := text(object{
		"auth_enabled": false,
		"server":       object{"http_listen_port": lokiPort, "grpc_listen_port": 9096, "log_format": "json", "log_level": "warn"},
		"common": object{
			"path_prefix": DataPath, "replication_factor": 1, "instance_addr": "127.0.0.1",
			"ring":    object{"kvstore": object{"store": "inmemory"}, "instance_addr": "127.0.0.1"},
			"storage": object{"filesystem": object{"chunks_directory": DataPath + "/chunks", "rules_directory": DataPath + "/rules"}},
		},
		"schema_config": object{"configs": list{object{
			"from": "2024-01-01", "store": "tsdb", "object_store": "filesystem", "schema": "v13",
			"index": object{"prefix": "index_", "period": "24h"},
		}}},
		"limits_config": object{"allow_structured_metadata": true, "retention_period": hours(max(o.Retention, 24*time.Hour)), "reject_old_samples": false},
		"compactor":     object{"working_directory": DataPath + "/compactor", "retention_enabled": true, "delete_request_store": "filesystem"},
		// Otherwise it takes a quarter of a minute to be ready, waiting for others that there are not.
		"frontend":        object{"scheduler_dns_lookup_period": "1s"},
		"frontend_worker": object{"dns_lookup_duration": "1s"},
		"ingester":        object{"lifecycler": object{"min_ready_duration": "0s"}},
		"analytics":       object{"reporting_enabled": false},
	})
	return Part{
		Name: Loki, User: user, Keeps: true, Networks: []string{Watch},
		Command: []string{"/usr/bin/loki", "-config.file=" + FilesPath + "/loki.yml"},
		Files:   map[string]string{"loki.yml": config},
		Port:    lokiPort, Ready: "/ready", MemoryMiB: 512, CPUs: "0.5",
	}, err
}
