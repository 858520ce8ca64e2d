// Package stack drives one Pulumi stack through the Automation API: it finds the stack's configuration, keeps its state and its
// lock, shows progress, and reads back what Pulumi believes to exist. It creates nothing but through Pulumi.
package stack

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"

	"bookshelf/infra/environment"
)

// Layout is where things are on this machine.
type Layout struct {
	// Infra is the folder with Pulumi.yaml and one Pulumi.<environment>.yaml per environment.
	Infra string
	// State is the folder with Pulumi's state and each environment's secrets, lock and history.
	State string
	// Tools is a folder whose bin holds pulumi and pulumi-resource-docker; what is on the PATH is used where it does not.
	Tools string
}

// FindLayout looks from a folder upwards for the repository. BOOKSHELF_STATE overrides where the state is.
func FindLayout(from string, lookupEnv func(string) (string, bool)) (Layout, error) {
	dir, err := filepath.Abs(from)
	if err != nil {
		return Layout{}, fmt.Errorf("find the repository: %w", err)
	}
	for root := dir; ; root = filepath.Dir(root) {
		infra := filepath.Join(root, "infra")
		if _, err := os.Stat(filepath.Join(infra, "Pulumi.yaml")); err == nil {
			l := Layout{Infra: infra, State: filepath.Join(root, ".bookshelf"), Tools: filepath.Join(root, ".tools")}
			if state, set := lookupEnv(environment.StateVariable); set && state != "" {
				l.State = state
			}
			return l, nil
		}
		if root == filepath.Dir(root) {
			return Layout{}, fmt.Errorf("no infra/Pulumi.yaml in %s or above: run this in a clone of the repository, or name its folder with --repository", dir)
		}
	}
}

// Environments lists the environments that have a configuration file, sorted.
func (l Layout) Environments() ([]string, error) {
	paths, err := filepath.Glob(filepath.Join(l.Infra, "Pulumi.*.yaml"))
	if err != nil {
		return nil, fmt.Errorf("list environments: %w", err)
	}
	var names []string
	for _, path := range paths {
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "Pulumi."), ".yaml"))
	}
	return names, nil
}

// dir is the folder of one environment below the state folder.
func (l Layout) dir(name string) string { return filepath.Join(l.State, name) }

// SecretsDir is the folder with the secrets of one environment.
func (l Layout) SecretsDir(name string) string { return environment.SecretsDir(l.State, name) }

// VerifiedDir is the folder with what was verified of the images of one environment.
func (l Layout) VerifiedDir(name string) string { return filepath.Join(l.dir(name), "verified") }

// HistoryDir is the folder with the reports of an environment's releases, a folder each.
func (l Layout) HistoryDir(name string) string { return filepath.Join(l.dir(name), "releases") }

// JournalFile is where a release that is under way is noted.
func (l Layout) JournalFile(name string) string { return filepath.Join(l.dir(name), "release.json") }

// DrillsDir is the folder with the reports of an environment's drills, a folder each.
func (l Layout) DrillsDir(name string) string { return filepath.Join(l.dir(name), "drills") }

// RestoreFile is where a restore that is under way is noted.
func (l Layout) RestoreFile(name string) string { return filepath.Join(l.dir(name), "restore.json") }

// MetricsDir is where commands leave what Prometheus is to know of their work: files that node_exporter reads.
func (l Layout) MetricsDir(name string) string { return filepath.Join(l.dir(name), "metrics") }

// UnknownEnvironmentError says which environments there are instead of the one that was asked for.
type UnknownEnvironmentError struct {
	Name  string
	Known []string
}

func (e *UnknownEnvironmentError) Error() string {
	return fmt.Sprintf("no environment %q: there is no infra/Pulumi.%s.yaml (there are %s)", e.Name, e.Name, strings.Join(e.Known, ", "))
}

// Settings is an environment's configuration by key, without the namespace.
type Settings map[string]string

// ReadSettings reads an environment's configuration file. All keys must be known: a misspelt one would silently have no effect.
func (l Layout) ReadSettings(name string) (Settings, error) {
	path := filepath.Join(l.Infra, "Pulumi."+name+".yaml")
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		known, err := l.Environments()
		if err != nil {
			return nil, err
		}
		return nil, &UnknownEnvironmentError{Name: name, Known: known}
	}
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	var file struct {
		Config map[string]yaml.Node `yaml:"config"`
	}
	if err := yaml.Unmarshal(content, &file); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	known := map[string]bool{}
	for _, key := range environment.Keys() {
		known[key] = true
	}
	settings := Settings{}
	var problems []error
	for qualified, node := range file.Config {
		key, ours := strings.CutPrefix(qualified, environment.Namespace+":")
		switch {
		case !ours:
			problems = append(problems, fmt.Errorf("%s:%d: %s: want a key of namespace %s", path, node.Line, qualified, environment.Namespace))
		case !known[key]:
			problems = append(problems, fmt.Errorf("%s:%d: %s: no such key (there are %s)", path, node.Line, qualified, strings.Join(environment.Keys(), ", ")))
		case environment.Structured(key) && node.Kind == yaml.MappingNode:
			if settings[key], err = asJSON(node); err != nil {
				problems = append(problems, fmt.Errorf("%s:%d: %s: %w", path, node.Line, qualified, err))
			}
		case environment.Structured(key):
			problems = append(problems, fmt.Errorf("%s:%d: %s: want a mapping", path, node.Line, qualified))
		case node.Kind != yaml.ScalarNode:
			problems = append(problems, fmt.Errorf("%s:%d: %s: want a single value", path, node.Line, qualified))
		default:
			settings[key] = node.Value
		}
	}
	return settings, errors.Join(problems...)
}

// asJSON writes a YAML mapping as JSON, which is how Pulumi passes on structured configuration.
func asJSON(node yaml.Node) (string, error) {
	var value map[string]any
	if err := node.Decode(&value); err != nil {
		return "", err
	}
	content, err := json.Marshal(value)
	return string(content), err
}
