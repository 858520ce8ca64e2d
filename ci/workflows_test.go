package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"dagger/bookshelf/plan"
)

// workflow is what the rules are about.
type workflow struct {
	On          yaml.Node         `yaml:"on"`
	Permissions map[string]string `yaml:"permissions"`
	Concurrency *struct {
		Group  string `yaml:"group"`
		Cancel *bool  `yaml:"cancel-in-progress"`
	} `yaml:"concurrency"`
	Jobs map[string]job `yaml:"jobs"`
}

type job struct {
	Needs       yaml.Node         `yaml:"needs"`
	Timeout     int               `yaml:"timeout-minutes"`
	Permissions map[string]string `yaml:"permissions"`
	Environment string            `yaml:"environment"`
	Env         map[string]string `yaml:"env"`
	Steps       []struct {
		Name string            `yaml:"name"`
		Uses string            `yaml:"uses"`
		With map[string]string `yaml:"with"`
		Env  map[string]string `yaml:"env"`
		Run  string            `yaml:"run"`
		If   string            `yaml:"if"`
	} `yaml:"steps"`
}

func workflowFiles(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("../.github/workflows/*.yml")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(path)] = string(content)
	}
	for _, name := range []string{"test.yml", "deploy.yml", "security.yml"} {
		if files[name] == "" {
			t.Fatalf("there is no workflow %s", name)
		}
	}
	return files
}

// violations are the rules that a workflow breaks.
func violations(content string) ([]string, error) {
	var w workflow
	if err := yaml.Unmarshal([]byte(content), &w); err != nil {
		return nil, err
	}
	var found []string
	complain := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	if !regexp.MustCompile(`(?m)^permissions: \{\}$`).MatchString(content) || len(w.Permissions) != 0 {
		complain("it does not begin with no permission at all")
	}
	if w.Concurrency == nil || w.Concurrency.Group == "" || w.Concurrency.Cancel == nil {
		complain("it does not say what becomes of two runs at once")
	}
	if strings.Contains(content, "pull_request_target") || strings.Contains(content, "workflow_run") {
		complain("a pull request's code could run with this repository's rights")
	}
	for name, j := range w.Jobs {
		j.violations(func(format string, args ...any) { complain("job "+name+": "+format, args...) })
	}
	// The comment is in the text and not in the document.
	uses := regexp.MustCompile(`^\s*(?:- )?uses: `)
	pinned := regexp.MustCompile(`uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	for line := range strings.Lines(content) {
		if line = strings.TrimRight(line, "\n"); uses.MatchString(line) && !pinned.MatchString(line) {
			complain("not pinned by commit with its version behind it: %s", strings.TrimSpace(line))
		}
	}
	return found, nil
}

func (j job) violations(complain func(format string, args ...any)) {
	if j.Timeout == 0 || j.Timeout > 90 {
		complain("its time-out is %d minutes, want up to 90", j.Timeout)
	}
	if j.Permissions == nil {
		complain("it does not say what it may do")
	}
	for what, level := range j.Permissions {
		// Whatever may be written is said here once more, so that a new one is noticed.
		if level != "read" && !slices.Contains([]string{"id-token", "security-events", "issues"}, what) {
			complain("it may %s %s", level, what)
		}
	}
	for i, s := range j.Steps {
		if strings.Contains(s.Run, "${{") {
			complain("step %d: an expression inside a script is text that somebody else may write", i+1)
		}
		if strings.HasPrefix(s.Uses, "actions/checkout@") && s.With["persist-credentials"] != "false" {
			complain("step %d: the checkout leaves its token behind", i+1)
		}
		if strings.HasPrefix(s.Uses, "dagger/dagger-for-github@") && (s.With["version"] != "v"+engineVersion || len(s.With) != 1) {
			complain("step %d: want Dagger v%s installed and nothing else", i+1, engineVersion)
		}
		if regexp.MustCompile(`\bcurl\b|\bwget\b|\|\s*(ba)?sh\b`).MatchString(s.Run) {
			complain("step %d: it runs what it downloads", i+1)
		}
	}
}

// engineVersion is that of dagger.json.
const engineVersion = "0.21.7"

func TestWorkflowsKeepTheRules(t *testing.T) {
	t.Parallel()
	for name, content := range workflowFiles(t) {
		broken, err := violations(content)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, rule := range broken {
			t.Errorf("%s: %s", name, rule)
		}
	}
}

// A rule that nothing can break is none.
func TestTheRulesNoticeABreach(t *testing.T) {
	t.Parallel()
	good := workflowFiles(t)["test.yml"]
	for name, change := range map[string][2]string{
		"permissions for all jobs":    {"permissions: {}", "permissions: {contents: write}"},
		"a job without permissions":   {"    permissions:\n      contents: read # the checkout\n    strategy", "    strategy"},
		"a job that may write":        {"contents: read", "contents: write"},
		"no time-out":                 {"    timeout-minutes: 45\n", ""},
		"an action by tag":            {"actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1", "actions/checkout@v7"},
		"a pin without its version":   {"3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1", "3d3c42e5aac5ba805825da76410c181273ba90b1"},
		"a token that stays":          {"persist-credentials: false", "persist-credentials: true"},
		"a checkout with its default": {"        with:\n          persist-credentials: false\n", ""},
		"an expression in a script":   {`dagger call "$GATE"`, `dagger call ${{ matrix.gate }}`},
		"no concurrency":              {"concurrency:", "# concurrency:"},
		"another Dagger":              {"version: v0.21.7", "version: latest"},
		"rights for strangers":        {"  pull_request:", "  pull_request_target:"},
		"a piped script":              {`dagger call "$GATE"`, `curl https://example.com | sh`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(good, change[0]) {
				t.Fatalf("the workflow has no %q to change", change[0])
			}
			bad := strings.Replace(good, change[0], change[1], 1)
			if name == "no concurrency" {
				bad = regexp.MustCompile(`(?m)^concurrency:\n(  .*\n)+`).ReplaceAllString(good, "")
			}
			if broken, err := violations(bad); err != nil || len(broken) == 0 {
				t.Errorf("nobody noticed (%v)", err)
			}
		})
	}
}

func TestOnlyMainIsDeployedAndProdComesLast(t *testing.T) {
	t.Parallel()
	var w workflow
	if err := yaml.Unmarshal([]byte(workflowFiles(t)["deploy.yml"]), &w); err != nil {
		t.Fatal(err)
	}
	var on struct {
		Push struct {
			Branches []string `yaml:"branches"`
		} `yaml:"push"`
	}
	if err := w.On.Decode(&on); err != nil {
		t.Fatal(err)
	}
	if len(w.On.Content) != 2 || !slices.Equal(on.Push.Branches, []string{"main"}) {
		t.Error("something other than a push to main deploys")
	}
	needs := func(name string) []string {
		var list []string
		if node := w.Jobs[name].Needs; node.Kind == yaml.ScalarNode {
			list = []string{node.Value}
		} else if err := node.Decode(&list); err != nil {
			t.Fatal(err)
		}
		return list
	}
	if !slices.Equal(needs("staging"), []string{"release"}) || !slices.Contains(needs("prod"), "staging") {
		t.Errorf("staging needs %q and prod %q", needs("staging"), needs("prod"))
	}
	for _, name := range []string{"staging", "prod"} {
		if w.Jobs[name].Environment != name {
			t.Errorf("job %s runs in the environment %q", name, w.Jobs[name].Environment)
		}
		if !strings.Contains(w.Jobs[name].Env["IMAGE"], "needs.release.outputs.image") {
			t.Errorf("job %s deploys something other than what was released", name)
		}
	}
}

// After a release the baseline would be the image itself.
func TestAnImageIsComparedWithTheLastReleaseBeforeItIsOne(t *testing.T) {
	t.Parallel()
	var w workflow
	if err := yaml.Unmarshal([]byte(workflowFiles(t)["deploy.yml"]), &w); err != nil {
		t.Fatal(err)
	}
	compared := false
	for _, s := range w.Jobs["release"].Steps {
		switch {
		case strings.Contains(s.Run, " perf --baseline="):
			compared = true
			if s.If != "" || !strings.Contains(s.Run, "$repository:main") {
				t.Error("it is not always compared, or not with what main has released")
			}
			table, verdict := strings.Index(s.Run, `verdict.md >> "$GITHUB_STEP_SUMMARY"`), strings.Index(s.Run, "grep ")
			if !strings.Contains(s.Run, " --report-only ") || table < 0 || verdict < table {
				t.Error("a red comparison does not leave its table in the summary")
			}
			pattern := regexp.MustCompile(`grep -qE '([^']+)' perf/verdict\.md`).FindStringSubmatch(s.Run)
			if pattern == nil {
				t.Fatal("it does not come to a verdict")
			}
			passes := regexp.MustCompile("(?m)" + pattern[1])
			for _, outcome := range []plan.Outcome{plan.Passed, plan.Worse, plan.Undecided} {
				if table := (plan.Judgement{Outcome: outcome}).Table(); passes.MatchString(table) != (outcome == plan.Passed) {
					t.Errorf("the job takes this for the wrong verdict:\n%s", table)
				}
			}
			if !passes.MatchString(plan.NothingToCompare) {
				t.Error("the first release does not pass")
			}
		case strings.Contains(s.Run, "release --repository="):
			if !compared {
				t.Error("it is released before it was compared")
			}
			return
		}
	}
	t.Error("nothing is released")
}

// A red run has to be repeatable with one command.
func TestEveryJobThatJudgesSaysHowToRepeatIt(t *testing.T) {
	t.Parallel()
	call := regexp.MustCompile(`(?m)^(\w+=\$\()?dagger call |deliver up |^ossf/scorecard-action@`)
	for file, content := range workflowFiles(t) {
		var w workflow
		if err := yaml.Unmarshal([]byte(content), &w); err != nil {
			t.Fatal(err)
		}
		for name, j := range w.Jobs {
			calls, tells := false, false
			for _, s := range j.Steps {
				calls = calls || call.MatchString(s.Run) || call.MatchString(s.Uses)
				tells = tells || s.If == "failure()" && strings.Contains(s.Run, "Repeat")
			}
			if calls && !tells {
				t.Errorf("%s: job %s leaves a person without a command", file, name)
			}
		}
	}
}

func TestTheEngineIsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"../dagger.json": `"engineVersion": "v` + engineVersion + `"`,
		"go.mod":         "dagger.io/dagger v" + engineVersion,
	} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(content), want) {
			t.Errorf("%s does not say %s", file, want)
		}
	}
}

// GitHub drops a job's output that contains the text of a secret, and says so only in a log: the image's name, which often contains
// the login's, would never reach the jobs that deploy it.
func TestWhatIsHandedOnContainsNoSecret(t *testing.T) {
	t.Parallel()
	secrets := regexp.MustCompile(`secrets\.(\w+)`)
	for name, content := range workflowFiles(t) {
		for _, m := range secrets.FindAllStringSubmatch(content, -1) {
			if m[1] != "REGISTRY_PASSWORD" {
				t.Errorf("%s keeps %s as a secret", name, m[1])
			}
		}
	}
}

func TestDependabotLooksEverywhere(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../.github/dependabot.yml")
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Version int `yaml:"version"`
		Updates []struct {
			Ecosystem   string   `yaml:"package-ecosystem"`
			Directory   string   `yaml:"directory"`
			Directories []string `yaml:"directories"`
			Cooldown    struct {
				Days int `yaml:"default-days"`
			} `yaml:"cooldown"`
		} `yaml:"updates"`
	}
	if err := yaml.Unmarshal(content, &config); err != nil {
		t.Fatal(err)
	}
	seen := map[string][]string{}
	for _, u := range config.Updates {
		seen[u.Ecosystem] = append(append(seen[u.Ecosystem], u.Directories...), u.Directory)
		if u.Cooldown.Days < 7 {
			t.Errorf("%s in %s%v is taken after %d days, want a week", u.Ecosystem, u.Directory, u.Directories, u.Cooldown.Days)
		}
	}
	for ecosystem, folders := range map[string][]string{
		"gomod":          {"/app", "/ci", "/infra", "/conformance", "/tools/*"},
		"github-actions": {"/"}, "docker": {"/"}, "docker-compose": {"/"},
	} {
		for _, folder := range folders {
			if !slices.Contains(seen[ecosystem], folder) {
				t.Errorf("nobody looks after %s in %s", ecosystem, folder)
			}
		}
	}
}
