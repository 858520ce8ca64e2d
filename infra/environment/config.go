package environment

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"
)

// Namespace is the Pulumi configuration namespace of every key: bookshelf:port and so on.
const Namespace = "bookshelf"

// Limits of the configuration.
const (
	// minMemoryMiB is what the smallest container needs to start at all.
	minMemoryMiB = 32
	maxGrace     = time.Minute
	// MaxReplicas bounds how many containers one slot may have on one machine.
	MaxReplicas = 16
	// drainTime is how long requests in flight may take after the grace period, on every stop of the app.
	drainTime = 20 * time.Second
)

// Config is the typed configuration of one environment. Its keys are explained in docs/configuration.md.
type Config struct {
	// Name is the environment's name, which is the Pulumi stack's: dev, staging, prod.
	Name string
	// Image is what the environment begins with, "" where only commands name images. It, DatabaseImage and EdgeImage are image
	// references as the Docker engine takes them; a local image is its ID, sha256:….
	Image, DatabaseImage, EdgeImage string
	// Bind and Port are where the edge is published on the Docker host, URL is where clients reach it.
	Bind string
	Port int
	URL  string
	TLS  TLS
	// Replicas is how many containers the first slot is given.
	Replicas int
	// App, Database and Edge are the limits of their containers.
	App, Database, Edge Limits
	// ShutdownGrace is how long the app keeps serving after it was told to stop, so that nobody is sent there any more.
	ShutdownGrace time.Duration
	// LogLevel is the least severe level that the app logs.
	LogLevel string
	// Verify says what is asked of the app's image before it runs.
	Verify Verification
	// Service is what there is to know of the service, Release how a release proceeds: see release.ParseProfile.
	Service Service
	Release json.RawMessage
	// Backup says when backups are taken, and where they are kept.
	Backup Backup
	// Rotation says how old secrets may become.
	Rotation Rotation
	// Watching is how the environment is watched.
	Watching Watching
}

// Verification is the policy about the app's image: "off", or signed with the pair of a public key ("key"), or by a workflow's
// identity ("keyless"). With anything but "off" the image must be named by digest.
type Verification struct {
	Mode             string
	Key              string // path of the public key, relative to the folder of the configuration
	Identity, Issuer string
}

// VerifyOff is the mode in which any image runs, also a local one.
const VerifyOff = "off"

// Limits is what a container may use of its host.
type Limits struct {
	MemoryMiB int `json:"memory_mib"`
	// CPUs is a number of processors with at most one decimal place, "0.5" for a half.
	CPUs string `json:"cpus"`
}

// defaults are the values of the keys that a stack does not set.
var defaults = map[string]string{
	"image":             "",
	"databaseImage":     "",
	"edgeImage":         "",
	"bind":              "127.0.0.1",
	"port":              "8080",
	"url":               "",
	"tls":               TLSOff,
	"httpsPort":         "8443",
	"hosts":             "",
	"acmeDirectory":     "https://acme-v02.api.letsencrypt.org/directory",
	"acmeEmail":         "",
	"acmeRoots":         "",
	"certFile":          "",
	"keyFile":           "",
	"replicas":          "1",
	"appMemoryMiB":      "128",
	"appCpus":           "1",
	"databaseMemoryMiB": "512",
	"databaseCpus":      "1",
	"edgeMemoryMiB":     "256",
	"edgeCpus":          "1",
	"shutdownGrace":     "2s",
	"logLevel":          "info",
	"verify":            VerifyOff,
	"verifyKey":         "",
	"verifyIdentity":    "",
	"verifyIssuer":      "",
	"service":           "",
	"environment":       "{}",
	"release":           "{}",
	"backup":            "{}",
	"rotation":          "{}",

	"observability":          "off",
	"observabilityPort":      "9400",
	"observabilityRetention": "168h",
	"observabilityImages":    "{}",
}

// structured are the keys whose value is a mapping.
var structured = []string{"service", "environment", "release", "backup", "rotation", "observabilityImages"}

// Structured reports whether a key's value is a mapping; it is passed on as JSON.
func Structured(key string) bool { return slices.Contains(structured, key) }

// Keys lists the configuration keys without their namespace, sorted.
func Keys() []string {
	var keys []string
	for key := range defaults {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// Default returns the value that a key has when a stack does not set it, "" for a key that has none.
func Default(key string) string { return defaults[key] }

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,29}$`)

// ValidName reports whether a name can be an environment's: it becomes part of container, network and volume names.
func ValidName(name string) bool { return namePattern.MatchString(name) }

// Load reads the configuration of the named environment through get, which returns "" for a key that is not set. The error joins
// every problem there is, each naming its key, and is returned before anything is created.
func Load(name string, get func(key string) string) (Config, error) {
	r := reader{get: get}
	if !ValidName(name) {
		r.problem("environment name %q: want 1 to 30 of a-z, 0-9 and -, starting with a letter", name)
	}
	c := Config{
		Name:          name,
		Image:         r.image("image"),
		DatabaseImage: r.image("databaseImage"),
		EdgeImage:     r.image("edgeImage"),
		Bind:          r.address("bind"),
		Port:          r.number("port", 1, 65535),
		TLS:           r.tls(),
		Replicas:      r.number("replicas", 1, MaxReplicas),
		App:           Limits{MemoryMiB: r.number("appMemoryMiB", minMemoryMiB, 1<<20), CPUs: r.cpus("appCpus")},
		Database:      Limits{MemoryMiB: r.number("databaseMemoryMiB", 128, 1<<20), CPUs: r.cpus("databaseCpus")},
		Edge:          Limits{MemoryMiB: r.number("edgeMemoryMiB", minMemoryMiB, 1<<20), CPUs: r.cpus("edgeCpus")},
		ShutdownGrace: r.duration("shutdownGrace", maxGrace),
		LogLevel:      r.oneOf("logLevel", "debug", "info", "warn", "error"),
		Verify:        r.verification(),
		Service:       r.service("service", "environment"),
		Release:       r.object("release"),
		Backup:        r.backup("backup"),
		Rotation:      r.rotation("rotation"),
		Watching:      r.watching("observability", "observabilityPort", "observabilityRetention", "observabilityImages"),
	}
	c.URL = r.url("url", c.publishedURL())
	if c.Verify.Mode != VerifyOff && c.Image != "" && !digestPattern.MatchString(c.Image) {
		r.invalid("image", c.Image, "NAME@sha256:…, because verify is "+c.Verify.Mode+" and only an image in a registry can be verified")
	}
	if err := errors.Join(r.problems...); err != nil {
		return Config{}, err
	}
	return c, nil
}

// publishedURL is where the edge is published, by the first name of its certificate where it has one.
func (c Config) publishedURL() string {
	if c.TLS.Mode == TLSOff || len(c.TLS.Hosts) == 0 {
		return fmt.Sprintf("http://%s:%d", c.Bind, c.Port)
	}
	return fmt.Sprintf("https://%s:%d", c.TLS.Hosts[0], c.TLS.Port)
}
