package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestTheNameOfASupportingImageChangesWithWhatIsInItAndWithNothingElse(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "git", "init", "--quiet", folder).CombinedOutput(); err != nil {
		t.Fatalf("git init: %v: %s", err, out)
	}
	put := func(name, content string) string {
		t.Helper()
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		hash, err := hashOf(t.Context(), folder)
		if err != nil {
			t.Fatal(err)
		}
		return hash
	}
	put("Dockerfile", "FROM scratch")
	first := put("main.go", "package main")
	for name, same := range map[string]bool{"main_test.go": true, "README.md": true, "internal/a/a_test.go": true, "internal/a/a.go": false} {
		if got := put(name, "package main"); (got == first) != same {
			t.Errorf("with %s the name is %s, and was %s", name, got, first)
		}
		if err := os.Remove(filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	if put("main.go", "package edge") == first {
		t.Error("another content has the same name")
	}
	if put("main.go", "package main") != first {
		t.Error("the same content has another name")
	}
}

func TestAnIDThatIsKeptIsWhereABuildPutsIt(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), ".tools", "edge-image-id")
	if err := keepID(file, "sha256:abc"); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != "sha256:abc" {
		t.Errorf("the file holds %q, %v", got, err)
	}
}
