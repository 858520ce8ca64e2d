package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// testMove exports the environment, operates it from another clone, and finds that what is not the newest copy is refused.
func (b *bench) testMove(t *testing.T) {
	if !full() {
		t.Skip("make e2e-secrets runs it: package bundle's tests are the short form")
	}
	folder := t.TempDir()
	phrase, file := filepath.Join(folder, "phrase"), filepath.Join(folder, "moved.age")
	b.must(os.WriteFile(phrase, []byte("correct horse battery\n"), 0o600))
	if code, _, stderr := b.deliver("secrets", "export", file, "--passphrase-file", phrase); code != exitDone {
		t.Fatalf("export: exit code %d: %s", code, stderr)
	}
	if code, _, stderr := b.deliver("secrets", "export", file, "--passphrase-file", phrase); code == exitDone || !strings.Contains(stderr, "exists") {
		t.Errorf("exporting over a file: exit code %d: %s", code, stderr)
	}
	here := filepath.Join(b.root, ".bookshelf")
	b.must(os.Rename(here, here+".away"))
	wrong := filepath.Join(folder, "wrong")
	b.must(os.WriteFile(wrong, []byte("incorrect horse battery\n"), 0o600))
	if code, _, stderr := b.deliver("secrets", "import", file, "--passphrase-file", wrong); code != exitUsage || !strings.Contains(stderr, "another passphrase") {
		t.Errorf("import with a wrong passphrase: exit code %d: %s", code, stderr)
	}
	for range 2 {
		if code, _, stderr := b.deliver("secrets", "import", file, "--passphrase-file", phrase); code != exitDone {
			t.Fatalf("import: exit code %d: %s", code, stderr)
		}
	}
	if up := b.up(); len(up.Changes) != 0 || len(up.Repaired) != 0 {
		t.Errorf("an up from the other machine: changes %v, repairs %v", up.Changes, up.Repaired)
	}
	if code, status := b.status(); code != exitDone {
		t.Errorf("from the other machine: %q", status.Problems)
	}
	// There the passwords are rotated; what the first machine has is of yesterday.
	b.rotate()
	b.must(os.Rename(here, here+".moved"))
	b.must(os.Rename(here+".away", here))
	code, _, stderr := b.deliver("up")
	if code != exitPerson || !strings.Contains(stderr, "nothing was changed") {
		t.Errorf("an up with passwords from before a rotation: exit code %d: %s", code, stderr)
	}
	b.wantServing()
	b.must(os.RemoveAll(here))
	b.must(os.Rename(here+".moved", here))
	b.wantServing()
	if code, status := b.status(); code != exitDone {
		t.Errorf("after all of it: %q", status.Problems)
	}
}

func TestSecretsNeedAKeyOrAPassphrase(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	short := filepath.Join(folder, "short")
	if err := os.WriteFile(short, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(folder, "none")
	for want, args := range map[string][]string{
		"there is no terminal":        {"export", "x.age"},
		"too short":                   {"export", "x.age", "--passphrase-file", short},
		"--passphrase-file: open":     {"import", "x.age", "--passphrase-file", none},
		"one of them":                 {"export", "x.age", "--passphrase-file", short, "--recipient", "age1x"},
		"malformed recipient":         {"export", "x.age", "--recipient", "age1x"},
		"holds no private key of age": {"import", "x.age", "--identity-file", short},
		"which file?":                 {"export"},
		"--recipients-file: open":     {"export", "x.age", "--recipients-file", none},
	} {
		code, _, stderr := command(t, append([]string{"secrets", args[0], "-e", "dev"}, args[1:]...)...)
		if code != exitUsage || !strings.Contains(stderr, want) || strings.Contains(stderr, "hunter2") {
			t.Errorf("%v: exit code %d: %s, want %q", args, code, stderr, want)
		}
	}
}
