package stack

import (
	"fmt"
	"strconv"
)

// How often everything is asked for its metrics, and how long it may take to answer.
const (
	interval = "10s"
	timeout  = "5s"
)

// targetsFile has the replicas. It is a file of its own, read again by itself: each release and each scaling changes it, and must not
// take another container. JSON is YAML as well, and a name that ends in .json would make it a dashboard beside the others.
const targetsFile = "targets.yml"

// scrapes are the jobs, named as the telemetry contracts name them.
func scrapes(o Options) list {
	static := func(job, target string) object {
		return object{"job_name": job, "static_configs": list{object{"targets": list{target}, "labels": o.labels()}}}
	}
	jobs := list{
		object{"job_name": "service", "file_sd_configs": list{object{"files": list{FilesPath + "/" + targetsFile}}}},
		static("edge", o.EdgeMetrics),
		// Each series says itself which container it is of.
		object{"job_name": "containers", "honor_labels": true, "static_configs": list{object{
			"targets": list{address(Collector, containerMetrics)}, "labels": o.labels(),
		}}},
		static("collector", address(Collector, collectorMetrics)),
	}
	if o.Level != Full {
		return append(jobs, static("metrics", address(Metrics, metricsPort)))
	}
	return append(jobs,
		static("prometheus", address("localhost", prometheusPort)),
		static("alertmanager", address(Alertmanager, alertmanagerPort)),
		static("host", address(Host, hostPort)),
		object{
			"job_name": "probe", "metrics_path": "/probe", "params": object{"module": list{"http_2xx"}},
			"static_configs": list{object{"targets": list{o.EdgeURL}, "labels": o.labels()}},
			"relabel_configs": list{
				object{"source_labels": list{"__address__"}, "target_label": "__param_target"},
				object{"source_labels": list{"__param_target"}, "target_label": "instance"},
				object{"target_label": "__address__", "replacement": address(Probe, probePort)},
			},
		})
}

func (o Options) labels() object { return object{"environment": o.Environment} }

// targets is the file of the replicas, in the form of Prometheus' file_sd_config.
func targets(o Options) (map[string]string, error) {
	groups := list{}
	for _, replica := range o.Replicas {
		labels := o.labels()
		labels["slot"], labels["replica"] = replica.Slot, strconv.Itoa(replica.Number)
		groups = append(groups, object{"targets": list{address(replica.Host, o.AdminPort)}, "labels": labels})
	}
	file, err := text(groups)
	return map[string]string{targetsFile: file}, err
}

func address(host string, port int) string { return fmt.Sprintf("%s:%d", host, port) }
