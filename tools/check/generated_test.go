package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestGeneratedCodeThatDiffersIsNamed(t *testing.T) {
	t.Parallel()
	root, fresh := t.TempDir(), t.TempDir()
	write := func(path, content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range generatedFiles {
		write(filepath.Join(root, "ci", file), "same")
		write(filepath.Join(fresh, file), "same")
	}
	c := checker{root: root}
	if complaint, err := c.compareGenerated(fresh); complaint != "" || err != nil {
		t.Errorf("the same code is complained of: %q, %v", complaint, err)
	}
	write(filepath.Join(fresh, generatedFiles[0]), "another")
	complaint, err := c.compareGenerated(fresh)
	if err != nil || !strings.Contains(complaint, "ci/dagger.gen.go is not what the generator writes") {
		t.Errorf("complaint %q, error %v", complaint, err)
	}
}

func TestTheEngineVersionIsReadFromTheModule(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "dagger.json")
	for content, want := range map[string]string{`{"engineVersion": "v0.21.7"}`: "v0.21.7", `{}`: "", `{`: ""} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := engineVersion(file)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("engineVersion of %s = %q, %v", content, got, err)
		}
	}
}
