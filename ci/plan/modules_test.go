package plan

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// folders are those below root, with slashes, that hold a go.mod: hidden folders are somebody's cache, and what is below tools/ is
// pinned and not ours.
func folders(t *testing.T, root string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(relative)
		if d.IsDir() && (strings.HasPrefix(name, "tools/") || len(d.Name()) > 2 && strings.HasPrefix(d.Name(), ".")) {
			return fs.SkipDir
		}
		if d.Name() == "go.mod" {
			found = append(found, filepath.ToSlash(filepath.Dir(relative)))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// A module that is not in the list is neither tested nor searched by the pipeline, and nobody would notice.
func TestTheListNamesEveryModule(t *testing.T) {
	t.Parallel()
	var listed []string
	for _, m := range Modules() {
		listed = append(listed, m.Dir)
	}
	slices.Sort(listed)
	if diff := cmp.Diff(folders(t, "../.."), listed); diff != "" {
		t.Errorf("ci/plan/modules.go does not name the folders that hold a go.mod (-folders +list):\n%s", diff)
	}
}

func TestTheListIsComparedWithEveryFolder(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, dir := range []string{"app", "infra", "infra/images/edge", "tools", "tools/trivy", ".cache/x"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, dir, "go.mod"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"app", "infra", "infra/images/edge", "tools"}, folders(t, root)); diff != "" {
		t.Errorf("folders (-want +got):\n%s", diff)
	}
}

func TestTestsSeeTheirOwnModule(t *testing.T) {
	t.Parallel()
	for _, m := range Modules() {
		if !m.TestsOnly && !slices.Contains(m.Inputs, m.Dir) {
			t.Errorf("the tests of %s do not see the module itself", m.Dir)
		}
	}
}

func TestReportsOfANestedModuleAreFilesAndNotFolders(t *testing.T) {
	t.Parallel()
	if got := (Module{Dir: "infra/images/edge"}).Name(); got != "infra-images-edge" {
		t.Errorf("the name is %s", got)
	}
}
