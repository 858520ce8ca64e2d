package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSecretsAreReadableFilesInAClosedFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "secrets")
	if err := makeSecrets(dir); err != nil {
		t.Fatal(err)
	}
	if mode := modeOf(t, dir); mode != 0o700 {
		t.Errorf("the folder's mode is %o, want 700", mode)
	}
	seen := map[string]bool{}
	for _, name := range secretNames {
		password := readFile(t, filepath.Join(dir, name))
		if mode := modeOf(t, filepath.Join(dir, name)); mode != 0o444 {
			t.Errorf("the mode of %s is %o, want 444", name, mode)
		}
		if len(password) < 20 || strings.ContainsAny(password, "\n'") || seen[password] {
			t.Errorf("%s holds %q, want a long password of its own", name, password)
		}
		seen[password] = true
	}
}

func TestSecretsThatAreThereStay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "app_password"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := makeSecrets(dir); err != nil {
			t.Fatal(err)
		}
	}
	if got := readFile(t, filepath.Join(dir, "app_password")); got != "mine" {
		t.Errorf("the password became %q", got)
	}
}

func TestAFolderInThePlaceOfASecretIsAnErrorThatNamesIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "owner_password"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := makeSecrets(dir); err == nil || !strings.Contains(err.Error(), "owner_password") {
		t.Errorf("makeSecrets: %v", err)
	}
}

func modeOf(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
