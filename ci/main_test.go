package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"dagger/bookshelf/enginetest"
	"dagger/bookshelf/enginetest/session"
	"dagger/bookshelf/internal/dagger"
	"dagger/bookshelf/plan"
)

// theDay is when every test takes place.
var theDay = time.Date(2026, 11, 23, 10, 30, 0, 0, time.UTC)

func TestMain(m *testing.M) {
	now = func() time.Time { return theDay }
	nonce = func() string { return "NONCE" }
	if err := session.Restore(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := disconnect(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

const (
	commit = "0123456789abcdef0123456789abcdef01234567"
	where  = "https://github.com/someone/bookshelf"
	digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
)

const versionLabel = `.label(name: "org.opencontainers.image.version")`

// bundle is a pipeline in front of an engine that records.
type bundle struct {
	*enginetest.Recorder
	ctx    context.Context
	module *Bookshelf
}

// setup gives a pipeline for main at a commit, where everything goes well until a test says otherwise.
// signatureAnswer is what cosign prints of a valid signature, as far as anybody reads it.
const signatureAnswer = `[{"critical": {"type": "https://sigstore.dev/cosign/sign/v1"}}]`

func setup(t *testing.T) *bundle {
	t.Helper()
	r := enginetest.New(t)
	module, err := New(object[*dagger.Directory](r, "source"), nil, "", plan.MainRef, commit, where, "", "", "", "")
	if err != nil {
		t.Fatal(err)
	}
	r.Answer("stdout", `args: ["verify", `, signatureAnswer)
	r.Answer("label", versionLabel, module.commit().Version())
	r.Answer("label", `.label(name: "org.opencontainers.image.revision")`, commit)
	r.Answer("label", `.label(name: "org.opencontainers.image.source")`, where)
	r.Answer("label", `.label(name: "org.opencontainers.image.url")`, where)
	r.Answer("contents", `file(path: "database.json")`, `{"Version": 2, "UpdatedAt": "2026-11-23T06:12:00Z"}`)
	r.Answer("contents", `file(path: "ci/scanignore.yaml")`, "ignore: []\n")
	for _, name := range []string{"linux-amd64", "linux-arm64", "repository"} {
		r.Answer("contents", `file(path: "`+name+`.json")`, reportOf(name))
	}
	r.Answer("contents", `.sarif") .contents`, `{"version": "2.1.0", "runs": [{}]}`)
	return &bundle{Recorder: r, ctx: r.Context(), module: module}
}

// object is something that a caller hands to a function.
func object[T dagger.Loadable[T]](r *enginetest.Recorder, name string) T {
	return dagger.Ref[T](dag, dagger.ID(r.Object(name)))
}

// reportOf is a report of Trivy that has looked at something and found vulnerabilities.
func reportOf(artifact string, vulnerabilities ...map[string]string) string {
	content, err := json.Marshal(map[string]any{
		"SchemaVersion": 2, "ArtifactName": artifact,
		"Results": []any{map[string]any{"Target": "bookd", "Packages": []any{map[string]string{"Name": "stdlib"}}, "Vulnerabilities": vulnerabilities}},
	})
	if err != nil {
		panic(err)
	}
	return string(content)
}

func TestNewRefusesACommitThatIsNone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]plan.Commit{
		"a short revision": {Revision: "0123abc"},
		"a branch's name":  {Ref: "main", Revision: commit},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := enginetest.New(t)
			if _, err := New(object[*dagger.Directory](r, "source"), nil, "", c.Ref, c.Revision, "", "", "", "", ""); err == nil {
				t.Error("it was accepted")
			}
		})
	}
}

// The engine keeps the module's object as JSON between two calls.
func TestTheObjectSurvivesBeingStored(t *testing.T) {
	t.Parallel()
	r := enginetest.New(t)
	source, ca := r.Object("source"), r.Object("ca")
	m, err := New(dagger.Ref[*dagger.Directory](dag, dagger.ID(source)), dagger.Ref[*dagger.File](dag, dagger.ID(ca)), "https://proxy.example", plan.MainRef, commit, where, "go", "postgres", "trivy", "cosign")
	if err != nil {
		t.Fatal(err)
	}
	// An object's ID is asked for without a context of ours, so the test says what it would be.
	stored, err := json.Marshal(map[string]any{
		"Source": source, "CA": ca, "GoProxy": m.GoProxy, "Ref": m.Ref, "Revision": m.Revision, "SourceURL": m.SourceURL,
		"GoImage": m.GoImage, "PostgresImage": m.PostgresImage, "TrivyImage": m.TrivyImage, "CosignImage": m.CosignImage,
	})
	if err != nil {
		t.Fatal(err)
	}
	result, err := invoke(r.Context(), stored, "Bookshelf", "Build", map[string][]byte{})
	if err != nil {
		t.Fatal(err)
	}
	image, ok := result.(*dagger.Container)
	if !ok {
		t.Fatalf("Build returned %T, want a container", result)
	}
	if _, err := image.Sync(r.Context()); err != nil {
		t.Fatal(err)
	}
	if !r.Asked(`{name: "GOPROXY", value: "https://proxy.example"}`) || !r.Asked(`setSecret(name: "ca"`) {
		t.Errorf("a setting of New did not reach Build:\n%s", r.Graph(false))
	}
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("there was no error; want one that says %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not say %q: %v", part, err)
		}
	}
}
