package main

import (
	"strings"
	"testing"
	"time"
)

// healthy is a machine that lacks nothing.
func healthy() facts {
	return facts{
		goVersion: "1.26.8", goWanted: "1.26.0", git: true, cCompiler: true,
		dockerCommand: true, engineAPI: "1.41", buildxPlugin: true, basesThere: true, mmdebstrap: true,
		diskFree: 100 << 30, apt: true, root: true,
	}
}

func TestAHealthyMachineHasNoFindings(t *testing.T) {
	t.Parallel()
	if found := judge(healthy()); len(found) > 0 {
		t.Errorf("judge found %v", found)
	}
}

func TestEachLackIsOneFindingWithItsRemedy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lack     func(*facts)
		level    level
		what     string
		fix      string
		mendable bool
	}{
		"an older Go":             {func(f *facts) { f.goVersion = "1.25.9" }, necessary, "Go 1.25.9 is older than 1.26.0", "install Go 1.26.0", false},
		"no git":                  {func(f *facts) { f.git = false }, necessary, "git is missing", "apt-get install -y git", true},
		"no git, not root":        {func(f *facts) { f.git, f.root = false, false }, necessary, "git is missing", "sudo apt-get install -y git", true},
		"no git, no apt":          {func(f *facts) { f.git, f.apt = false, false }, necessary, "git is missing", "install git", false},
		"no docker":               {func(f *facts) { f.dockerCommand, f.engineAPI = false, "" }, necessary, "docker is missing", "apt-get install -y docker.io", true},
		"an engine that is down":  {func(f *facts) { f.engineAPI, f.engineError = "", "cannot connect" }, necessary, "no Docker engine answers (cannot connect)", "service docker start", true},
		"an engine of others":     {func(f *facts) { f.engineAPI, f.engineError = "", "permission denied" }, necessary, "refuses this user", "usermod -aG docker", false},
		"a remote engine":         {func(f *facts) { f.engineAPI, f.engineAddress = "", "tcp://far:1" }, necessary, "no Docker engine answers", "unset DOCKER_HOST, or start the engine at tcp://far:1", false},
		"a down engine, no apt":   {func(f *facts) { f.engineAPI, f.apt = "", false }, necessary, "no Docker engine answers", "start Docker", false},
		"an old engine":           {func(f *facts) { f.engineAPI = "1.39" }, necessary, "API 1.39", "upgrade the Docker engine", false},
		"no builder":              {func(f *facts) { f.buildxPlugin = false }, note, "no buildx plugin", "make image", false},
		"no way to build bases":   {func(f *facts) { f.basesThere, f.mmdebstrap = false, false }, note, "mmdebstrap is missing", "apt-get install -y mmdebstrap", true},
		"no C compiler":           {func(f *facts) { f.cCompiler = false }, note, "no C compiler", "gcc", true},
		"little room":             {func(f *facts) { f.diskFree = 5 << 30 }, advice, "only 5.4 GB are free", "docker system prune", false},
		"no room":                 {func(f *facts) { f.diskFree = 1 << 30 }, necessary, "only 1.1 GB are free", "docker system prune", false},
		"somebody on the port":    {func(f *facts) { f.port, f.portError = "127.0.0.1:8080", "it is in use" }, necessary, "127.0.0.1:8080 cannot be used (it is in use)", "sport = :8080", false},
		"a clock that is behind":  {func(f *facts) { f.clockSkew = -time.Hour }, advice, "1h0m0s behind", "timedatectl", false},
		"a clock that is ahead":   {func(f *facts) { f.clockSkew = 6 * time.Minute }, advice, "6m0s ahead of", "timedatectl", false},
		"a commit of the future":  {func(f *facts) { f.newestFile = time.Hour }, advice, "1h0m0s in the future", "timedatectl", false},
		"a clock wrong both ways": {func(f *facts) { f.clockSkew, f.newestFile = -time.Hour, time.Hour }, advice, "behind", "timedatectl", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := healthy()
			c.lack(&f)
			found := judge(f)
			if len(found) != 1 {
				t.Fatalf("judge found %d things: %v", len(found), found)
			}
			got := found[0]
			if got.level != c.level || !strings.Contains(got.what, c.what) || !strings.Contains(got.fix, c.fix) || got.mendable != c.mendable {
				t.Errorf("found %+v", got)
			}
			if got.why == "" || strings.Contains(got.String(), "\n") {
				t.Errorf("not one line with a reason: %q", got)
			}
		})
	}
}

func TestWhatIsNoLack(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*facts){
		"the environment's own container on the port": func(f *facts) { f.port, f.portError, f.portOurs = "127.0.0.1:8080", "it is in use", true },
		"a free port":                      func(f *facts) { f.port = "127.0.0.1:8080" },
		"a clock a minute off":             func(f *facts) { f.clockSkew = time.Minute },
		"no plugin but the pinned builder": func(f *facts) { f.buildxPlugin, f.buildxBuilt = false, true },
		"base images without mmdebstrap":   func(f *facts) { f.mmdebstrap = false },
		"exactly the wanted Go":            func(f *facts) { f.goVersion = "1.26.0" },
		"a newer Go":                       func(f *facts) { f.goVersion = "1.27rc1" },
		"exactly the oldest engine":        func(f *facts) { f.engineAPI = "1.40" },
		"a newer engine":                   func(f *facts) { f.engineAPI = "1.100" },
	} {
		f := healthy()
		change(&f)
		if found := judge(f); len(found) > 0 {
			t.Errorf("%s: judge found %v", name, found)
		}
	}
}

func TestWhatIsNecessaryComesFirst(t *testing.T) {
	t.Parallel()
	f := healthy()
	f.cCompiler, f.clockSkew, f.git = false, time.Hour, false
	var levels []level
	for _, one := range judge(f) {
		levels = append(levels, one.level)
	}
	if len(levels) != 3 || levels[0] != necessary || levels[1] != advice || levels[2] != note {
		t.Errorf("the findings come as %v", levels)
	}
}

func TestReportIsSilentWhenQuietAndWell(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	notes := []finding{{level: note, what: "a note", why: "so", fix: "nothing"}}
	if err := report(notes, healthy(), true, &out); err != nil || out.Len() > 0 {
		t.Errorf("report: %v, printed %q", err, out.String())
	}
	if err := report(notes, healthy(), false, &out); err != nil || !strings.Contains(out.String(), "a note") {
		t.Errorf("report: %v, printed %q", err, out.String())
	}
}

func TestReportFailsOnlyForWhatIsNecessary(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := report([]finding{{level: advice, what: "hot"}}, healthy(), true, &out); err != nil || !strings.Contains(out.String(), "hot") {
		t.Errorf("advice: report %v, printed %q", err, out.String())
	}
	if err := report([]finding{{level: necessary, what: "broken"}}, healthy(), true, &out); err == nil {
		t.Error("something necessary is missing, and report is content")
	}
}

func TestVersionsCompareByNumber(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		have, want string
		older      bool
	}{
		{"1.26.0", "1.26.0", false}, {"1.26", "1.26.0", false}, {"1.26.10", "1.26.9", false}, {"1.9", "1.26.0", true},
		{"1.25.9", "1.26.0", true}, {"2", "1.26.0", false}, {"1.26rc1", "1.26.0", false}, {"", "1.40", true}, {"1.41", "1.40", false},
	} {
		if got := older(c.have, c.want); got != c.older {
			t.Errorf("older(%q, %q) = %v", c.have, c.want, got)
		}
	}
}
