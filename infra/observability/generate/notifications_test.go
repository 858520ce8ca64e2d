package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/config/common"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/common/model"

	"bookshelf/infra/observability/generate/alerts"
	"bookshelf/infra/observability/generate/contract"
	"bookshelf/infra/observability/generate/objectives"
)

// alertmanager reads the golden configuration as Alertmanager does.
func alertmanager(t *testing.T) *config.Config {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "testdata", "alertmanager.json"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// every alert there is.
func every(t *testing.T) []alerts.Group {
	t.Helper()
	set, err := contract.Load(filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return append(alerts.Groups(set), objectives.Group())
}

func TestEachSeverityReachesItsReceivers(t *testing.T) {
	t.Parallel()
	c := alertmanager(t)
	root := dispatch.NewRoute(c.Route, nil)
	for severity, want := range map[string][]string{
		"critical": {"on-call", "team"}, "warning": {"team", "archive"}, "none": {"dead-man"}, "": {"nobody"},
	} {
		var got []string
		for _, route := range root.Match(model.LabelSet{"alertname": "Any", "severity": model.LabelValue(severity)}) {
			got = append(got, route.RouteOpts.Receiver)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%q reaches %v; want %v", severity, got, want)
		}
	}
}

func TestWhileTheDatabaseIsDownOnlyThatIsTold(t *testing.T) {
	t.Parallel()
	c := alertmanager(t)
	silent := func(cause, consequence model.LabelSet) bool {
		return slices.ContainsFunc(c.InhibitRules, func(r common.InhibitRule) bool {
			match := func(matchers common.Matchers, set model.LabelSet) bool { return labels.Matchers(matchers).Matches(set) }
			equal := !slices.ContainsFunc(r.Equal, func(name string) bool { return cause[model.LabelName(name)] != consequence[model.LabelName(name)] })
			return match(r.SourceMatchers, cause) && match(r.TargetMatchers, consequence) && equal
		})
	}
	named := func(name string, more ...model.LabelName) model.LabelSet {
		set := model.LabelSet{"alertname": model.LabelValue(name)}
		for i := 0; i+1 < len(more); i += 2 {
			set[more[i]] = model.LabelValue(more[i+1])
		}
		return set
	}
	for _, name := range []string{"InstanceDown", "NoInstanceReady", "ErrorRatio", "BudgetBurningFast"} {
		if !silent(named("DatabaseDown"), named(name)) {
			t.Errorf("%s is told while the database is down", name)
		}
	}
	for _, name := range []string{"DatabaseDown", "DiskFull", "BackupStale", "Watchdog", "NotificationsFailing"} {
		if silent(named("DatabaseDown"), named(name)) {
			t.Errorf("%s is not told while the database is down", name)
		}
	}
	full := named("DiskFull", "mountpoint", "/", "instance", "a")
	if !silent(full, named("DiskFilling", "mountpoint", "/", "instance", "a")) || silent(full, named("DiskFilling", "mountpoint", "/data", "instance", "a")) {
		t.Error("a disk that is full silences another, or not itself")
	}
}

func TestInhibitionNamesAlertsThatThereAre(t *testing.T) {
	t.Parallel()
	var known []string
	for _, g := range every(t) {
		for _, a := range g.Alerts {
			known = append(known, a.Name)
		}
	}
	for _, r := range alertmanager(t).InhibitRules {
		for _, m := range slices.Concat(r.SourceMatchers, r.TargetMatchers) {
			if m.Name != "alertname" {
				t.Errorf("%v is about no alert", m)
			}
			for pattern := range strings.SplitSeq(m.Value, "|") {
				if !slices.ContainsFunc(known, regexp.MustCompile("^(?:"+pattern+")$").MatchString) {
					t.Errorf("there is no alert %s", pattern)
				}
			}
		}
	}
}

func TestEveryAlertHasARunbookWithSomethingToLookAtAndToDo(t *testing.T) {
	t.Parallel()
	for _, g := range every(t) {
		text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "runbooks", g.Name+".md"))
		if err != nil {
			t.Error(err)
			continue
		}
		sections := map[string]string{}
		for _, section := range strings.Split(string(text), "\n## ")[1:] {
			name, body, _ := strings.Cut(section, "\n")
			sections[name] = body
		}
		for _, a := range g.Alerts {
			body, ok := sections[a.Name]
			if !ok || !strings.Contains(body, "\n```sh runbook\n") || !strings.Contains(body, "\nDo:\n\n- ") {
				t.Errorf("docs/runbooks/%s.md says nothing of %s, or not what to look at and to do", g.Name, a.Name)
			}
			if want := "docs/runbooks/" + g.Name + ".md#" + strings.ToLower(a.Name); g.Runbook(a.Name) != want {
				t.Errorf("%s links to %s", a.Name, g.Runbook(a.Name))
			}
		}
		for name := range sections {
			if !slices.ContainsFunc(g.Alerts, func(a alerts.Alert) bool { return a.Name == name }) {
				t.Errorf("docs/runbooks/%s.md is about %s, which is no alert of %s", g.Name, name, g.Name)
			}
		}
	}
}
