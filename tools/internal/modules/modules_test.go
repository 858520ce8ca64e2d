package modules

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// repository is a git work tree with a workspace of one module and the given files, by path.
func repository(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	put := func(name, content string) {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("go.work", "go 1.26.0\n\nuse ./app\n")
	put("app/go.mod", "module example.org/app\n\ngo 1.26.0\n")
	for name, content := range files {
		put(name, content)
	}
	if out, err := exec.CommandContext(t.Context(), "git", "init", "--quiet", root).CombinedOutput(); err != nil {
		t.Fatalf("git init: %v: %s", err, out)
	}
	return root
}

func TestEveryModuleIsFoundAndNoToolIsOne(t *testing.T) {
	t.Parallel()
	const mod = "module example.org/x\n\ngo 1.26.0\n"
	root := repository(t, map[string]string{
		".gitignore": "/built/\n", "built/go.mod": mod, // somebody's cache
		"ci/go.mod": mod, "infra/images/edge/go.mod": mod, "tools/go.mod": mod, "tools/trivy/go.mod": mod, "tools/trivy/shim/go.mod": mod,
	})
	list, err := List(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range list {
		got = append(got, m.Name)
		if m.Workspace != (m.Name == "app") {
			t.Errorf("%s: in the workspace: %t", m.Name, m.Workspace)
		}
		if want := filepath.Join(root, m.Name); m.Dir != want {
			t.Errorf("%s is in %s, want %s", m.Name, m.Dir, want)
		}
	}
	if want := []string{"app", "ci", "infra/images/edge", "tools"}; !slices.Equal(got, want) {
		t.Errorf("modules %q, want %q", got, want)
	}
}

func TestADeletedModuleIsGone(t *testing.T) {
	t.Parallel()
	root := repository(t, map[string]string{"old/go.mod": "module example.org/old\n\ngo 1.26.0\n"})
	add := exec.CommandContext(t.Context(), "git", "add", ".")
	add.Dir = root
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("git add: %v: %s", err, out)
	}
	if err := os.Remove(filepath.Join(root, "old", "go.mod")); err != nil {
		t.Fatal(err)
	}
	list, err := List(t.Context(), root)
	if err != nil || len(list) != 1 {
		t.Errorf("modules %v, %v; want the app alone", list, err)
	}
}

func TestABrokenWorkspaceIsNamed(t *testing.T) {
	t.Parallel()
	root := repository(t, map[string]string{"go.work": "go 1.26.0\n\nuse ./nowhere\n"})
	if _, err := List(t.Context(), root); err == nil || !strings.Contains(err.Error(), "list the modules of go.work") {
		t.Errorf("the error is %v", err)
	}
}

func TestTheEnvironmentOfAModule(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		module Module
		base   []string
		want   []string
	}{
		"in the workspace":     {Module{Workspace: true}, []string{"A=1"}, []string{"A=1", "GOWORK="}},
		"alone":                {Module{}, nil, []string{"GOWORK=off"}},
		"under a tag":          {Module{Tag: "x"}, nil, []string{"GOWORK=off", "GOFLAGS=-tags=x"}},
		"under a tag, flagged": {Module{Tag: "x"}, []string{"GOFLAGS=-mod=mod"}, []string{"GOFLAGS=-mod=mod", "GOWORK=off", "GOFLAGS=-mod=mod -tags=x"}},
	} {
		if got := test.module.Env(test.base); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestUnderATagOnlyWhatItChangesIsTested(t *testing.T) {
	t.Parallel()
	if got := (Module{Name: "app"}).Tested(); !slices.Equal(got, []string{"./..."}) {
		t.Errorf("of a module %q is tested, want all", got)
	}
	for _, m := range Tagged("/clone") {
		if m.Dir != "/clone/app" || m.Tag == "" || len(m.Tested()) == 0 || slices.Contains(m.Tested(), "./...") {
			t.Errorf("%+v", m)
		}
	}
}
