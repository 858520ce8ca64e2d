package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	sdk "dagger.io/dagger"
	"dagger/bookshelf/plan"
	"github.com/google/go-cmp/cmp"
)

// The same module, on a real Dagger: in the session that the tests run in, on the runner that
// _EXPERIMENTAL_DAGGER_RUNNER_HOST names, or on one that the dagger command starts. The host's own settings are passed on:
// GOPROXY, and SSL_CERT_FILE as the bundle of certificate authorities.

const (
	sessionVariable = "DAGGER_SESSION_PORT"
	runnerVariable  = "_EXPERIMENTAL_DAGGER_RUNNER_HOST"
	cliVariable     = "_EXPERIMENTAL_DAGGER_CLI_BIN"
)

// errNoDagger is why these tests skip.
var errNoDagger = errors.New("there is no Dagger here: no " + runnerVariable + ", and no dagger command that could start one")

// onDagger is the module served by Dagger, once for all tests.
var onDagger = sync.OnceValues(serve)

// served is the module as a client of Dagger sees it.
type served struct {
	client      *sdk.Client
	constructor string // its call, with what this host needs: bookshelf(goproxy: "…")
}

func serve() (*served, error) {
	ctx := context.Background() // of the process: the first test to come must not end it
	_, session := os.LookupEnv(sessionVariable)
	_, runner := os.LookupEnv(runnerVariable)
	command := os.Getenv(cliVariable)
	if command == "" {
		command, _ = exec.LookPath("dagger")
	}
	if !session && !runner && command == "" {
		return nil, errNoDagger
	}
	if command != "" {
		if err := os.Setenv(cliVariable, command); err != nil {
			return nil, err
		}
	}
	root, err := filepath.Abs("..")
	if err != nil {
		return nil, err
	}
	options := []sdk.ClientOpt{sdk.WithLogOutput(os.Stderr)}
	if !session {
		options = append(options, sdk.WithWorkdir(root))
	}
	client, err := sdk.Connect(ctx, options...)
	if err != nil {
		if !session && !runner {
			return nil, fmt.Errorf("%w: %s could not: %w", errNoDagger, command, err)
		}
		return nil, err
	}
	s := &served{client: client}
	if err := client.ModuleSource(root).AsModule().Serve(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("load the module: %w", err), client.Close())
	}
	if s.constructor, err = s.construct(ctx); err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return s, nil
}

// construct passes on how this host reaches the world.
func (s *served) construct(ctx context.Context) (string, error) {
	var args []string
	if proxy := os.Getenv("GOPROXY"); proxy != "" {
		args = append(args, "goproxy: "+strconv.Quote(proxy))
	}
	if bundle := os.Getenv("SSL_CERT_FILE"); bundle != "" {
		id, err := s.client.Host().File(bundle).ID(ctx)
		if err != nil {
			return "", fmt.Errorf("take %s from the host: %w", bundle, err)
		}
		args = append(args, "ca: "+strconv.Quote(string(id)))
	}
	if len(args) == 0 {
		return "bookshelf", nil
	}
	return "bookshelf(" + strings.Join(args, ", ") + ")", nil
}

// disconnect ends the session if there is one.
func disconnect() error {
	s, err := onDagger()
	if err != nil {
		return nil //nolint:nilerr // the tests have told it
	}
	return s.client.Close()
}

func daggerModule(t *testing.T) *served {
	t.Helper()
	s, err := onDagger()
	switch {
	case errors.Is(err, errNoDagger):
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
	return s
}

// call calls a function of the module and returns what it selects: call(t, "build", "label", …).
func (s *served) call(t *testing.T, selection string) (any, error) {
	t.Helper()
	var data map[string]any
	err := s.client.Do(t.Context(), &sdk.Request{Query: "{" + s.constructor + "{" + selection + "}}"}, &sdk.Response{Data: &data})
	if err != nil {
		return nil, err
	}
	return data["bookshelf"], nil
}

func TestDaggerLoadsEveryFunction(t *testing.T) {
	t.Parallel()
	s := daggerModule(t)
	objects, err := s.client.ModuleSource(root(t)).AsModule().Objects(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, object := range objects {
		functions, err := object.AsObject().Functions(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range functions {
			name, err := f.Name(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, strings.ToLower(name))
		}
	}
	slices.Sort(got)
	want := []string{
		"build", "check", "dev", "e2e", "lint", "perf", "publish", "publishdryrun", "release", "sbom", "scan", "sign", "test", "verify", "vuln",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("functions (-want +got):\n%s", diff)
	}
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestDaggerBuildsAnImageThatSaysWhatItIs(t *testing.T) {
	t.Parallel()
	s := daggerModule(t)
	for _, platform := range []string{"linux/amd64", "linux/arm64"} {
		got, err := s.call(t, `build(platform: "`+platform+`"){label(name: "org.opencontainers.image.version") platform user}`)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]any{"build": map[string]any{"label": "dev", "platform": platform, "user": "65532:65532"}}
		if diff := cmp.Diff(any(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", platform, diff)
		}
	}
}

func TestDaggerTestsEveryModule(t *testing.T) {
	t.Parallel()
	s := daggerModule(t)
	got, err := s.call(t, `test{entries}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, module := range plan.Analysed() {
		for _, file := range []string{module.Name() + ".out", module.Name() + ".txt"} {
			if !strings.Contains(fmt.Sprint(got), file) {
				t.Errorf("the coverage is %v, without %s", got, file)
			}
		}
	}
}

func TestDaggerDrivesTheImage(t *testing.T) {
	t.Parallel()
	s := daggerModule(t)
	if _, err := s.call(t, `e2E`); err != nil {
		t.Error(err)
	}
}

func TestDaggerPacksEveryPlatformWithoutPublishing(t *testing.T) {
	t.Parallel()
	s := daggerModule(t)
	got, err := s.call(t, `publishDryRun`)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(fmt.Sprint(got), "linux/amd64 and linux/arm64") {
		t.Errorf("the dry run says %v", got)
	}
}

// The reason has to come all the way through the engine.
func TestDaggerRefusesToPublishWithoutACommit(t *testing.T) {
	t.Parallel()
	s := daggerModule(t)
	_, err := s.call(t, `publish(repository: "someone/bookshelf")`)
	wantError(t, err, "the revision is missing")
}
