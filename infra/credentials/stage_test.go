package credentials_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bookshelf/infra/credentials"
)

func folder(t *testing.T) (dir string, set credentials.Set) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "secrets")
	set, err := credentials.Ensure(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir, set
}

func TestWhatIsStagedChangesNothingBeforeItIsPromoted(t *testing.T) {
	t.Parallel()
	dir, before := folder(t)
	next := credentials.Login{Role: before.App.Other(), Password: credentials.Random()}
	if err := credentials.Stage(dir, credentials.AppFile, next.Content()); err != nil {
		t.Fatal(err)
	}
	if now, err := credentials.Ensure(dir); err != nil || now != before {
		t.Errorf("staged, the set is another (%v)", err)
	}
	if then, err := credentials.LoadStaged(dir); err != nil || then.App != next || then.Owner != before.Owner {
		t.Errorf("it would not become what was staged (%v)", err)
	}
	at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	if err := credentials.Promote(dir, credentials.AppFile, at); err != nil {
		t.Fatal(err)
	}
	if now, err := credentials.Load(dir); err != nil || now.App != next {
		t.Errorf("promoted, the set is not what was staged (%v)", err)
	}
	if _, there, err := credentials.Staged(dir, credentials.AppFile); there || err != nil {
		t.Errorf("it is still staged (%v)", err)
	}
	if made, err := credentials.Made(dir, credentials.AppFile); err != nil || !made.Equal(at) {
		t.Errorf("made at %v, want %v (%v)", made, at, err)
	}
	if made, err := credentials.Made(dir, credentials.OwnerFile); err != nil || time.Since(made) > time.Hour {
		t.Errorf("what was never rotated is as old as its file: %v (%v)", made, err)
	}
	if err := credentials.Promote(dir, credentials.AppFile, at); err == nil {
		t.Error("nothing was promoted, and nothing said of it")
	}
}

func TestAnEnvironmentFromBeforeTheTwoLoginsKeepsItsPassword(t *testing.T) {
	t.Parallel()
	dir, _ := folder(t)
	for _, name := range []string{credentials.AppFile, credentials.MetricsFile, credentials.ReadOnlyFile} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "app_password"), []byte("as before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if exist, err := credentials.Exist(dir); err != nil || !exist {
		t.Errorf("its secrets exist: %t, %v", exist, err)
	}
	for range 2 {
		set, err := credentials.Ensure(dir)
		if want := (credentials.Login{Role: credentials.RoleA, Password: "as before"}); err != nil || set.App != want || set.Metrics == "" {
			t.Fatalf("%v", err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "app_password")); err == nil {
		t.Error("the old file is still there")
	}
}

func TestALoginThatIsNoneIsAnError(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"app_a\n", "app_c\nx\n", "x\n", "app_a\nx\ny\n", "\n"} {
		dir, _ := folder(t)
		if err := os.WriteFile(filepath.Join(dir, credentials.AppFile), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := credentials.Load(dir); err == nil || !strings.Contains(err.Error(), credentials.AppFile) {
			t.Errorf("%q: %v", content, err)
		}
	}
}
