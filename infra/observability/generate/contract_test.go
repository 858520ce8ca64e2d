package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bookshelf/infra/observability/generate/contract"
)

// sources are the files that everything is generated from.
var sources = []string{
	"app/internal/telemetry/contract.yaml", "app/internal/telemetry/objectives.yaml", "infra/images/edge/contract.yaml",
	"infra/observability/contracts/service.yaml", "infra/observability/textfile/contract.yaml",
	"infra/observability/contracts/external.yaml", "infra/observability/contracts/targets.yaml",
}

// changed is a repository of the sources alone, in one of which something is replaced.
func changed(t *testing.T, file, old, with string) string {
	t.Helper()
	root := t.TempDir()
	for _, name := range sources {
		text, err := os.ReadFile(filepath.Join("..", "..", "..", name))
		if err != nil {
			t.Fatal(err)
		}
		if name == file {
			if !strings.Contains(string(text), old) {
				t.Fatalf("%s does not contain %q", name, old)
			}
			text = []byte(strings.ReplaceAll(string(text), old, with))
		}
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestAChangeInOnePlaceAloneFailsTheBuild(t *testing.T) {
	t.Parallel()
	app, edge := sources[0], sources[2]
	for name, c := range map[string]struct{ file, old, with, complaint string }{
		"a metric of docs/contract.md is renamed":      {app, "name: http_server_active_requests", "name: http_active_requests", "does not have http_server_active_requests as docs/contract.md wants it"},
		"a metric of the service is renamed":           {app, "{name: bookd_connections_limit", "{name: bookd_limit", `Saturation: sum by`},
		"a metric of the edge is renamed":              {edge, "edge_slot_weight", "edge_weight", `ReleaseStuck: count by (environment) (edge_slot_weight > 0) > 1: no contract has the metric "edge_slot_weight"`},
		"a label of the edge is renamed":               {edge, "labels: {slot: slot, code: class}", "labels: {slot: slot, class: class}", "no metric of it has the label code"},
		"a metric of an exporter is renamed":           {sources[5], "name: pg_up", "name: postgres_up", `no contract has the metric "pg_up"`},
		"a histogram becomes a summary":                {app, "type: histogram\n    unit: s", "type: summary\n    unit: s", "does not have http_server_request_duration_seconds"},
		"a metric has a bound that there is not":       {app, "http_route: route,", "http_route: rout,", `label http_route: there is no bound "rout"`},
		"two contracts have the same metric":           {edge, "name: edge_lease", "name: bookd_connections", "metric bookd_connections is in two contracts"},
		"a metric without a meaning":                   {edge, "help: Whether the weights are leased.", `help: ""`, `metric "edge_lease": name, type, unit and help are needed`},
		"a field that nobody knows":                    {edge, "stability: stable", "stabile: stable", "field stabile not found"},
		"a job that alerts are about has another name": {app, "used: bookd_connections,", "used: bookd_conections,", `no contract has the metric "bookd_conections"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := generate(changed(t, c.file, c.old, c.with)); err == nil || !strings.Contains(err.Error(), c.complaint) {
				t.Errorf("the error is %v; want %q in it", err, c.complaint)
			}
		})
	}
}

func TestWhatIsCommittedIsWhatIsGenerated(t *testing.T) {
	t.Parallel()
	if err := run(filepath.Join("..", "..", ".."), true); err != nil {
		t.Error(err)
	}
}

func TestWhatIsNoLongerGeneratedIsSaidAndTakenAway(t *testing.T) {
	t.Parallel()
	root := changed(t, "", "", "")
	if err := run(root, false); err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(root, "infra", "observability", "rules", "old.yml")
	alerts := filepath.Join(root, "docs", "alerts.md")
	for _, path := range []string{old, alerts} {
		if err := os.WriteFile(path, []byte("# by hand\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err := run(root, true)
	for _, want := range []string{"infra/observability/rules/old.yml is no longer generated", "docs/alerts.md is not what the generator writes"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v; want %q in it", err, want)
		}
	}
	if err := run(root, false); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Errorf("the old file is still there: %v", err)
	}
	if err := run(root, true); err != nil {
		t.Error(err)
	}
}

func TestAQueryMayUseOnlyWhatIsTold(t *testing.T) {
	t.Parallel()
	set, err := contract.Load(filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for query, complaint := range map[string]string{
		`rate(http_server_requests_total{http_route="/livez"}[5m])`:                    "",
		`rate(http_server_request_duration_seconds_bucket{le="0.25",slot="blue"}[5m])`: "",
		`up{job="edge"} and on (instance) edge_lease`:                                  "",
		`rate(http_server_requests_total{route="/livez"}[5m])`:                         "http_server_requests_total has no label route",
		`http_server_request_duration_seconds`:                                         "no contract has the metric",
		`sum by (path) (edge_lease)`:                                                   "no metric of it has the label path",
		`up + on (pod) edge_lease`:                                                     "no metric of it has the label pod",
		`sum by (slot (edge_slot_weight)`:                                              "parse error",
	} {
		if err := set.Check(query); complaint == "" && err != nil || complaint != "" && (err == nil || !strings.Contains(err.Error(), complaint)) {
			t.Errorf("%s: %v; want %q", query, err, complaint)
		}
	}
}
