package environment

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAnEnvironmentThatWasNeverRestoredHasItsFirstVolume(t *testing.T) {
	t.Parallel()
	data, err := ReadData(t.TempDir(), "dev")
	if diff := cmp.Diff(Data{Volume: "postgres-data"}, data); err != nil || diff != "" {
		t.Errorf("%v: %s", err, diff)
	}
}

func TestWhatARestoreReplacesIsKeptUntilItIsForgotten(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	if err := os.Mkdir(filepath.Join(state, "dev"), 0o700); err != nil {
		t.Fatal(err)
	}
	data := Data{Volume: "postgres-data"}.Replaced("postgres-data-1").Replaced("postgres-data-2")
	if err := WriteData(state, "dev", data); err != nil {
		t.Fatal(err)
	}
	read, err := ReadData(state, "dev")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Data{Volume: "postgres-data-2", Former: []string{"postgres-data", "postgres-data-1"}}, read); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"postgres-data-2", "postgres-data", "postgres-data-1"}, read.Volumes()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(Data{Volume: "postgres-data-2", Forgotten: []string{"postgres-data", "postgres-data-1"}}, read.WithoutFormer()); diff != "" {
		t.Error(diff)
	}
}

func TestABrokenRecordOfTheDataIsAnErrorAndNotTheFirstVolume(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"", "{}", `{"volume": 7}`} {
		state := t.TempDir()
		if err := os.Mkdir(filepath.Join(state, "dev"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dataFile(state, "dev"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadData(state, "dev"); err == nil || !strings.Contains(err.Error(), "data.json") {
			t.Errorf("%q: %v", content, err)
		}
	}
}

func TestTheDatabaseIsGivenTheCurrentVolumeAndTheFormerOnesStay(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	if err := os.Mkdir(filepath.Join(state, "dev"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteData(state, "dev", Data{Volume: "postgres-data"}.Replaced("postgres-data-1")); err != nil {
		t.Fatal(err)
	}
	r := &recorder{}
	if err := declareIn(t, state, "dev", map[string]string{"image": someImage}, r); err != nil {
		t.Fatal(err)
	}
	var declared []string
	for _, args := range r.resources {
		if strings.HasPrefix(args.Name, "postgres-data") {
			declared = append(declared, args.Name)
		}
	}
	slices.Sort(declared)
	if diff := cmp.Diff([]string{"postgres-data", "postgres-data-1"}, declared); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"postgres", "backup"} {
		if mount := r.containers()[name]["volumes"].ArrayValue()[0].ObjectValue(); mount["volumeName"].StringValue() != "bookshelf-dev-postgres-data-1" {
			t.Errorf("%s mounts %v", name, mount["volumeName"])
		}
	}
}
