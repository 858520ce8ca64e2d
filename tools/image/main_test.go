package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// repository is one with a first commit.
type repository struct {
	t    *testing.T
	root string
}

func newRepository(t *testing.T) repository {
	t.Helper()
	r := repository{t, t.TempDir()}
	r.git("init", "--quiet")
	r.put("app/main.go", "package main")
	r.put("Dockerfile", "FROM scratch")
	r.put(".dockerignore", "*.md")
	r.put("README.md", "read me")
	r.commit("first")
	return r
}

func (r repository) git(args ...string) string {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), "git", append([]string{"-c", "user.name=test", "-c", "user.email=test@localhost"}, args...)...)
	cmd.Dir = r.root
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %v: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (r repository) put(name, content string) {
	r.t.Helper()
	if err := os.MkdirAll(filepath.Dir(filepath.Join(r.root, name)), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.root, name), []byte(content), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// commit commits everything and returns the commit.
func (r repository) commit(message string) string {
	r.t.Helper()
	r.git("add", ".")
	r.git("commit", "--quiet", "--message", message)
	return r.git("rev-parse", "HEAD")
}

func TestTheVersionIsTheCommitAndSaysWhenTheImageDiffersFromIt(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	commit := r.git("rev-parse", "HEAD")

	expect := func(wantVersion, wantRevision string) {
		t.Helper()
		version, revision, err := describe(t.Context(), r.root)
		if err != nil || version != wantVersion || revision != wantRevision {
			t.Errorf("describe: %q %q %v; want %q %q", version, revision, err, wantVersion, wantRevision)
		}
	}
	expect(commit[:12], commit)
	r.put("README.md", "not in the image")
	expect(commit[:12], commit)
	r.put("app/new.go", "package main")
	expect(commit[:12]+"-dirty", commit+"-dirty")
}

func TestWithoutACommitTheErrorSaysWhatForItIsNeeded(t *testing.T) {
	t.Parallel()
	// Below no repository: a folder of the file system's root would do, a temporary one may be inside a work tree.
	root := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "git", "init", "--quiet", root).CombinedOutput(); err != nil {
		t.Fatalf("git init: %v: %s", err, out)
	}
	if _, _, err := describe(t.Context(), root); err == nil || !strings.Contains(err.Error(), "commit to stamp") {
		t.Errorf("describe: %v", err)
	}
}

func TestTheBundleOfTheEnvironmentComesFirst(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, []byte("certificates"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := caBundle(func(string) string { return file }); got != file {
		t.Errorf("caBundle is %q, want %q", got, file)
	}
	if got := caBundle(func(string) string { return file + ".gone" }); strings.HasSuffix(got, ".gone") {
		t.Errorf("caBundle is %q, which does not exist", got)
	}
}

func TestASourceNeedsAVersion(t *testing.T) {
	t.Parallel()
	for _, o := range []options{{source: "."}, {version: "v1.0.0"}} {
		if err := o.complete(t.Context(), "."); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}
