package stack_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bookshelf/infra/stack"
)

func repository(t *testing.T, files map[string]string) stack.Layout {
	t.Helper()
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "infra"), 0o755); err != nil {
		t.Fatal(err)
	}
	files["Pulumi.yaml"] = "name: bookshelf\nruntime: go\n"
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(root, "infra", name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	layout, err := stack.FindLayout(filepath.Join(root, "infra"), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return layout
}

func TestSettingsAreReadWithoutTheirNamespace(t *testing.T) {
	t.Parallel()
	layout := repository(t, map[string]string{"Pulumi.dev.yaml": "config:\n  bookshelf:port: 8088\n  bookshelf:logLevel: debug\n"})
	got, err := layout.ReadSettings("dev")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(stack.Settings{"port": "8088", "logLevel": "debug"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestABadSettingsFileIsRefusedWithItsLine(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ content, want string }{
		"a misspelt key":     {"config:\n  bookshelf:prot: 1\n", "Pulumi.dev.yaml:2: bookshelf:prot: no such key"},
		"another namespace":  {"config:\n  docker:host: x\n", "want a key of namespace bookshelf"},
		"a list for a value": {"config:\n  bookshelf:port: [1]\n", "want a single value"},
		"something not YAML": {"config: [\n", "Pulumi.dev.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := repository(t, map[string]string{"Pulumi.dev.yaml": test.content}).ReadSettings("dev")
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("want an error with %q, have %v", test.want, err)
			}
		})
	}
}

func TestAnUnknownEnvironmentIsAnsweredWithTheKnownOnes(t *testing.T) {
	t.Parallel()
	_, err := repository(t, map[string]string{"Pulumi.dev.yaml": "", "Pulumi.prod.yaml": ""}).ReadSettings("pord")
	unknown, ok := errors.AsType[*stack.UnknownEnvironmentError](err)
	if !ok {
		t.Fatalf("want an UnknownEnvironmentError, have %v", err)
	}
	if diff := cmp.Diff([]string{"dev", "prod"}, unknown.Known); diff != "" {
		t.Error(diff)
	}
}

func TestTheStateFolderCanBeElsewhere(t *testing.T) {
	t.Parallel()
	layout := repository(t, map[string]string{})
	elsewhere := t.TempDir()
	moved, err := stack.FindLayout(layout.Infra, func(key string) (string, bool) { return elsewhere, key == "BOOKSHELF_STATE" })
	if err != nil || moved.State != elsewhere {
		t.Errorf("state is in %s (%v), want %s", moved.State, err, elsewhere)
	}
}

func TestOutsideARepositoryThereIsNoLayout(t *testing.T) {
	t.Parallel()
	_, err := stack.FindLayout(t.TempDir(), func(string) (string, bool) { return "", false })
	if err == nil || !strings.Contains(err.Error(), "infra/Pulumi.yaml") {
		t.Errorf("want an error that says what was looked for, have %v", err)
	}
}

func TestASecondRunIsToldWhoHoldsTheLock(t *testing.T) {
	t.Parallel()
	layout := repository(t, map[string]string{})
	lock, err := layout.Lock("dev", "release")
	if err != nil {
		t.Fatal(err)
	}
	_, err = layout.Lock("dev", "up")
	if _, ok := errors.AsType[*stack.LockedError](err); !ok || !strings.Contains(err.Error(), "(deliver release)") {
		t.Errorf("want a LockedError that names the holder's command, have %v", err)
	}
	other, err := layout.Lock("prod", "up")
	if err != nil {
		t.Errorf("another environment is locked too: %v", err)
	} else {
		other.Release()
	}
	lock.Release()
	again, err := layout.Lock("dev", "up")
	if err != nil {
		t.Fatalf("the lock was not given back: %v", err)
	}
	again.Release()
}
