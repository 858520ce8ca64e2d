package pinned

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSettingsThatCannotBeMeantAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ settings, complaint string }{
		"an unknown field":             {`{"package": "a/b", "versionArgs": ["version"], "minutes": 1, "ldflag": ""}`, `unknown field "ldflag"`},
		"no package":                   {`{"versionArgs": ["version"], "minutes": 1}`, "package is missing"},
		"no way to ask the version":    {`{"package": "a/b", "minutes": 1}`, "versionArgs is missing"},
		"no idea how long it takes":    {`{"package": "a/b", "versionArgs": ["version"]}`, "minutes must be at least 1"},
		"a version beside go.mod":      {`{"package": "a/b", "version": "1.0.0", "versionArgs": ["v"], "minutes": 1}`, "version belongs here when"},
		"an own package with none":     {`{"package": ".", "versionArgs": ["v"], "minutes": 1}`, "version belongs here when"},
		"a version with its v":         {`{"package": ".", "version": "v1.0.0", "versionArgs": ["v"], "minutes": 1}`, "without its v"},
		"something behind the object":  {`{"package": "a/b", "versionArgs": ["v"], "minutes": 1} {}`, "something follows"},
		"not an object but a sentence": {`build it`, "invalid character"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parse([]byte(c.settings))
			if err == nil || !strings.Contains(err.Error(), c.complaint) {
				t.Errorf("parse: %v, want a complaint about %q", err, c.complaint)
			}
		})
	}
}

func TestEveryToolOfTheRepositoryLoads(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	names := Names(root)
	if len(names) == 0 {
		t.Fatal("the repository pins no tool")
	}
	for _, name := range names {
		tool, err := Load(t.Context(), root, name)
		if err != nil {
			t.Error(err)
			continue
		}
		if tool.Version == "" || strings.HasPrefix(tool.Version, "v") {
			t.Errorf("%s has the version %q, want one without a v", name, tool.Version)
		}
	}
}

func TestUnknownToolsAreNamedTogetherWithTheKnownOnes(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, filepath.Join(root, "tools", "hammer", "tool.json"), `{}`)
	for _, name := range []string{"saw", "../hammer", ""} {
		_, err := Load(t.Context(), root, name)
		if err == nil || !strings.Contains(err.Error(), "there are: hammer") {
			t.Errorf("Load(%q): %v, want the list of tools", name, err)
		}
	}
}

func TestTheVersionIsThatOfTheModuleThatProvidesThePackage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), `module example.org/tools/x
go 1.26.0
require (
	example.org/a v1.0.0
	example.org/a/pkg/v3 v3.2.1
	example.org/ab v0.9.0
)
`)
	for pkg, want := range map[string]string{
		"example.org/a/cmd/x":        "1.0.0",
		"example.org/a/pkg/v3/cmd/x": "3.2.1",
		"example.org/a/pkg/v3":       "3.2.1",
	} {
		got, err := requiredVersion(t.Context(), dir, pkg)
		if err != nil || got != want {
			t.Errorf("requiredVersion(%s) = %q, %v; want %q", pkg, got, err, want)
		}
	}
	if _, err := requiredVersion(t.Context(), dir, "example.org/other"); err == nil {
		t.Error("a package that no module provides has a version")
	}
}

func TestTheKeyChangesWithWhateverGoesIntoTheBinary(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), "module a\n")
	tool := &Tool{Name: "a", Dir: dir}
	key := func(goVersion string) string {
		k, err := tool.Key(goVersion)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	first := key("go1.26.0")
	if key("go1.26.1") == first {
		t.Error("another compiler gives the same key")
	}
	write(t, filepath.Join(dir, "README.md"), "prose")
	write(t, filepath.Join(dir, "main_test.go"), "package main")
	if key("go1.26.0") != first {
		t.Error("prose and tests change the key")
	}
	write(t, filepath.Join(dir, "shim", "shim.go"), "package shim")
	if key("go1.26.0") == first {
		t.Error("a new source in a folder below does not change the key")
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
