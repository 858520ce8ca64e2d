package environment

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bookshelf/infra/credentials"
)

// onS3 is a repository in a bucket.
const onS3 = `"type": "s3", "bucket": "books", "endpoint": "s3.example:9000", "region": "here", "key_file": "id", "secret_file": "secret"`

func TestWhatIsWrongWithTheBackupsConfigurationIsNamed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ value, want string }{
		"a key that does not exist":         {`{"fulll": "1h"}`, `unknown field "fulll"`},
		"a number for a duration":           {`{"full": 7}`, "want a mapping"},
		"a duration without a unit":         {`{"full": "7"}`, "duration"},
		"a full backup every second":        {`{"full": "1s"}`, "full = 1s: want a duration from 1m"},
		"differential ones that never come": {`{"full": "1h", "diff": "2h"}`, "shorter than full"},
		"no backup kept":                    {`{"retain_full": 0}`, "retain_full = 0"},
		"a compression of no kind":          {`{"compress": "zip"}`, "one of zst, lz4, gz, none"},
		"too little memory":                 {`{"memory_mib": 8}`, "memory_mib = 8"},
		"processors without a number":       {`{"cpus": "many"}`, "cpus = many"},
		"a repository of no kind":           {`{"repository": {"type": "tape"}}`, `type = "tape": want volume or s3`},
		"a volume in a bucket":              {`{"repository": {"bucket": "books"}}`, "none, because the type is volume"},
		"a bucket without its keys":         {`{"repository": {"type": "s3", "bucket": "books"}}`, `key_file = "": want one`},
		"an endpoint with a scheme":         {`{"repository": {` + strings.Replace(onS3, "s3.example", "https://s3.example", 1) + `}}`, "always HTTPS"},
		"a path that begins nowhere":        {`{"repository": {` + onS3 + `, "path": "books"}}`, "begins with /"},
		"a style of no kind":                {`{"repository": {` + onS3 + `, "uri_style": "new"}}`, "host or path"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Load("dev", from(map[string]string{"backup": test.value}))
			if err == nil || !strings.Contains(err.Error(), "bookshelf:backup") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("want an error that names the key and says %q, have %v", test.want, err)
			}
		})
	}
}

// environmentWith is one with given settings of its backups and known secrets.
func environmentWith(t *testing.T, settings, dir string) *environment {
	t.Helper()
	config, err := Load("dev", from(map[string]string{"backup": settings}))
	if err != nil {
		t.Fatal(err)
	}
	if err := config.Backup.Repository.readFiles(dir); err != nil {
		t.Fatal(err)
	}
	return &environment{config: config, credentials: credentials.Set{Backup: "pass", BackupKey: "key"}}
}

func TestPgBackRestIsConfiguredForAVolume(t *testing.T) {
	t.Parallel()
	got := environmentWith(t, `{"retain_full": 3, "retain_diff": 0, "compress": "lz4"}`, "").pgbackrestConf()
	want := `[global]
repo1-path=/var/lib/pgbackrest
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass=key
repo1-retention-full=3
repo1-bundle=y
compress-type=lz4
start-fast=y
archive-timeout=60
lock-path=/tmp/pgbackrest
log-level-file=off
log-level-stderr=warn
log-level-console=off

[bookshelf-dev]
pg1-path=/var/lib/postgresql/data
pg1-socket-path=/var/run/postgresql
pg1-user=bookshelf_backup
pg1-database=bookshelf
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPgBackRestIsConfiguredForABucket(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range map[string]string{"id": "AKIA\n", "secret": "hush\n", "ca.pem": "PEM\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e := environmentWith(t, `{"repository": {`+onS3+`, "uri_style": "path", "roots_file": "ca.pem"}}`, dir)
	want := `[global]
repo1-type=s3
repo1-path=/bookshelf-dev
repo1-s3-bucket=books
repo1-s3-endpoint=s3.example:9000
repo1-s3-region=here
repo1-s3-key=AKIA
repo1-s3-key-secret=hush
repo1-s3-uri-style=path
repo1-storage-ca-file=/run/backup/repository-roots.pem
repo1-cipher-type=aes-256-cbc
`
	if got := e.pgbackrestConf(); !strings.HasPrefix(got, want) {
		t.Error(cmp.Diff(want, got))
	}
	if diff := cmp.Diff("PEM", e.backupFiles()["repository-roots.pem"]); diff != "" {
		t.Error(diff)
	}
}

func TestOnlyBackupsThatAreKeptElsewhereHaveAWayOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	settings := onS3
	for _, name := range []string{"id", "secret"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("hush-"+name), 0o600); err != nil {
			t.Fatal(err)
		}
		settings = strings.Replace(settings, `_file": "`+name+`"`, `_file": "`+path+`"`, 1)
	}
	r := &recorder{}
	if err := declare(t, "dev", map[string]string{"image": someImage, "backup": `{"repository": {` + settings + `}}`}, r); err != nil {
		t.Fatal(err)
	}
	for name, inputs := range r.containers() {
		out := strings.Contains(fmt.Sprint(inputs["networksAdvanced"]), "bookshelf-dev-repository")
		if out != (name == "backup") {
			t.Errorf("%s is on the network to the repository: %t", name, out)
		}
		if strings.Contains(fmt.Sprint(withoutSecrets(inputs["uploads"]), inputs["envs"], inputs["command"]), "hush-") {
			t.Errorf("%s shows the keys of the bucket", name)
		}
	}
	for _, args := range r.resources {
		if args.Name == "postgres-backups" {
			t.Error("there is a volume for backups that are kept elsewhere")
		}
	}
}

func TestTheKeysOfABucketThatAreNotThereCreateNothing(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	err := declare(t, "dev", map[string]string{"image": someImage, "backup": `{"repository": {` + onS3 + `}}`}, r)
	if err == nil || !strings.Contains(err.Error(), "key_file") || !strings.Contains(err.Error(), "secret_file") || len(r.containers()) > 0 {
		t.Errorf("%d containers, %v", len(r.containers()), err)
	}
}

func TestTheDatabasesContainerHoldsNeitherTheBackupsNorTheirKey(t *testing.T) {
	t.Parallel()
	containers := deployed(t).containers()
	for name, inputs := range containers {
		for _, mount := range inputs["volumes"].ArrayValue() {
			v := mount.ObjectValue()
			volume, readOnly := v["volumeName"].StringValue(), v["readOnly"].BoolValue()
			switch {
			case volume == "bookshelf-dev-postgres-backups" && name != "backup",
				volume == "bookshelf-dev-secrets-backup" && name != "backup" && name != "secrets-distribution":
				t.Errorf("%s mounts %s", name, volume)
			case volume == "bookshelf-dev-postgres-data" && name == "backup" && !readOnly:
				t.Error("the backup container may write to the data")
			}
		}
	}
}
