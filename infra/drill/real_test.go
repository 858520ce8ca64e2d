package drill

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"bookshelf/infra/environment"
	"bookshelf/infra/runtime"
	"bookshelf/infra/runtime/docker"
	"bookshelf/infra/scratch"
)

// source is a database with a backup in a repository, as small as can be: what drills restore copies of.
type source struct {
	t      *testing.T
	engine *docker.Engine
	prefix string
	image  string
	system string
	// last is the segment that was archived last.
	last string
}

// conf is pgBackRest's configuration, as the program writes it, with a key.
func conf(key string) string {
	return `[global]
repo1-path=/var/lib/pgbackrest
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass=` + key + `
repo1-retention-full=2
compress-type=zst
start-fast=y
archive-timeout=60
lock-path=/tmp/pgbackrest
log-level-file=off
log-level-stderr=warn
log-level-console=off

[bookshelf-src]
pg1-path=/var/lib/postgresql/data
pg1-socket-path=/var/run/postgresql
pg1-user=bookshelf_backup
pg1-database=bookshelf
`
}

// newSource starts a database and what backs it up, fills it, takes a backup and goes on writing.
func newSource(t *testing.T) *source {
	t.Helper()
	skip := func(reason string) {
		if os.Getenv("REQUIRE_SERVICES") == "1" {
			t.Fatal(reason)
		}
		t.Skip(reason)
	}
	image, err := os.ReadFile("../../.tools/postgres-image-id")
	if err != nil {
		skip("there is no image of the database (make postgres-image builds it)")
	}
	engine, err := docker.New()
	if err == nil {
		err = engine.Check(t.Context())
	}
	if err != nil {
		skip(err.Error())
	}
	prefix := os.Getenv("BOOKSHELF_TEST_RUN")
	if prefix == "" {
		prefix = fmt.Sprintf("bookshelf-test-%d", os.Getpid())
	}
	s := &source{t: t, engine: engine, prefix: strings.TrimSuffix(prefix, "-") + "-drill", image: strings.TrimSpace(string(image))}
	t.Cleanup(s.remove)
	s.secrets("secrets", "the right key")
	s.start()
	return s
}

// remove leaves nothing, whatever the tests have made.
func (s *source) remove() {
	for _, kind := range [][]string{{"ps", "-a"}, {"network", "ls"}, {"volume", "ls"}} {
		out, err := exec.Command("docker", append(kind, "-q", "--filter", "name="+s.prefix)...).Output() // the test's own context has ended by then
		if err != nil {
			s.t.Errorf("list what is left: %v", err)
		}
		remove := map[string][]string{"ps": {"rm", "--force"}, "network": {"network", "rm"}, "volume": {"volume", "rm"}}[kind[0]]
		for one := range strings.FieldsSeq(string(out)) {
			if out, err := exec.Command("docker", append(remove, one)...).CombinedOutput(); err != nil {
				s.t.Errorf("remove %s: %v: %s", one, err, out)
			}
		}
	}
	if err := s.engine.Close(); err != nil {
		s.t.Error(err)
	}
}

func (s *source) docker(stdin string, args ...string) string {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), "docker", args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("docker %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (s *source) name(part string) string { return s.prefix + "-" + part }

// shell runs a script in a container of its own, as root, with volumes.
func (s *source) shell(stdin, script string, mounts ...string) string {
	s.t.Helper()
	args := []string{"run", "--rm", "-i", "--name", s.name(fmt.Sprintf("shell-%d", time.Now().UnixNano())), "--network=none", "--entrypoint=bash"}
	for _, m := range mounts {
		args = append(args, "--volume="+m)
	}
	return s.docker(stdin, append(args, s.image, "-euc", script)...)
}

// secrets fills a volume with pgBackRest's configuration.
func (s *source) secrets(volume, key string) {
	s.t.Helper()
	s.shell(conf(key), `cat >/v/pgbackrest.conf; echo '*:*:*:bookshelf_backup:secret' >/v/pgpass; chown 999:999 /v/*; chmod 0400 /v/*; chmod 0755 /v`, s.name(volume)+":/v")
}

// setUp is the database's content, and the role of the program's own statements.
const setUp = `CREATE DATABASE bookshelf;
\connect bookshelf
CREATE ROLE bookshelf_backup LOGIN PASSWORD 'secret';
GRANT pg_read_all_data, pg_read_all_settings, pg_maintain TO bookshelf_backup;
GRANT EXECUTE ON FUNCTION pg_backup_start(text, boolean), pg_backup_stop(boolean), pg_switch_wal(), pg_create_restore_point(text) TO bookshelf_backup;
CREATE TABLE books (id bigint PRIMARY KEY, title text NOT NULL, whole_row text, at timestamptz NOT NULL DEFAULT now());
CREATE TABLE "Odd ""name" (n int);
INSERT INTO books SELECT n, md5(n::text), NULL FROM generate_series(1, 5000) n;
INSERT INTO "Odd ""name" VALUES (1), (1), (NULL);
`

func (s *source) start() {
	s.t.Helper()
	common := []string{
		"--user=999:999", "--read-only", "--cap-drop=ALL", "--tmpfs=/tmp", "--network=none", "--memory=256m",
		"--volume=" + s.name("socket") + ":/var/run/postgresql",
	}
	s.docker("", append(append([]string{"run", "--detach", "--name=" + s.name("db"), "--env=POSTGRES_PASSWORD=secret", "--volume=" + s.name("data") + ":/var/lib/postgresql/data"}, common...),
		s.image, "postgres", "-c", "archive_mode=on", "-c", "archive_command=pgbackrest-agent push %p", "-c", "listen_addresses=127.0.0.1", "-c", "hba_file=/etc/bookshelf/pg_hba.conf")...)
	s.docker("", append(append([]string{
		"run", "--detach", "--name=" + s.name("agent"), "--volume=" + s.name("data") + ":/var/lib/postgresql/data:ro", "--volume=" + s.name("repo") + ":/var/lib/pgbackrest",
		"--volume=" + s.name("secrets") + ":/run/backup:ro", "--env=PGBACKREST_CONFIG=/run/backup/pgbackrest.conf", "--env=PGPASSFILE=/run/backup/pgpass",
		"--env=PGBACKREST_STANZA=bookshelf-src", "--env=PGDATABASE=bookshelf", "--env=PGUSER=bookshelf_backup", "--env=PGDATA=/var/lib/postgresql/data", "--entrypoint=pgbackrest-agent",
	}, common...), s.image, "serve")...)
	s.wait(func() error { return s.try("exec", s.name("db"), "pg_isready", "--quiet", "--host=127.0.0.1") })
	s.psql(setUp, "postgres")
	s.wait(func() error { return s.try("exec", s.name("agent"), "pgbackrest-agent", "check") })
	// Somebody writes all the time while the backup is taken and marked: what the marker says must be exact all the same.
	s.docker("", "exec", "--detach", "--env=PGPASSWORD=secret", s.name("db"), "bash", "-c",
		`while echo "INSERT INTO books SELECT max(id) + 1, 'meanwhile', NULL FROM books;"; do sleep 0.02; done | psql --username=postgres --dbname=bookshelf -q`)
	s.wait(func() error { return s.try("exec", s.name("agent"), "pgbackrest-agent", "backup", "full") })
	s.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'psql' AND pid <> pg_backend_pid()", "postgres")
	s.goOn()
}

// goOn writes into two segments after the backup, and sees to it that they are archived.
func (s *source) goOn() {
	s.t.Helper()
	for range 2 {
		s.psql("INSERT INTO books SELECT max(id) + 1, 'later', NULL FROM books; SELECT pg_switch_wal();", "bookshelf")
	}
	s.docker("", "exec", s.name("agent"), "pgbackrest-agent", "check")
	s.system = s.psql("SELECT system_identifier FROM pg_control_system()", "bookshelf")
	s.last = s.psql("SELECT last_archived_wal FROM pg_stat_archiver", "bookshelf")
}

func (s *source) psql(statements, database string) string {
	s.t.Helper()
	return s.docker(statements, "exec", "-i", "--env=PGPASSWORD=secret", s.name("db"), "psql", "--username=postgres", "--dbname="+database, "-qAt", "--set=ON_ERROR_STOP=1")
}

func (s *source) try(args ...string) error {
	out, err := exec.CommandContext(s.t.Context(), "docker", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func (s *source) wait(done func() error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	for {
		err := done()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			s.t.Fatalf("still not after a minute: %v; %s", err, s.docker("", "logs", "--tail=5", s.name("agent")))
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// copied is a copy of the repository, changed by a script that finds it in /repo.
func (s *source) copied(name, script string) string {
	s.t.Helper()
	volume := s.name("repo-" + name)
	s.shell("", "cp --archive /from/. /repo/; "+script, s.name("repo")+":/from:ro", volume+":/repo")
	return volume
}

// drill is one of a copy of the repository.
func (s *source) drill(t *testing.T, name, script string, change func(*Config)) Report {
	t.Helper()
	config := Config{
		Scratch: scratch.Config{
			Env: runtime.Environment{Project: "bookshelf", Name: "src"}, Purpose: s.name(name), Image: s.image, Limits: environment.Limits{MemoryMiB: 256},
			Repository: s.copied(name, script), Secrets: s.name("secrets"), Roles: s.name("secrets"), Data: s.name("restored-" + name),
		},
		ID: name, MaxAge: time.Hour, System: s.system, LastWAL: s.last,
	}
	if change != nil {
		change(&config)
	}
	t.Cleanup(func() {
		// Its containers and its network are called after the environment, and so none of the source's.
		left, err := s.engine.Instances(context.WithoutCancel(t.Context()), runtime.Environment{Project: "bookshelf-" + config.Scratch.Purpose, Name: "src"})
		if err != nil || len(left) > 0 {
			t.Errorf("the drill has left %d containers, %v", len(left), err)
		}
		if there, err := s.engine.VolumeExists(context.WithoutCancel(t.Context()), config.Scratch.Data); err != nil || there {
			t.Errorf("the drill has left its volume: %t, %v", there, err)
		}
	})
	report, err := Run(t.Context(), s.engine, config)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// Where things are in a copy of the repository.
const (
	backups  = "/repo/backup/bookshelf-src"
	segments = "/repo/archive/bookshelf-src/17-1/0000000100000000"
)

func TestADrillTellsGoodBackupsFromBadOnes(t *testing.T) {
	t.Parallel()
	s := newSource(t)
	for name, test := range map[string]struct {
		script string
		change func(*Config)
		// step is where it fails, problem what is said.
		step, problem string
		// long is for those that the others imply, and that take their time.
		long bool
	}{
		// This source has no service: up to that point everything has to be proven.
		"good": {"", nil, "give it the roles of today", "", false},
		"truncated": {
			`f=$(find ` + backups + `/*F/pg_data/base -type f -size +8k | sort | tail -2 | head -1); truncate -s -2000 "$f"`, nil,
			"restore the backup", "pgbackrest ended with exit code", false,
		},
		"changed": {
			`f=$(find ` + backups + `/*F/pg_data/base -type f -size +8k | sort | tail -1); printf '\x55' | dd of="$f" bs=1 seek=4000 conv=notrunc status=none`, nil,
			"restore the backup", "pgbackrest ended with exit code", true,
		},
		"no-backup":  {`rm -r ` + backups, nil, "look into the repository", "no backup", true},
		"unreadable": {`for f in backup.info backup.info.copy; do printf '' >` + backups + `/$f; done`, nil, "look into the repository", "backup.info", true},
		"stale":      {"", func(c *Config) { c.MaxAge = time.Nanosecond }, "look into the repository", "is stale", false},
		"wrong-key": {
			"", func(c *Config) {
				c.Scratch.Secrets = s.name("secrets-wrong")
				s.secrets("secrets-wrong", "another key")
			}, "look into the repository", "is the key the right one?", false,
		},
		"segment-missing-before-the-restore-point": {
			// The one that the backup needs first; its marker is in a later one.
			`ls ` + segments + `/*.zst | sort | while read f; do case $f in *.backup) ;; *) echo $f;; esac; done | tail -4 | head -1 | xargs rm`, nil,
			"recover to its restore point", "", true,
		},
		"segment-missing-at-the-end": {
			`ls ` + segments + `/*.zst | sort | tail -2 | head -1 | xargs rm`, nil, "look for what was archived last", "a segment of the write-ahead log is missing", false,
		},
		"full-disk": {
			"", func(c *Config) {
				c.Scratch.VolumeOptions = map[string]string{"type": "tmpfs", "device": "tmpfs", "o": "size=12m,uid=999,gid=999,mode=0700"}
			}, "restore the backup", "unable to write", false,
		},
		"another-database": {"", func(c *Config) { c.System = "1234567890" }, "look into the repository", "is of another database", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.long && os.Getenv("E2E") != "full" {
				t.Skip("only in the long form: make e2e-data")
			}
			report := s.drill(t, name, test.script, test.change)
			last := report.Steps[len(report.Steps)-1]
			if report.Passed || last.Name != test.step || !strings.Contains(report.Problem, test.problem) {
				t.Errorf("failed in %q, want %q and %q: %s", last.Name, test.step, test.problem, report.Problem)
			}
			if report.RTOSeconds != 0 {
				t.Errorf("what failed was measured: %v s", report.RTOSeconds)
			}
			if metrics := report.Metrics(); metrics[0].Name != "drill_last_outcome" || metrics[0].Value != 0 {
				t.Errorf("metrics: %v", metrics)
			}
			if name == "good" && (!report.AllSame() || report.Rows() <= 5003) {
				t.Errorf("of the good one: %+v", report.Tables)
			}
		})
	}
}
