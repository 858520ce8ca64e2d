package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// newGate is a gate in an empty repository with shell scripts in the place of the pinned tools.
func newGate(t *testing.T, scripts map[string]string) (*gate, *bytes.Buffer) {
	t.Helper()
	root := t.TempDir()
	bin := filepath.Join(root, ".tools", "bin")
	write(t, filepath.Join(root, "ci", "scanignore.yaml"), "ignore: []\n", 0o600)
	write(t, filepath.Join(root, ".gitignore"), "/reports/\n/.tools/\n/state/\n", 0o600)
	for name, script := range scripts {
		write(t, filepath.Join(bin, name), "#!/bin/sh\n"+script, 0o700)
	}
	cmd := exec.CommandContext(t.Context(), "git", "init", "--quiet", root)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git init: %v: %s", err, out)
	}
	var out bytes.Buffer
	return &gate{
		root: root, reports: filepath.Join(root, "reports"), stdout: &out, stderr: &out, now: time.Now,
		tools: tools{bin: bin, env: os.Environ()},
	}, &out
}

func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

func TestWrongArgumentsAreToldApartFromARedGate(t *testing.T) {
	t.Parallel()
	g, _ := newGate(t, nil)
	const image = "registry.example/bookshelf@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no gate":                 {nil, "which gate?"},
		"an unknown gate":         {[]string{"scna"}, `no gate "scna"`},
		"an unknown flag":         {[]string{"scan", "--quick"}, "scan: flag provided but not defined: -quick"},
		"a stray argument":        {[]string{"sbom", "image"}, `want no argument, have ["image"]`},
		"a comparison's argument": {[]string{"perf", "main"}, `perf: want no argument, have ["main"]`},
		"a comparison's flag":     {[]string{"perf", "--rounds", "3"}, "perf: flag provided but not defined: -rounds"},
		"an unknown module":       {[]string{"vuln", "apps"}, `no module "apps"`},
		"a tag to sign":           {[]string{"sign", "--key", "k", "--source-url", "u", "registry.example/bookshelf:1"}, "by digest"},
		"a signature without key": {[]string{"sign", "--source-url", "u", image}, "make sign IMAGE=NAME@sha256:… KEY=FILE SOURCE_URL=URL"},
		"nothing to sign":         {[]string{"sign", "--check", "--key", "k", "--source-url", "u", ""}, "an image, --key and --source-url are needed"},
		"nothing to verify":       {[]string{"verify", "--check", "--key", "k", ""}, "an image is needed: make verify"},
		"no key to verify with":   {[]string{"verify", "--check", "--key", "no.pub", image}, "no.pub"},
		"a key that is not there": {[]string{"sign", "--source-url", "u", "--key", "no.key", image}, "no.key"},
		"anybody's signature":     {[]string{"verify", image}, "needs a public key, or the identity and the issuer"},
		"a key and an identity":   {[]string{"verify", "--key", "k", "--identity", "i", image}, "not with both"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := g.command(t.Context(), test.args)
			if _, wrong := errors.AsType[*usageError](err); !wrong || !strings.Contains(err.Error(), test.want) {
				t.Errorf("want a complaint about the arguments that says %q, have %v", test.want, err)
			}
		})
	}
}

func TestAToolThatIsNotBuiltIsNamedWithTheWayToBuildIt(t *testing.T) {
	t.Parallel()
	g, _ := newGate(t, nil)
	err := g.command(t.Context(), []string{"vuln", "app"})
	if err == nil || !strings.Contains(err.Error(), "./install govulncheck") {
		t.Errorf("want how to build govulncheck, have %v", err)
	}
}

func TestNoFlagReachesTrivyThroughTheEnvironment(t *testing.T) {
	t.Parallel()
	all := tools{env: []string{"PATH=/bin", "TRIVY_SEVERITY=LOW", "TRIVY_IGNORE_UNFIXED=1"}}
	if env := all.environment("trivy"); !slices.Equal(env, []string{"PATH=/bin", "GOWORK=off"}) {
		t.Errorf("Trivy is given %q", env)
	}
	if env := all.environment("cosign"); !slices.Contains(env, "TRIVY_SEVERITY=LOW") {
		t.Errorf("cosign misses what is not about Trivy: %q", env)
	}
}

func TestTheScanSeesWhatGitWouldAddAndNothingElse(t *testing.T) {
	t.Parallel()
	g, _ := newGate(t, nil)
	write(t, filepath.Join(g.root, "new.go"), "package a\n", 0o600)
	write(t, filepath.Join(g.root, "state", "password"), "secret\n", 0o600)
	if err := os.Symlink("/etc/hostname", filepath.Join(g.root, "link")); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := g.checkout(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, name := range []string{"new.go", ".gitignore", "ci/scanignore.yaml", "state/password", "link"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			have = append(have, name)
		}
	}
	if want := []string{"new.go", ".gitignore", "ci/scanignore.yaml"}; !slices.Equal(have, want) {
		t.Errorf("the copy has %q, want %q", have, want)
	}
}

func TestAFailedScanLeavesNoReportOfAnEarlierRun(t *testing.T) {
	t.Parallel()
	g, _ := newGate(t, map[string]string{"trivy": "echo 'no such host' >&2; exit 1"})
	old := filepath.Join(g.reports, "scan", "verdict.md")
	write(t, old, "## Scan passed\n", 0o600)
	err := g.command(t.Context(), []string{"scan", "--archive", "any.tar", "--cache", t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "so nothing is known") || !strings.Contains(err.Error(), "no such host") {
		t.Errorf("want why there is no verdict, have %v", err)
	}
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the report of the earlier run is still there (%v)", err)
	}
}

func TestADownloadThatLeavesNoDatabaseIsNoPass(t *testing.T) {
	t.Parallel()
	g, _ := newGate(t, map[string]string{"trivy": "exit 0"})
	err := g.command(t.Context(), []string{"scan", "--archive", "any.tar", "--cache", t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "there is no vulnerability database") {
		t.Errorf("want a complaint about the database, have %v", err)
	}
}

// vulncheck is a govulncheck that fails to analyse with one exit code and ends the conversion to text with another.
func vulncheck(analysis, text string) map[string]string {
	return map[string]string{"govulncheck": `case "$*" in
*"-format json"*) echo '{}'; echo 'cannot reach the database' >&2; exit ` + analysis + ` ;;
*"-format text"*) echo 'Vulnerability #1: GO-2026-0001'; exit ` + text + ` ;;
*) echo '{"runs": []}' ;;
esac
`}
}

func TestVulnerableCodeIsRedAndAnUnansweredQuestionIsNoPass(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		tools map[string]string
		want  string // "" is a pass
	}{
		"nothing that is called":      {vulncheck("0", "0"), ""},
		"something that is called":    {vulncheck("0", "3"), "app calls code with known vulnerabilities:\nVulnerability #1: GO-2026-0001"},
		"no database":                 {vulncheck("1", "0"), "nothing is known of it: govulncheck -format ended with exit code 1: cannot reach the database"},
		"a report that cannot be had": {vulncheck("0", "2"), "write the report of app as text"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, out := newGate(t, test.tools)
			write(t, filepath.Join(g.root, "app", "go.mod"), "module a\n", 0o600)
			err := g.command(t.Context(), []string{"vuln", "app"})
			switch {
			case test.want == "" && err != nil:
				t.Errorf("want a pass, have %v", err)
			case test.want == "" && !strings.Contains(out.String(), "app    calls no code with known vulnerabilities"):
				t.Errorf("a pass says %q", out)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("want an error with %q, have %v", test.want, err)
			}
		})
	}
}

func TestAnAttestationIsNoSignature(t *testing.T) {
	t.Parallel()
	const image = "registry.example/bookshelf@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	answer := func(kind string) map[string]string {
		return map[string]string{"cosign": `echo '[{"critical": {"type": "` + kind + `"}}]'`}
	}
	g, _ := newGate(t, answer("https://cyclonedx.org/bom"))
	key := filepath.Join(g.root, "cosign.pub")
	write(t, key, "a key\n", 0o600)
	err := g.command(t.Context(), []string{"verify", "--key", key, image})
	if err == nil || !strings.Contains(err.Error(), "no signature") {
		t.Errorf("an attestation passes for a signature: %v", err)
	}
	g, _ = newGate(t, answer("https://sigstore.dev/cosign/sign/v1"))
	if err := g.command(t.Context(), []string{"verify", "--key", key, image}); err != nil {
		t.Error(err)
	}
}

// `make sign` and `make verify` ask before they build tools for minutes.
func TestArgumentsCanBeCheckedWithoutAnyTool(t *testing.T) {
	t.Setenv("COSIGN_PASSWORD", "")
	const image = "registry.example/bookshelf@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	g, out := newGate(t, map[string]string{"cosign": "echo called; exit 1"})
	key := filepath.Join(g.root, "cosign.key")
	write(t, key, "a key\n", 0o600)
	cmd := exec.CommandContext(t.Context(), "git", "-C", g.root, "-c", "user.name=Test", "-c", "user.email=test@example.org",
		"commit", "--quiet", "--allow-empty", "--message", "Seed")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git commit: %v: %s", err, said)
	}
	for _, args := range [][]string{
		{"sign", "--check", "--key", key, "--source-url", "https://example.org/bookshelf", image},
		{"verify", "--check", "--key", key, image},
	} {
		if err := g.command(t.Context(), args); err != nil || out.Len() > 0 {
			t.Errorf("gate %q: %v, and it says %q", args, err, out)
		}
	}
}
