package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"bookshelf/tools/internal/modules"
)

// repository is a git work tree with one module, app, and the given files beside it.
func repository(t *testing.T, files map[string]string) checker {
	t.Helper()
	root := t.TempDir()
	put := func(name, content string) {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("go.work", "go 1.26.0\n\nuse ./app\n")
	put("app/go.mod", "module example.org/app\n\ngo 1.26.0\n")
	put("app/app.go", "// Package app is empty.\npackage app\n")
	for name, content := range files {
		put(name, content)
	}
	if out, err := exec.CommandContext(t.Context(), "git", "init", "--quiet", root).CombinedOutput(); err != nil {
		t.Fatalf("git init: %v: %s", err, out)
	}
	return checker{root: root, modules: []modules.Module{{Name: "app", Dir: filepath.Join(root, "app"), Workspace: true}}}
}

func TestARepositoryInOrderPasses(t *testing.T) {
	t.Parallel()
	c := repository(t, map[string]string{"hello.sh": "echo hello\n"})
	for _, one := range c.all() {
		if one.name == "lint" {
			continue // needs the linter, which is built on demand
		}
		if complaint, err := one.run(t.Context()); err != nil || complaint != "" {
			t.Errorf("%s: %q, %v", one.name, complaint, err)
		}
	}
}

func TestEachMistakeIsNamedByItsCheck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		check     string
		files     map[string]string
		complaint string
	}{
		"spaces for tabs":       {"format", map[string]string{"app/app.go": "package app\n\nfunc f() {\n  g()\n}\n"}, "app/app.go"},
		"not Go at all":         {"format", map[string]string{"app/app.go": "pakkage app\n"}, "app/app.go:1:1"},
		"another Go":            {"golines", map[string]string{"app/go.mod": "module example.org/app\n\ngo 1.25.0\n"}, `app/go.mod says "go 1.25.0" and go.work "go 1.26.0"`},
		"somebody's experiment": {"replacements", map[string]string{"app/go.mod": "module example.org/app\n\ngo 1.26.0\n\nreplace example.org/x => ../x\n"}, "app/go.mod replaces example.org/x with ../x"},
		"another version":       {"replacements", map[string]string{"app/go.mod": "module example.org/app\n\ngo 1.26.0\n\nrequire example.org/x v1.2.0\n\nreplace example.org/x => example.org/x v1.1.0\n"}, "app/go.mod replaces example.org/x with example.org/x"},
		"a half script":         {"scripts", map[string]string{"hello.sh": "if true; then\n"}, "hello.sh"},
		"a wrong verb":          {"vet", map[string]string{"app/app.go": "package app\n\nimport \"fmt\"\n\nfunc f() { fmt.Printf(\"%d\", \"x\") }\n"}, "wrong type"},
		"a module to tidy":      {"tidy", map[string]string{"app/go.mod": "module example.org/app\n\ngo 1.26.0\n\nrequire example.org/unused v1.0.0\n"}, "example.org/unused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, one := range repository(t, c.files).all() {
				if one.name != c.check {
					continue
				}
				complaint, err := one.run(t.Context())
				if err != nil || !strings.Contains(complaint, c.complaint) {
					t.Errorf("%s: %q, %v; want a complaint about %q", one.name, complaint, err, c.complaint)
				}
				return
			}
			t.Errorf("there is no check %s", c.check)
		})
	}
}

func TestCodeUnderATagIsCheckedToo(t *testing.T) {
	t.Parallel()
	c := repository(t, map[string]string{"app/tagged.go": "//go:build tagged\n\npackage app\n\nvar x int = \"x\"\n"})
	if complaint, err := c.vet(t.Context()); err != nil || complaint != "" {
		t.Errorf("without the tag: %q, %v", complaint, err)
	}
	under := c.modules[0]
	under.Name, under.Tag = "app+tagged", "tagged"
	c.tagged = []modules.Module{under}
	if complaint, err := c.vet(t.Context()); err != nil || !strings.Contains(complaint, "in app+tagged:") || !strings.Contains(complaint, "tagged.go:5") {
		t.Errorf("with the tag: %q, %v", complaint, err)
	}
}

func TestAModuleMayBeHeldAtTheVersionThatIsRequired(t *testing.T) {
	t.Parallel()
	c := repository(t, map[string]string{
		"app/go.mod": "module example.org/app\n\ngo 1.26.0\n\nrequire example.org/x v1.2.0\n\nreplace example.org/x => example.org/x v1.2.0\n",
	})
	if complaint, err := c.replacements(t.Context()); err != nil || complaint != "" {
		t.Errorf("replacements: %q, %v", complaint, err)
	}
}

func TestAModuleBesideTheWorkspaceMayAskForANewerGoOnly(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{"go 1.26.7": "", "go 1.27.0": "", "go 1.25.9": `beside/go.mod says "go 1.25.9" and go.work "go 1.26.0"`} {
		c := repository(t, map[string]string{"beside/go.mod": "module example.org/beside\n\n" + line + "\n"})
		c.modules = append(c.modules, modules.Module{Name: "beside", Dir: filepath.Join(c.root, "beside")})
		if complaint, err := c.goLines(t.Context()); err != nil || strings.TrimSpace(complaint) != want {
			t.Errorf("%s: %q, %v; want %q", line, complaint, err, want)
		}
	}
}

func TestIgnoredAndDeletedFilesAreNotChecked(t *testing.T) {
	t.Parallel()
	c := repository(t, map[string]string{".gitignore": "/built/\n", "built/bad.go": "pakkage", "gone.go": "package gone\n"})
	add := exec.CommandContext(t.Context(), "git", "add", ".")
	add.Dir = c.root
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("git add: %v: %s", err, out)
	}
	if err := os.Remove(filepath.Join(c.root, "gone.go")); err != nil {
		t.Fatal(err)
	}
	if complaint, err := c.format(t.Context()); err != nil || complaint != "" {
		t.Errorf("format: %q, %v", complaint, err)
	}
}
