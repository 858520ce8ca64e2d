package enginetest_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dagger/bookshelf/enginetest"
	"dagger/bookshelf/internal/dagger"
)

var dag = dagger.Connect()

func TestAGraphNamesWhatRequestsShare(t *testing.T) {
	t.Parallel()
	r := enginetest.New(t)
	source := dagger.Ref[*dagger.Directory](dag, dagger.ID(r.Object("source")))
	built, err := dag.Container().From("golang").WithMountedDirectory("/src", source).WithExec([]string{"go", "build"}).Sync(r.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.Answer("stdout", `"version"`, "v1")
	version, err := built.WithExec([]string{"version"}).Stdout(r.Context())
	if err != nil || version != "v1" {
		t.Errorf("stdout is %q (%v), want what the test said", version, err)
	}
	want := `$container1 = container
  .from(address: "golang")
  .withMountedDirectory(path: "/src", source: $source)
  .withExec(args: ["go", "build"])

ask $container1.sync

ask $container1
  .withExec(args: ["version"])
  .stdout
`
	if diff := cmp.Diff(want, r.Graph(false)); diff != "" {
		t.Errorf("graph (-want +got):\n%s", diff)
	}
}

// What is made of the same parts is one thing, on whatever way a request gets there.
func TestAThingIsKnownByWhatItIsMadeOf(t *testing.T) {
	t.Parallel()
	r := enginetest.New(t)
	recipe := func() *dagger.Container { return dag.Container().From("debian").WithEnvVariable("A", "b") }
	first, err := recipe().ID(r.Context())
	if err != nil {
		t.Fatal(err)
	}
	synced, err := recipe().Sync(r.Context())
	if err != nil {
		t.Fatal(err)
	}
	second, err := synced.ID(r.Context())
	if err != nil || first != second {
		t.Errorf("the same container is %q and %q (%v)", first, second, err)
	}
}

// A step fails whoever needs it, and not before somebody does.
func TestAFailureReachesEverythingBuiltOnIt(t *testing.T) {
	t.Parallel()
	r := enginetest.New(t)
	r.Fail(`"false"`, enginetest.Failure{Command: []string{"false"}, ExitCode: 3, Stdout: "out", Stderr: "err"})
	broken := dag.Container().From("debian").WithExec([]string{"false"})
	if _, err := broken.ID(r.Context()); err != nil {
		t.Errorf("naming it: %v", err)
	}
	_, err := dag.Container().From("debian").WithMountedDirectory("/in", broken.Directory("/out")).Sync(r.Context())
	failed, ok := errors.AsType[*dagger.ExecError](err)
	if !ok {
		t.Fatalf("the error is %v, want that of a command", err)
	}
	if failed.ExitCode != 3 || failed.Stdout != "out" || failed.Stderr != "err" {
		t.Errorf("the command failed with %+v", failed)
	}
	if _, err := dag.Container().From("debian").Sync(r.Context()); err != nil {
		t.Errorf("what does not need it: %v", err)
	}
}

func TestRequestsThatBelongToNoTestAreRefused(t *testing.T) {
	t.Parallel()
	enginetest.New(t)
	_, err := dag.Container().From("debian").Sync(context.Background())
	if err == nil || !strings.Contains(err.Error(), "outside of any test's context") {
		t.Errorf("it was answered: %v", err)
	}
}

func TestAnIDThatNobodyGaveOutIsRefused(t *testing.T) {
	t.Parallel()
	r := enginetest.New(t)
	_, err := dagger.Ref[*dagger.Container](dag, "made-up").Sync(r.Context())
	if err == nil || !strings.Contains(err.Error(), "made-up") {
		t.Errorf("it was answered: %v", err)
	}
}
