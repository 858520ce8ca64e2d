package pinned

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestAVersionIsFoundOnlyWhenItIsExact(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"v3.2.0":                           true,
		"3.2.0\n":                          true,
		"tool version 3.2.0 (linux/amd64)": true,
		"tool v3.2.0, build abc":           true,
		"13.2.0":                           false,
		"3.2.01":                           false,
		"3.2.0-rc.1":                       false,
		"3.2.0+local":                      false,
		"1.3.2.0":                          false,
		"3a2b0":                            false,
		"":                                 false,
	} {
		if got := says(text, "3.2.0"); got != want {
			t.Errorf("says(%q) = %v, want %v", text, got, want)
		}
	}
}

// hammer is a repository with one tool of its own, which builds in a moment.
func hammer(t *testing.T, main string) (root string) {
	t.Helper()
	root = t.TempDir()
	dir := filepath.Join(root, "tools", "hammer")
	write(t, filepath.Join(dir, "go.mod"), "module example.org/hammer\n\ngo 1.26.0\n")
	write(t, filepath.Join(dir, "main.go"), main)
	write(t, filepath.Join(dir, "tool.json"), `{
		"package": ".", "version": "1.2.3", "ldflags": "-X main.version={{version}}", "versionArgs": ["version"],
		"official": ["$PULUMI_HOME/plugins/hammer-v$VERSION/hammer", "official-hammer"], "minutes": 1
	}`)
	return root
}

const goodHammer = `package main
var version string
func main() { println(version) }
`

func TestInstallBuildsOnceAndLinks(t *testing.T) {
	t.Parallel()
	root := hammer(t, goodHammer)
	var all sync.WaitGroup
	for range 4 { // at once, as two terminals would
		all.Go(func() {
			if _, err := install(t.Context(), root, filepath.Join(root, "cache"), "hammer"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	link := filepath.Join(root, ".tools", "bin", "hammer")
	out, err := exec.CommandContext(t.Context(), link).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "1.2.3" {
		t.Fatalf("the built tool says %q, %v; want its version", out, err)
	}
	built, err := os.Stat(link)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := install(t.Context(), root, filepath.Join(root, "cache"), "hammer"); err != nil {
		t.Fatal(err)
	}
	if again, err := os.Stat(link); err != nil || !os.SameFile(built, again) {
		t.Errorf("a second installation built it again (%v)", err)
	}
	unfinished(t, root)
}

func TestARaisedVersionReplacesTheLink(t *testing.T) {
	t.Parallel()
	root := hammer(t, goodHammer)
	if _, err := install(t.Context(), root, filepath.Join(root, "cache"), "hammer"); err != nil {
		t.Fatal(err)
	}
	settings := filepath.Join(root, "tools", "hammer", "tool.json")
	content, err := os.ReadFile(settings)
	if err != nil {
		t.Fatal(err)
	}
	write(t, settings, strings.Replace(string(content), "1.2.3", "1.3.0", 1))
	link, err := install(t.Context(), root, filepath.Join(root, "cache"), "hammer")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), link).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "1.3.0" {
		t.Errorf("after raising the version the tool says %q, %v", out, err)
	}
}

func TestAToolThatDoesNotCompileIsOneErrorAndLeavesNothing(t *testing.T) {
	t.Parallel()
	root := hammer(t, "package main\nfunc main() { undefined() }\n")
	_, err := install(t.Context(), root, filepath.Join(root, "cache"), "hammer")
	if err == nil || !strings.Contains(err.Error(), "build hammer 1.2.3") || !strings.Contains(err.Error(), "undefined: undefined") {
		t.Errorf("install: %v, want what was built and why it failed", err)
	}
	if _, err := os.Lstat(filepath.Join(root, ".tools", "bin", "hammer")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a link to nothing (%v)", err)
	}
	unfinished(t, root)
}

func TestABinaryOfAnotherVersionIsNotKept(t *testing.T) {
	t.Parallel()
	root := hammer(t, "package main\nfunc main() { println(\"9.9.9\") }\n")
	_, err := install(t.Context(), root, filepath.Join(root, "cache"), "hammer")
	if err == nil || !strings.Contains(err.Error(), "is not 1.2.3") {
		t.Errorf("install: %v, want a complaint about the version", err)
	}
	unfinished(t, root)
}

func TestAnInterruptedBuildLeavesNothingAndTheNextOneCleansUp(t *testing.T) {
	t.Parallel()
	root := hammer(t, goodHammer)
	// What a killed build leaves.
	write(t, filepath.Join(root, "cache", "tools", "hammer", ".build-dead", "hammer"), "half")
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	if _, err := install(ctx, root, filepath.Join(root, "cache"), "hammer"); !errors.Is(err, context.Canceled) {
		t.Errorf("install: %v, want the interruption", err)
	}
	if _, err := install(t.Context(), root, filepath.Join(root, "cache"), "hammer"); err != nil {
		t.Fatal(err)
	}
	unfinished(t, root)
}

func TestAnOfficialBinaryIsTakenOnlyAtThePinnedVersion(t *testing.T) {
	root := hammer(t, goodHammer)
	bin := t.TempDir()
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	official := filepath.Join(bin, "official-hammer")
	script := func(version string) {
		write(t, official, "#!/bin/sh\necho hammer v"+version+"\n")
		if err := os.Chmod(official, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(root, ".tools", "bin", "hammer")

	script("1.2.3")
	if _, err := install(t.Context(), root, filepath.Join(root, "cache"), "hammer"); err != nil {
		t.Fatal(err)
	}
	if target, err := os.Readlink(link); err != nil || target != official {
		t.Errorf("the link leads to %q, %v; want %q", target, err, official)
	}

	script("1.2.4") // somebody upgraded it
	if _, err := install(t.Context(), root, filepath.Join(root, "cache"), "hammer"); err != nil {
		t.Fatal(err)
	}
	if target, err := os.Readlink(link); err != nil || target == official {
		t.Errorf("the link still leads to the upgraded %q (%v)", target, err)
	}
}

func TestAPluginIsKnownByItsFolder(t *testing.T) {
	root := hammer(t, goodHammer)
	t.Setenv("PULUMI_HOME", filepath.Join(root, "pulumi"))
	plugin := filepath.Join(root, "pulumi", "plugins", "hammer-v1.2.3", "hammer")
	write(t, plugin, "not even a program")
	link, err := install(t.Context(), root, filepath.Join(root, "cache"), "hammer")
	if err != nil {
		t.Fatal(err)
	}
	if target, err := os.Readlink(link); err != nil || target != plugin {
		t.Errorf("the link leads to %q, %v; want %q", target, err, plugin)
	}
}

// unfinished fails the test when a half-made build is left in the cache.
func unfinished(t *testing.T, root string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(root, "cache", "tools", "*", ".build-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("unfinished builds are left: %v (%v)", left, err)
	}
}
