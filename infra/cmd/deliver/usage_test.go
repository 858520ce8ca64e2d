package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// command runs deliver in a repository with one environment, dev, away from any Docker engine.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "infra"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"Pulumi.yaml": "name: bookshelf\nruntime: go\n", "Pulumi.dev.yaml": "", "Pulumi.bad.yaml": "config:\n  bookshelf:port: nine\n  bookshelf:bind: here\n"} {
		if err := os.WriteFile(filepath.Join(root, "infra", name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var out, errs bytes.Buffer
	code = run(t.Context(), append(args, "--repository", root), func(string) (string, bool) { return "", false }, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

func TestWrongArgumentsGetOneClearLineAndExitCode2(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no environment":              {[]string{"up"}, "which environment? Name it with -e"},
		"an unknown command":          {[]string{"upp", "-e", "dev"}, `"upp" is not a command`},
		"a stray argument":            {[]string{"status", "-e", "dev", "now"}, `"now" is not a command or argument of deliver status`},
		"an unknown flag":             {[]string{"status", "-e", "dev", "--wait"}, "unknown flag: --wait (see `deliver status --help`)"},
		"an unknown environment":      {[]string{"status", "-e", "pord"}, `no environment "pord": there is no infra/Pulumi.pord.yaml (there are bad, dev)`},
		"a name that can't be one":    {[]string{"status", "-e", "../etc"}, "want 1 to 30 of a-z"},
		"a bad configuration":         {[]string{"up", "-e", "bad"}, "bookshelf:port"},
		"exec of nothing":             {[]string{"exec", "-e", "dev"}, "which command?"},
		"a negative number of lines":  {[]string{"logs", "-e", "dev", "--tail", "-3"}, "not negative"},
		"a duration without a unit":   {[]string{"logs", "-e", "dev", "--since", "15"}, "invalid argument"},
		"a release of nothing":        {[]string{"release", "-e", "dev"}, "which image? Name it with --image"},
		"a bake without a unit":       {[]string{"release", "-e", "dev", "--image", "a", "--bake", "soon"}, "invalid argument"},
		"a promotion to nowhere":      {[]string{"promote", "--from", "dev"}, "from where to where?"},
		"a promotion on the spot":     {[]string{"promote", "--from", "dev", "--to", "dev"}, "from where to where?"},
		"no reason":                   {[]string{"promote", "--from", "dev", "--to", "bad", "--no-comparison", " "}, "why without a comparison?"},
		"a report and a reason":       {[]string{"promote", "--from", "dev", "--to", "bad", "--no-comparison", "x", "--comparison", "y"}, "exclude each other"},
		"history of nothing":          {[]string{"report", "-e", "dev"}, "dev has had no release yet"},
		"too few replicas":            {[]string{"scale", "-e", "dev"}, "0 replicas: want 1 to 16"},
		"no bounds to scale within":   {[]string{"autoscale", "-e", "dev", "--min", "3", "--max", "2"}, "max 2: want 3, which is min, to 16"},
		"nothing to scale by":         {[]string{"autoscale", "-e", "dev", "--target-in-flight", "0"}, "no target: want target-in-flight or target-cpu above 0"},
		"more CPU than there is":      {[]string{"autoscale", "-e", "dev", "--target-cpu", "140"}, "target-cpu 140: want a percentage"},
		"a pace without a unit":       {[]string{"autoscale", "-e", "dev", "--every", "5"}, "invalid argument"},
		"a pace that is none":         {[]string{"autoscale", "-e", "dev", "--every", "0s"}, "every 0s: want 1s or more"},
		"patience below zero":         {[]string{"autoscale", "-e", "dev", "--cool-down", "-1m"}, "cool-down -1m0s: want none below 0s"},
		"time below zero":             {[]string{"autoscale", "-e", "dev", "--for", "-1m"}, "for -1m0s: want none below 0s"},
		"two things to rotate":        {[]string{"rotate", "-e", "dev", "database", "edge"}, "one thing at a time"},
		"something unknown":           {[]string{"rotate", "-e", "dev", "passwords"}, `"passwords" can't be rotated: there are database, tokens, edge and backup-key`},
		"the clients' own":            {[]string{"rotate", "-e", "dev", "tokens"}, "token rotate NAME"},
		"what the edge does not have": {[]string{"rotate", "-e", "dev", "edge"}, "keeps no password"},
		"an age without a unit":       {[]string{"rotate", "-e", "dev", "--if-older-than", "30"}, "want an age such as 30d"},
		"deletion without a person":   {[]string{"destroy", "-e", "dev", "--delete-data"}, "no terminal to ask on"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := command(t, test.args...)
			if code != exitUsage || !strings.Contains(stderr, test.want) {
				t.Errorf("exit code %d, want %d; standard error %q, want %q in it", code, exitUsage, stderr, test.want)
			}
			if stdout != "" {
				t.Errorf("standard output is for results, has %q", stdout)
			}
		})
	}
}

func TestABadConfigurationNamesEveryProblem(t *testing.T) {
	t.Parallel()
	_, _, stderr := command(t, "up", "-e", "bad")
	for _, want := range []string{"bookshelf:port", "bookshelf:bind"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%q is missing from %q", want, stderr)
		}
	}
}

func TestEveryCommandExplainsItselfWithAnExample(t *testing.T) {
	t.Parallel()
	d := &deliver{}
	for _, cmd := range d.command().Commands() {
		if cmd.Short == "" || cmd.Example == "" {
			t.Errorf("%s has no short help or no example", cmd.Name())
		}
	}
}

func TestChangesAreCountedInWords(t *testing.T) {
	t.Parallel()
	for want, changes := range map[string]map[string]int{
		"0 changes":            {},
		"3 created":            {"create": 3},
		"1 created, 2 deleted": {"delete": 2, "create": 1},
	} {
		if got := countChanges(changes); got != want {
			t.Errorf("countChanges(%v) = %q, want %q", changes, got, want)
		}
	}
}

func TestAnEngineThatDoesNotAnswerIsNamed(t *testing.T) {
	t.Setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
	code, _, stderr := command(t, "status", "-e", "dev")
	if code != exitFailed || !strings.Contains(stderr, "tcp://127.0.0.1:1 does not answer") {
		t.Errorf("exit code %d, standard error %q", code, stderr)
	}
}

func TestJSONIsOneObjectOnStandardOutput(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	d := &deliver{stdout: &out, json: true}
	if err := d.print(map[string]int{"n": 1}, nil); err != nil {
		t.Fatal(err)
	}
	var decoded map[string]int
	if err := json.Unmarshal(out.Bytes(), &decoded); err != nil || decoded["n"] != 1 {
		t.Errorf("printed %q (%v)", out.String(), err)
	}
}
