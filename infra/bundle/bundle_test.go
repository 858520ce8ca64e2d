package bundle

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
)

// files are those of an environment, one that is not exported, and one of another environment.
var files = map[string]string{
	"prod/secrets/passphrase": "the passphrase\n", "prod/secrets/app_login": "app_a\nhush\n", "prod/slots.json": "{}", "prod/last-good.json": "{}",
	"prod/data.json":             `{"volume":"postgres-data-20260301-120000"}`,
	"prod/workspace/Pulumi.yaml": "name: shop", "prod/workspace/Pulumi.prod.yaml": "encryptionsalt: v1", "prod/verified/abc.json": "{}",
	"pulumi/.pulumi/meta.yaml": "version: 1", "pulumi/.pulumi/stacks/shop/prod.json": "state",
	"prod/releases/1/dump": "data", "dev/secrets/passphrase": "another", "pulumi/.pulumi/stacks/shop/dev.json": "another state",
}

func exported(name string) bool {
	return !strings.Contains(name, "releases") && !strings.Contains(name, "dev")
}

func stateFolder(t *testing.T, files map[string]string) string {
	t.Helper()
	state := t.TempDir()
	for name, content := range files {
		path := filepath.Join(state, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return state
}

func content(t *testing.T, state string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(state, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(state, path)
		found[filepath.ToSlash(name)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// export exports to a new file for a new identity.
func export(t *testing.T) (file string, identity *age.X25519Identity) {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "prod.age")
	if _, err := Export(stateFolder(t, files), "shop", "prod", file, identity.Recipient()); err != nil {
		t.Fatal(err)
	}
	return file, identity
}

func TestAnEnvironmentComesOutAsItWentIn(t *testing.T) {
	t.Parallel()
	file, identity := export(t)
	b, err := Open(file, identity)
	if err != nil || b.Environment != "prod" {
		t.Fatalf("%+v, %v", b, err)
	}
	state := t.TempDir()
	for range 2 { // the second time there is nothing to do
		if err := b.Install(state); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{}
		for name, text := range files {
			if exported(name) {
				want[name] = text
			}
		}
		if diff := cmp.Diff(want, content(t, state)); diff != "" {
			t.Error(diff)
		}
	}
	info, err := os.Stat(filepath.Join(state, "prod/secrets/passphrase"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the passphrase has mode %v (%v)", info.Mode(), err)
	}
}

func TestAnExportIsEncryptedPrivateAndReplacesNothing(t *testing.T) {
	t.Parallel()
	file, identity := export(t)
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"the passphrase", "hush", "prod/secrets"} {
		if bytes.Contains(raw, []byte(secret)) {
			t.Errorf("it shows %q", secret)
		}
	}
	if info, _ := os.Stat(file); info.Mode().Perm() != 0o600 {
		t.Errorf("it has mode %v", info.Mode())
	}
	_, err = Export(stateFolder(t, files), "shop", "prod", file, identity.Recipient())
	if err == nil || !strings.Contains(err.Error(), file+" exists") {
		t.Errorf("exporting over it: %v", err)
	}
	if again, _ := os.ReadFile(file); !bytes.Equal(raw, again) {
		t.Error("it was replaced")
	}
	if entries, _ := os.ReadDir(filepath.Dir(file)); len(entries) != 1 {
		t.Errorf("there are %d files, want the export alone", len(entries))
	}
}

func TestWhatIsNoWholeExportIsRefused(t *testing.T) {
	t.Parallel()
	file, identity := export(t)
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	altered := bytes.Clone(raw)
	altered[len(altered)-100] ^= 1
	for name, test := range map[string]struct {
		raw      []byte
		identity age.Identity
		want     string
	}{
		"somebody else's":       {raw, stranger, "encrypted for somebody else"},
		"one that was cut off":  {raw[:len(raw)-200], identity, "damaged"},
		"one that was altered":  {altered, identity, "damaged"},
		"an empty file":         {nil, identity, "no export"},
		"a file of another use": {[]byte("passphrase: hunter2\n"), identity, "no export"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "x.age")
			if err := os.WriteFile(path, test.raw, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(path, test.identity); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

func TestABundleOfForeignPathsIsRefused(t *testing.T) {
	t.Parallel()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"../evil", "/etc/passwd", "dev/secrets/passphrase", "prod/secrets/../../evil", "prod/lock"} {
		held := map[string][]byte{path: []byte("x"), Last("prod"): []byte("y")}
		m := Manifest{Format: format, Environment: "prod", Files: map[string]string{}}
		for name, text := range held {
			m.Files[name] = sum(text)
		}
		var sealed bytes.Buffer
		if err := encrypt(&sealed, m, held, []age.Recipient{identity.Recipient()}); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "x.age")
		if err := os.WriteFile(file, sealed.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(file, identity); err == nil || !strings.Contains(err.Error(), "no file of prod") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestAnImportOverAnotherEnvironmentTouchesNothing(t *testing.T) {
	t.Parallel()
	file, identity := export(t)
	b, err := Open(file, identity)
	if err != nil {
		t.Fatal(err)
	}
	state := stateFolder(t, map[string]string{"prod/secrets/passphrase": "another\n"})
	err = b.Install(state)
	if err == nil || !strings.Contains(err.Error(), "prod/secrets/passphrase") {
		t.Errorf("%v, want an error that names what differs", err)
	}
	if diff := cmp.Diff(map[string]string{"prod/secrets/passphrase": "another\n"}, content(t, state)); diff != "" {
		t.Error(diff)
	}
}

func TestWhatWasNeverDeployedCannotBeExported(t *testing.T) {
	t.Parallel()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "x.age")
	if _, err := Export(t.TempDir(), "shop", "prod", to, identity.Recipient()); err == nil || !strings.Contains(err.Error(), "never deployed") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(to); err == nil {
		t.Error("a file was left")
	}
}
