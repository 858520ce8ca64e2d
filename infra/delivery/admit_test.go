package delivery

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bookshelf/infra/provenance"
	"bookshelf/infra/runtime"
	"bookshelf/infra/stack"
)

const (
	digest      = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	pinnedImage = "registry.example/bookshelf@" + digest
)

// untouchable is a platform that answers questions. Everything that would change something panics.
type untouchable struct{ runtime.Platform }

func (untouchable) Check(context.Context) error { return nil }

func (untouchable) Instances(context.Context, runtime.Environment) ([]runtime.Instance, error) {
	return nil, nil
}

func (untouchable) VolumeExists(context.Context, string) (bool, error) { return false, nil }

func (untouchable) ImageID(context.Context, string) (string, error) { return digest, nil }

// silent is a reporter that remembers what it was told.
type silent struct{ notes []string }

func (s *silent) Step(stack.Step) {}

func (s *silent) Note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

// guarded is an operator of one environment, prod, whose policy asks for a key; cosign is a script.
func guarded(t *testing.T, cosign string) (*Operator, *silent) {
	t.Helper()
	root := t.TempDir()
	report := &silent{}
	o := &Operator{
		Layout:   stack.Layout{Infra: filepath.Join(root, "infra"), State: filepath.Join(root, "state"), Tools: filepath.Join(root, "tools")},
		Platform: untouchable{}, Report: report,
	}
	for path, content := range map[string]string{
		"infra/Pulumi.yaml":      "name: bookshelf\nruntime: go\n",
		"infra/Pulumi.prod.yaml": "config:\n  bookshelf:verify: key\n  bookshelf:verifyKey: keys/release.pub\n",
		"infra/keys/release.pub": "public",
		"tools/bin/cosign":       "#!/bin/sh\n" + cosign,
	} {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return o, report
}

func TestAnImageThatCannotBeVerifiedTouchesNothing(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ image, cosign, want string }{
		"a local image":         {digest, "exit 0", "name it by digest, NAME@sha256:…"},
		"a tag":                 {"registry.example/bookshelf:1.2.0", "exit 0", "name it by digest, NAME@sha256:…"},
		"an unsigned image":     {pinnedImage, "echo 'Error: no signatures found' >&2; exit 1", "no signatures found"},
		"an answer without one": {pinnedImage, "echo '[]'", "no signature"},
		"no image at all":       {"", "exit 0", "there is no image to keep"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, _ := guarded(t, test.cosign)
			_, upErr := o.Up(t.Context(), "prod", test.image)
			_, previewErr := o.Preview(t.Context(), "prod", test.image)
			for _, err := range []error{upErr, previewErr} {
				if _, usage := errors.AsType[*UsageError](err); !usage || !strings.Contains(err.Error(), test.want) {
					t.Errorf("want a wrong argument with %q, have %v", test.want, err)
				}
			}
			for _, made := range []string{"secrets", "workspace", "verified"} {
				if _, err := os.Stat(filepath.Join(o.Layout.State, "prod", made)); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s was made (%v)", made, err)
				}
			}
		})
	}
}

func TestAKeptImageIsNotVerifiedAgainForTheSameSigner(t *testing.T) {
	t.Parallel()
	o, report := guarded(t, "echo 'Error: the registry does not answer' >&2; exit 1")
	settings, err := o.settings("prod")
	if err != nil {
		t.Fatal(err)
	}
	config, err := load("prod", settings)
	if err != nil {
		t.Fatal(err)
	}
	s := &session{Operator: o, name: "prod", config: config, settings: settings}
	record := provenance.Record{
		Image: pinnedImage, Digest: digest, VerifiedAt: time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC), Mode: provenance.Key,
		Signer: "key sha256:efa1f375d76194fa51a3556a97e641e61685f914d446979da50a551a4333ffd7", // of "public"
	}
	if err := o.records("prod").Save(record); err != nil {
		t.Fatal(err)
	}
	if admitted, err := s.admit(t.Context(), pinnedImage, true); err != nil || !admitted {
		t.Errorf("the kept image is not admitted: %v", err)
	}
	if !strings.Contains(strings.Join(report.notes, "\n"), "keeping "+pinnedImage+", verified on 2026-03-01 12:00") {
		t.Errorf("nobody is told: %q", report.notes)
	}
	if _, err := s.admit(t.Context(), pinnedImage, false); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("an image that is named anew must be verified anew, have %v", err)
	}
	if err := os.WriteFile(filepath.Join(o.Layout.Infra, "keys", "release.pub"), []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.admit(t.Context(), pinnedImage, true); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("after a change of the key it must be verified anew, have %v", err)
	}
}

func TestStatusShowsTheRecordOfTheImageThatRuns(t *testing.T) {
	t.Parallel()
	o, _ := guarded(t, "exit 1")
	if err := o.records("prod").Save(provenance.Record{Image: pinnedImage, Digest: digest}); err != nil {
		t.Fatal(err)
	}
	if have, err := o.verifiedImage(t.Context(), "prod", digest); err != nil || have == nil || have.Image != pinnedImage {
		t.Errorf("have %v, %v", have, err)
	}
	if have, err := o.verifiedImage(t.Context(), "prod", "sha256:another"); err != nil || have != nil {
		t.Errorf("an image that was never verified has the record %v, %v", have, err)
	}
}
