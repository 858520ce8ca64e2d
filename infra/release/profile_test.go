package release

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestProfilesAreValid(t *testing.T) {
	t.Parallel()
	for name, p := range Profiles {
		if err := p.Validate(); err != nil || p.Name != name {
			t.Errorf("%s is called %s: %v", name, p.Name, err)
		}
	}
}

func TestAProfileIsReadOverTheOneItNames(t *testing.T) {
	t.Parallel()
	changed := func(name string, change func(*Profile)) Profile {
		p := Profiles[name]
		change(&p)
		return p
	}
	for text, want := range map[string]Profile{
		"":                     Profiles["standard"],
		" {} ":                 Profiles["standard"],
		`{"profile": "fast"}`:  Profiles["fast"],
		`{"steps": [10, 100]}`: changed("standard", func(p *Profile) { p.Steps = []int{10, 100} }),
		`{"bake": "30s", "profile": "fast", "min_samples": 40, "risk": 0.02, "slow_addition": "5ms"}`: changed("fast", func(p *Profile) {
			p.Bake, p.Rules.MinSamples, p.Rules.Risk, p.Rules.SlowAddition = 30*time.Second, 40, 0.02, 5*time.Millisecond
		}),
	} {
		have, err := ParseProfile(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
	if diff := cmp.Diff([]int{5, 25, 50, 100}, Profiles["standard"].Steps); diff != "" {
		t.Errorf("reading a profile has changed the one that it began as: %s", diff)
	}
}

func TestEveryProblemOfAProfileIsNamed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		`{"profile": "slow", "bake": 30, "steps": [50, 25], "colour": "red", "min_samples": 1.5, "confidence": 1}`: {
			`profile = "slow": want one of fast, standard`, `bake = 30: want a duration from 0s to 1h`, `steps = [50 25]: want ascending numbers`,
			`colour: no such key (there are bake, `, `min_samples = 1.5: want a whole number from 1 to`, `confidence = 1: want a number from 0.5 to`,
		},
		`{"steps": [], "every": "1h"}`:      {"steps = []", "every = 1h: want a duration from 100ms to 1m", "lease = 30s: want at least three times"},
		`{"steps": [5, 25]}`:                {"steps = [5 25]: want ascending"},
		`{"steps": [100, 101]}`:             {"steps = [100 101]"},
		`{"steps": "all"}`:                  {`steps = "all"`},
		`{"profile": null}`:                 {"profile = null"},
		`{"risk": null, "hold": null}`:      {"risk = null", "hold = null"},
		`{"hold": "-1s", "bake": "soon"}`:   {"hold = -1s", `bake = "soon"`},
		`{"min_samples": 10, "fewest": 11}`: {"fewest = 11: want at most min_samples (10)"},
		`{"bake": "1s", "bake": "2s"}`:      {"bake: given twice"},
		`{"bake": "1s"`:                     {"not JSON"},
		`{"bake" "1s"}`:                     {"bake: not JSON"},
		`{1: 2}`:                            {"not JSON"},
		`{} {}`:                             {"something follows"},
		`[]`:                                {"want a JSON object"},
		`fast`:                              {"want a JSON object"},
		`{"error_tolerance": 2, "slow_factor": 0}`: {"error_tolerance = 2", "slow_factor = 0"},
	} {
		_, err := ParseProfile(text)
		if err == nil {
			t.Errorf("%s is taken", text)
			continue
		}
		for _, problem := range want {
			if !strings.Contains(err.Error(), problem) {
				t.Errorf("%s: no word of %q in:\n%v", text, problem, err)
			}
		}
		if have := strings.Count(err.Error(), "\n") + 1; have != len(want) {
			t.Errorf("%s: want %d problems, have %d:\n%v", text, len(want), have, err)
		}
	}
}

func TestAProfileSurvivesItsJSON(t *testing.T) {
	t.Parallel()
	want, err := ParseProfile(`{"profile": "fast", "steps": [100], "hold": "90s", "slow_tolerance": 0.25}`)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var have Profile
	if err := json.Unmarshal(text, &have); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Error(diff)
	}
}

func TestDurationsAreWrittenShort(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{0: "0s", 10 * time.Second: "10s", time.Minute: "1m", 90 * time.Second: "1m30s", time.Hour: "1h", 100 * time.Minute: "1h40m", 10 * time.Minute: "10m"} {
		if have := short(d); have != want {
			t.Errorf("want %s, have %s", want, have)
		}
	}
}

// TestTheDocumentedProfilesAreThese reads the table of docs/releases.md.
func TestTheDocumentedProfilesAreThese(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/releases.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string][]string{}
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) == 4 && strings.HasPrefix(strings.TrimSpace(cells[0]), "`") {
			documented[strings.Trim(cells[0], " `")] = []string{strings.Trim(cells[1], " `"), strings.Trim(cells[2], " `")}
		}
	}
	want := map[string][]string{}
	standard, fast := Profiles["standard"], Profiles["fast"]
	slow := standard.settings()
	for i, s := range fast.settings() {
		want[s.key] = []string{written(t, slow[i]), written(t, s)}
	}
	if diff := cmp.Diff(want, documented); diff != "" {
		t.Errorf("docs/releases.md says otherwise (-want +documented):\n%s", diff)
	}
}

func written(t *testing.T, s setting) string {
	t.Helper()
	text, err := json.Marshal(s.show())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
