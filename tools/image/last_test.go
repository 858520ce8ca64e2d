package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheLastReleaseIsTheTagBeforeElseTheCommitBefore(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	if _, _, err := lastRelease(t.Context(), r.root); err == nil || !strings.Contains(err.Error(), "nothing to be compared with") {
		t.Errorf("before a first commit there is a release (%v)", err)
	}
	first := r.git("rev-parse", "HEAD")
	expect := func(when, name, revision string) {
		t.Helper()
		gotName, got, err := lastRelease(t.Context(), r.root)
		if err != nil || got != revision || !strings.Contains(gotName, name) {
			t.Errorf("%s: %q %q, %v; want %q %q", when, gotName, got, err, name, revision)
		}
	}
	r.put("app/main.go", "package main // changed")
	expect("with a change that is not committed", "commit "+first[:12], first)
	second := r.commit("second")
	expect("without a tag", "commit "+first[:12]+", as no tag", first)
	r.git("tag", "nightly")
	r.git("tag", "--annotate", "--message", "1.0", "v1.0.0")
	expect("on the tag itself", "commit "+first[:12], first)
	r.put("app/main.go", "package main // once more")
	expect("after a tag, with a change", "v1.0.0", second)
	r.commit("third")
	r.put("README.md", "a change that is in no image")
	r.commit("fourth")
	expect("two commits after a tag", "v1.0.0", second)
}

func TestTheSourcesOfTheLastReleaseAreThoseOfItsCommit(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	r.put("app/main.go", "package main // changed")
	r.put("app/new.go", "package main")
	dir := t.TempDir()
	o := options{last: true}
	name, err := o.takeLast(t.Context(), r.root, dir)
	if err != nil {
		t.Fatal(err)
	}
	commit := r.git("rev-parse", "HEAD")
	if err := o.complete(t.Context(), r.root); err != nil {
		t.Fatal(err)
	}
	want := options{
		source: dir, tag: "bookshelf:" + commit[:12], idFile: filepath.Join(r.root, ".tools", "last-image-id"), version: commit[:12],
		revision: commit, last: true,
	}
	if o != want {
		t.Errorf("%s: %+v, want %+v", name, o, want)
	}
	content, err := os.ReadFile(filepath.Join(dir, "app", "main.go"))
	if err != nil || string(content) != "package main" {
		t.Errorf("app/main.go is %q, %v", content, err)
	}
	for _, absent := range []string{"app/new.go", "README.md"} {
		if _, err := os.Stat(filepath.Join(dir, absent)); err == nil {
			t.Errorf("%s is among the sources", absent)
		}
	}
}

func TestOnlyOneThingIsBuilt(t *testing.T) {
	t.Parallel()
	for _, o := range []options{{support: "edge"}, {source: "x", version: "y"}} {
		if _, err := o.takeLast(t.Context(), t.TempDir(), t.TempDir()); err == nil {
			t.Errorf("%+v is built at the last release", o)
		}
	}
}
