// Package stack says which containers watch an environment: their images, configurations, networks and limits, as data. It knows
// neither Pulumi nor Docker; package environment declares what it lists.
package stack

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Level is how much of an environment is watched.
type Level string

// Levels. Lean is metrics, logs and their pages; full adds rules and alerts, traces, probes and Loki.
const (
	Off  Level = "off"
	Lean Level = "lean"
	Full Level = "full"
)

// Levels are all of them, as configuration spells them.
var Levels = []string{string(Off), string(Lean), string(Full)}

// Names of the parts, as in images.json.
const (
	Metrics      = "metrics"
	Logs         = "logs"
	Collector    = "collector"
	EngineView   = "engineview"
	Traces       = "traces"
	Loki         = "loki"
	Alertmanager = "alertmanager"
	Prometheus   = "prometheus"
	Probe        = "probe"
	Host         = "host"
)

// Prefix comes before a part's name in the names of its container and volumes.
const Prefix = "watch-"

// Networks that a part can be on. The first two are the stack's own, Frontend is where the environment's service and edge are.
const (
	Watch    = "watch"
	Engine   = "engine"
	Frontend = "frontend"
)

// Paths inside of the containers.
const (
	FilesPath = "/etc/watch" // the part's Files
	DataPath  = "/data"      // what it keeps
)

// user is who the parts run as; root, without a single capability, is who may read Docker's files and speak to its socket.
const (
	user = "65532:65532"
	root = "0:0"
)

// Where the parts listen in their containers.
const (
	metricsPort      = 8428
	logsPort         = 9428
	otlpPort         = 4318
	collectorHealth  = 13133
	collectorMetrics = 8888
	containerMetrics = 8889
	engineViewPort   = 2375
	tracesPort       = 16686
	lokiPort         = 3100
	alertmanagerPort = 9093
	prometheusPort   = 9090
	probePort        = 9115
	hostPort         = 9100
)

// TracesEndpoint is where the service sends its spans (OTEL_EXPORTER_OTLP_ENDPOINT).
var TracesEndpoint = fmt.Sprintf("http://%s:%d", Collector, otlpPort)

// Replica is one container of the service that should be answering.
type Replica struct {
	Host, Slot string
	Number     int
}

// Options is what the stack has to know of the environment.
type Options struct {
	Environment string
	Level       Level
	// Port is the first of the ports on loopback.
	Port      int
	Retention time.Duration
	Replicas  []Replica
	// AdminPort is where a replica tells its metrics, EdgeMetrics where the edge does, EdgeURL where the probe finds the service.
	AdminPort            int
	EdgeMetrics, EdgeURL string
	// Rules are Prometheus' rule files and Dashboards vmui's, by name. AlertRouting is Alertmanager's configuration; "" tells nobody.
	Rules, Dashboards map[string]string
	AlertRouting      string
}

// Mount is a path of the host that a part may read.
type Mount struct{ Host, Inside string }

// Part is one container.
type Part struct {
	Name    string
	Command []string
	User    string
	Env     map[string]string
	// Files are below FilesPath, by name. Restart says that a change of them takes another container; otherwise the program notices.
	Files map[string]string
	// Reloads are files that the program reads again by itself, below FilesPath as well.
	Reloads map[string]string
	// Keeps says that it has a volume at DataPath.
	Keeps    bool
	Mounts   []Mount
	Networks []string
	// Port is where it listens; Published is the port on loopback, 0 for none.
	Port, Published int
	// Ready is the path that is answered with 200 once it works, Page where a person begins.
	Ready, Page string
	MemoryMiB   int
	CPUs        string
}

//go:embed images.json
var imagesFile []byte

// Image returns the image of each part of a level by its name in a registry, or as `make observability-images` calls it.
func Image(level Level) (map[string]string, error) {
	var entries []struct {
		Part   string
		Levels []string
		Image  string
	}
	if err := json.Unmarshal(imagesFile, &entries); err != nil {
		return nil, fmt.Errorf("images.json: %w", err)
	}
	images := map[string]string{}
	for _, entry := range entries {
		if slices.Contains(entry.Levels, string(level)) {
			images[entry.Part] = entry.Image
		}
	}
	return images, nil
}

// Parts lists the containers in the order in which they should come up: what takes data before what sends it.
func Parts(o Options) ([]Part, error) {
	if o.Level == Off {
		return nil, nil
	}
	build := []func(Options) (Part, error){metrics, logs}
	if o.Level == Full {
		build = append(build, loki, traces, alertmanager, prometheus, host, probe)
	}
	build = append(build, engineView, collector)
	parts := make([]Part, 0, len(build))
	for _, make := range build {
		part, err := make(o)
		if err != nil {
			return nil, fmt.Errorf("configure %s: %w", part.Name, err)
		}
		if part.Port != 0 && part.Ready != "" {
			part.Published = o.Port + offsets[part.Name]
		}
		if part.Env == nil {
			part.Env = map[string]string{}
		}
		// The garbage collector works harder rather than let the kernel end the program.
		part.Env["GOMEMLIMIT"] = fmt.Sprintf("%dMiB", part.MemoryMiB*8/10)
		parts = append(parts, part)
	}
	return parts, nil
}

// offsets from the first port on loopback: constant, so that another level does not move what somebody has a bookmark of.
var offsets = map[string]int{Metrics: 0, Logs: 1, Alertmanager: 2, Prometheus: 3, Traces: 4, Loki: 5, Collector: 6}

// Ports is how many ports on loopback a stack may take, from the first one on.
const Ports = 7

// hours writes a duration as all the parts understand it.
func hours(d time.Duration) string { return fmt.Sprintf("%dh", int(d.Hours())) }

// object and list are JSON, which every part reads as the YAML that it is as well.
type (
	object = map[string]any
	list   = []any
)

// text writes a configuration in a constant order.
func text(value any) (string, error) {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(value)
	return b.String(), err
}
