package credentials_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bookshelf/infra/credentials"
)

func TestEnsureGeneratesOnceAndKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "dev", "secrets")
	first, err := credentials.Ensure(dir)
	if err != nil {
		t.Fatal(err)
	}
	second, err := credentials.Ensure(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first.App.Password, second.App.Password); diff != "" {
		t.Errorf("the second call changed the secrets: %s", diff)
	}
	if len(first.App.Password) < 43 || first.App.Password == first.Owner || first.Owner == first.Superuser {
		t.Error("secrets must be long and differ from each other")
	}
}

func TestSecretFilesAreForTheirOwnerOnly(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "secrets")
	if _, err := credentials.Ensure(dir); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 8 {
		t.Fatalf("want 8 files, have %d (%v)", len(entries), err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o, want 600", entry.Name(), info.Mode().Perm())
		}
	}
	if info, _ := os.Stat(dir); info.Mode().Perm() != 0o700 {
		t.Errorf("folder has mode %o, want 700", info.Mode().Perm())
	}
}

func TestALostFileIsAnErrorAndNothingIsReplaced(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "secrets")
	if _, err := credentials.Ensure(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "owner_password")); err != nil {
		t.Fatal(err)
	}
	_, err := credentials.Ensure(dir)
	if err == nil || !strings.Contains(err.Error(), "owner_password missing") {
		t.Errorf("want an error that names the lost file, have %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "owner_password")); err == nil {
		t.Error("the lost file was made anew")
	}
}

func TestAnEnvironmentFromBeforeThereWereBackupsIsGivenTheirSecrets(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "secrets")
	before, err := credentials.Ensure(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"backup_password", "backup_key"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if exist, err := credentials.Exist(dir); err != nil || !exist || credentials.HasBackupKey(dir) {
		t.Errorf("its secrets exist: %t, %v", exist, err)
	}
	after, err := credentials.Ensure(dir)
	if err != nil || after.BackupKey == "" || after.Backup == "" || after.App != before.App {
		t.Errorf("want the two that were missing and the others as they were: %v", err)
	}
}

func TestALostKeyOfTheBackupsIsNotMadeAnew(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "secrets")
	if _, err := credentials.Ensure(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "backup_key")); err != nil {
		t.Fatal(err)
	}
	if _, err := credentials.Ensure(dir); err == nil || !strings.Contains(err.Error(), "backup_key missing") {
		t.Errorf("want an error that names the key, have %v", err)
	}
}

func TestProcessesThatStartTogetherAgreeOnOneSet(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "secrets")
	var group sync.WaitGroup
	passwords := make([]string, 8)
	for i := range passwords {
		group.Go(func() {
			set, err := credentials.Ensure(dir)
			if err != nil {
				t.Error(err)
			}
			passwords[i] = set.App.Password + set.Metrics
		})
	}
	group.Wait()
	for _, password := range passwords {
		if password != passwords[0] {
			t.Fatal("two processes hold different passwords")
		}
	}
}

func TestASetDoesNotPrintItself(t *testing.T) {
	t.Parallel()
	set := credentials.Set{App: credentials.Login{Password: "hush"}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, set); strings.Contains(text, "hush") {
			t.Errorf("%s prints %s", verb, text)
		}
	}
}
