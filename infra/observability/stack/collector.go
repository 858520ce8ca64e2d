package stack

import (
	"fmt"
	"strings"
)

// Labels that Docker writes beside each line of a container that is to be collected, and the name that it tags it with.
const (
	labelEnvironment = "delivery.environment"
	labelComponent   = "delivery.component"
	labelSlot        = "delivery.slot"
)

// LogOptions are the options of Docker's json-file driver for a container whose lines are to be collected. Others have none of these
// labels beside their lines, and the collector leaves them alone: its own would feed on themselves.
func LogOptions() map[string]string {
	return map[string]string{"labels": strings.Join([]string{labelComponent, labelEnvironment, labelSlot}, ","), "tag": "{{.Name}}"}
}

// Where the collector finds Docker's files. dockerLogs is the engine's default folder.
const (
	dockerLogs = "/var/lib/docker/containers"
	logsInside = "/logs"
)

// collector reads the lines from Docker's files rather than be sent them: a file waits while the collector is away, a sender does not.
func collector(o Options) (Part, error) {
	config, err := text(object{
		"extensions": object{
			"health_check": object{"endpoint": fmt.Sprintf("0.0.0.0:%d", collectorHealth)},
			"file_storage": object{"directory": DataPath, "create_directory": true},
		},
		"receivers":  receivers(o),
		"processors": processors(),
		"exporters":  exporters(o),
		"service": object{
			"extensions": list{"health_check", "file_storage"},
			"telemetry": object{
				"logs": object{"encoding": "json", "level": "warn"},
				"metrics": object{"readers": list{object{"pull": object{"exporter": object{"prometheus": object{
					"host": "0.0.0.0", "port": collectorMetrics,
				}}}}}},
			},
			"pipelines": pipelines(o),
		},
	})
	return Part{
		Name: Collector, User: root, Keeps: true, Networks: []string{Watch, Frontend, Engine},
		Command: []string{"/otelcol", "--config=file:" + FilesPath + "/collector.yml"},
		Files:   map[string]string{"collector.yml": config},
		Mounts:  []Mount{{dockerLogs, logsInside}},
		Port:    collectorHealth, Ready: "/", MemoryMiB: 256, CPUs: "0.5",
	}, err
}

func receivers(o Options) object {
	all := object{
		"file_log": object{
			"include": list{logsInside + "/*/*-json.log"}, "include_file_path": true, "start_at": "beginning", "storage": "file_storage",
			"poll_interval": "500ms", "operators": operators(o.Environment), "retry_on_failure": object{"enabled": true, "max_elapsed_time": "0s"},
		},
		"docker_stats": object{
			"endpoint": fmt.Sprintf("http://%s:%d", EngineView, engineViewPort), "api_version": "1.41", "collection_interval": interval, "timeout": timeout,
			"container_labels_to_metric_labels": object{labelComponent: "component", labelSlot: "slot", labelEnvironment: "environment"},
			"metrics":                           object{"container.restarts": object{"enabled": true}, "container.uptime": object{"enabled": true}, "container.memory.usage.limit": object{"enabled": true}},
		},
	}
	if o.Level == Full {
		all["otlp"] = object{"protocols": object{"http": object{"endpoint": fmt.Sprintf("0.0.0.0:%d", otlpPort)}}}
	}
	return all
}

// operators turn a line of Docker's files into an entry: what the container wrote is its body, and where it came from the resource. What
// is JSON becomes fields; a panic, and what PostgreSQL writes in several lines, becomes one entry.
func operators(environment string) list {
	move := func(from, to string) object {
		return object{"type": "move", "from": from, "to": to, "if": present(from)}
	}
	const json = `attributes.log matches "^\\{"`
	return list{
		object{"type": "json_parser", "parse_to": "attributes", "timestamp": object{
			"parse_from": "attributes.time", "layout_type": "gotime", "layout": "2006-01-02T15:04:05.999999999Z07:00",
		}},
		object{"type": "filter", "expr": fmt.Sprintf(`attributes.attrs == nil or attributes.attrs[%q] != %q`, labelEnvironment, environment)},
		object{
			"type": "recombine", "combine_field": "attributes.log", "combine_with": "", "source_identifier": `attributes["log.file.path"]`,
			"is_first_entry": `attributes.log matches "^(\\{|[0-9]{4}-|panic: |fatal error: |[A-Z])"`, "force_flush_period": "2s",
			"max_log_size": "256KiB",
		},
		object{"type": "move", "from": fmt.Sprintf("attributes.attrs[%q]", labelComponent), "to": `resource["service.name"]`},
		object{"type": "move", "from": fmt.Sprintf("attributes.attrs[%q]", labelEnvironment), "to": `resource["deployment.environment.name"]`},
		object{"type": "move", "from": "attributes.attrs.tag", "to": `resource["service.instance.id"]`},
		object{"type": "remove", "field": "attributes.attrs"},
		object{"type": "remove", "field": `attributes["log.file.path"]`},
		object{"type": "remove", "field": "attributes.time"},
		object{"type": "move", "from": "attributes.log", "to": "body"},
		object{"type": "json_parser", "if": strings.Replace(json, "attributes.log", "body", 1), "parse_from": "body", "parse_to": "attributes", "on_error": "send_quiet"},
		object{"type": "severity_parser", "parse_from": "attributes.level", "if": present("attributes.level"), "on_error": "send_quiet"},
		object{"type": "trace_parser", "if": present("attributes.trace_id"), "trace_id": object{"parse_from": "attributes.trace_id"}, "on_error": "send_quiet"},
		move("attributes.msg", "body"),
	}
}

func present(field string) string { return field + " != nil" }

// redactions is the second net: the service writes none of these itself. A pattern and what is put in its place.
var redactions = [][2]string{
	{`[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\\.[A-Za-z0-9-]+)+`, "[email]"},
	{`(?i)(bearer|basic) +[A-Za-z0-9._~+/=-]{8,}`, "$$1 [secret]"},
	{`(?i)(password|passwd|secret|token)([\"']?[=:] *[\"']?)[^\\s\"',&]+`, "$$1$$2[secret]"},
	{`://[^/@:\\s]+:[^/@\\s]+@`, "://[secret]@"},
}

func processors() object {
	var statements list
	for _, r := range redactions {
		statements = append(statements,
			fmt.Sprintf(`replace_pattern(log.body, "%s", "%s") where IsString(log.body)`, r[0], r[1]),
			fmt.Sprintf(`replace_all_patterns(log.attributes, "value", "%s", "%s")`, r[0], r[1]))
	}
	return object{
		"memory_limiter":   object{"check_interval": "1s", "limit_percentage": 75, "spike_limit_percentage": 20},
		"batch":            object{"timeout": "1s", "send_batch_size": 2048},
		"transform/redact": object{"error_mode": "ignore", "log_statements": list{object{"context": "log", "statements": statements}}},
		// A trace is kept whole or not at all: errors and what was slow always, one in ten of the rest.
		"tail_sampling": object{"decision_wait": "5s", "num_traces": 20000, "policies": list{
			object{"name": "errors", "type": "status_code", "status_code": object{"status_codes": list{"ERROR"}}},
			object{"name": "slow", "type": "latency", "latency": object{"threshold_ms": 250}},
			object{"name": "share", "type": "probabilistic", "probabilistic": object{"sampling_percentage": 10}},
		}},
	}
}

// exporters keep what a store does not take in a queue on disk, for as long as it is away.
func exporters(o Options) object {
	queue := object{"enabled": true, "storage": "file_storage", "queue_size": 5000, "num_consumers": 2}
	forever := object{"enabled": true, "initial_interval": "1s", "max_interval": "10s", "max_elapsed_time": "0s"}
	all := object{
		"otlp_http/logs": object{
			"logs_endpoint": fmt.Sprintf("http://%s/insert/opentelemetry/v1/logs", address(Logs, logsPort)),
			"headers":       object{"VL-Stream-Fields": "service.name,service.instance.id"}, "sending_queue": queue, "retry_on_failure": forever,
		},
		"prometheus": object{"endpoint": fmt.Sprintf("0.0.0.0:%d", containerMetrics), "resource_to_telemetry_conversion": object{"enabled": true}},
	}
	if o.Level == Full {
		all["otlp_http/loki"] = object{"endpoint": fmt.Sprintf("http://%s/otlp", address(Loki, lokiPort)), "sending_queue": queue, "retry_on_failure": forever}
		all["otlp_http/traces"] = object{"endpoint": "http://" + address(Traces, otlpPort), "sending_queue": queue, "retry_on_failure": forever}
	}
	return all
}

func pipelines(o Options) object {
	stores := list{"otlp_http/logs"}
	all := object{
		"metrics": object{"receivers": list{"docker_stats"}, "processors": list{"memory_limiter"}, "exporters": list{"prometheus"}},
	}
	if o.Level == Full {
		stores = append(stores, "otlp_http/loki")
		all["traces"] = object{"receivers": list{"otlp"}, "processors": list{"memory_limiter", "tail_sampling", "batch"}, "exporters": list{"otlp_http/traces"}}
	}
	all["logs"] = object{"receivers": list{"file_log"}, "processors": list{"memory_limiter", "transform/redact", "batch"}, "exporters": stores}
	return all
}
