package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bookshelf/infra/backup"
	"bookshelf/infra/delivery"
	"bookshelf/infra/environment"
)

// backups asks for the list, until it holds so many.
func (b *bench) backups(least int) backup.Status {
	b.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		code, stdout, stderr := b.deliver("backups", "--json")
		var status backup.Status
		if code == exitDone {
			b.must(json.Unmarshal([]byte(stdout), &status))
		}
		if len(status.Backups) >= least && status.Newest().Marker != nil {
			return status
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("no %d backups after a minute: exit code %d: %s%s", least, code, stdout, stderr)
		}
		select {
		case <-b.t.Context().Done():
		case <-time.After(300 * time.Millisecond):
		}
	}
}

func (b *bench) take(kind string) backup.Backup {
	b.t.Helper()
	code, stdout, stderr := b.deliver("backup", "--type", kind, "--json")
	if code != exitDone {
		b.t.Fatalf("backup: exit code %d: %s", code, stderr)
	}
	var taken backup.Backup
	b.must(json.Unmarshal([]byte(stdout), &taken))
	return taken
}

func (b *bench) books() int {
	b.t.Helper()
	status, body := b.request(http.MethodGet, "/api/v1/books?limit=100", "")
	if status != http.StatusOK {
		b.t.Fatalf("listing books: %d: %s", status, body)
	}
	var list struct {
		Items []json.RawMessage `json:"items"`
	}
	b.must(json.Unmarshal([]byte(body), &list))
	return len(list.Items)
}

func (b *bench) write(titles ...string) {
	b.t.Helper()
	for _, title := range titles {
		if status, body := b.request(http.MethodPost, "/api/v1/books", fmt.Sprintf(`{"title": %q, "authors": ["Nobody"]}`, title)); status != http.StatusCreated {
			b.t.Fatalf("creating a book: %d: %s", status, body)
		}
	}
}

func (b *bench) restore(to string) delivery.RestoreResult {
	b.t.Helper()
	code, stdout, stderr := b.deliver("restore", "--to", to, "--yes", "--json")
	if code != exitDone {
		b.t.Fatalf("restore --to %s: exit code %d: %s", to, code, stderr)
	}
	var result delivery.RestoreResult
	b.must(json.Unmarshal([]byte(stdout), &result))
	return result
}

// leftovers are the parts of drills and restores that are there.
func (b *bench) leftovers() string {
	b.t.Helper()
	var found []string
	for _, kind := range [][]string{{"ps", "--all", "--format={{.Names}}"}, {"network", "ls", "--format={{.Name}}"}, {"volume", "ls", "--format={{.Name}}"}} {
		for _, part := range []string{"drill", "restore"} {
			found = append(found, strings.Fields(b.docker(append(kind, "--filter=name="+b.container(part))...))...)
		}
	}
	return strings.Join(found, " ")
}

// TestDataIsBackedUpAndComesBackOnTheRealEngine is one life, as that of the environment itself.
//
//nolint:paralleltest // the steps are an order
func TestDataIsBackedUpAndComesBackOnTheRealEngine(t *testing.T) {
	b := newBench(t)
	b.up("--image", b.image)
	code, token, complaint := b.deliver("exec", "--", "token", "create", "--scopes", "books:read,books:write", "test")
	if code != exitDone {
		t.Fatalf("making a token: exit code %d: %s", code, complaint)
	}
	b.token = strings.TrimSpace(token)
	b.write("one", "two")

	t.Run("the schedule has taken the first backup by itself, and another can be asked for", func(t *testing.T) {
		if first := b.backups(1).Backups[0]; first.Type != backup.Full || first.Verified == nil {
			t.Errorf("the first backup is %+v", first)
		}
		if taken := b.take(backup.Full); taken.Verified == nil || taken.Fault != "" || taken.Marker.Rows() < 2 || taken.RepositoryBytes == 0 {
			t.Errorf("taken: %+v", taken)
		}
		_, words, _ := b.deliver("backups")
		if !strings.Contains(words, "verified") || !strings.Contains(words, "archiving works") {
			t.Errorf("in words:\n%s", words)
		}
		if _, status := b.status(); status.Backup == nil || !status.Backup.Archiving || status.Backup.Newest == "" || !status.Healthy {
			t.Errorf("status: %+v, %q", status.Backup, status.Problems)
		}
	})
	t.Run("the backups and the log in the repository are unreadable without the key", func(t *testing.T) {
		archived := b.docker("exec", b.container("backup"), "sh", "-c", `cd /var/lib/pgbackrest; f=$(find archive -name '0*' -type f | sort | tail -1); head -c 8 "$f"`)
		if archived != "Salted__" {
			t.Errorf("what is archived begins with %q, and not as what OpenSSL encrypts", archived)
		}
	})
	t.Run("a drill restores it beside the environment, and leaves nothing", b.testDrill)
	point := time.Now().UTC()
	b.write("three")
	if os.Getenv("E2E") == "full" {
		t.Run("a restore that is killed leaves the environment as it was, or is completed by the next run", b.testKilledRestore)
	}
	t.Run("a restore brings back a moment, and keeps what it replaces", func(t *testing.T) {
		result := b.restore(point.Format(time.RFC3339Nano))
		if got := b.books(); got != 2 {
			t.Errorf("there are %d books, want the two from before", got)
		}
		if left := b.leftovers(); left != "" {
			t.Errorf("left behind: %s", left)
		}
		if !strings.HasPrefix(result.Former, b.container("postgres-data")) || result.Former == result.Volume || !strings.HasPrefix(result.Volume, b.container("postgres-data-")) || result.Content.Rows() == 0 {
			t.Errorf("result: %+v", result)
		}
		t.Logf("restored in %.1f s, swapped in in %.1f s", result.Seconds, result.SwapSeconds)
		b.write("another third") // it goes on from there
		if again := b.up(); len(again.Changes) != 0 || len(again.Repaired) != 0 {
			t.Errorf("afterwards there is still something to do: %v, %v", again.Changes, again.Repaired)
		}
	})
	t.Run("what a restore has replaced is removed when it is told to", func(t *testing.T) {
		code, stdout, stderr := b.deliver("restore", "--forget", "--yes", "--json")
		if code != exitDone || !strings.Contains(stdout, b.container("postgres-data")) {
			t.Errorf("exit code %d: %s%s", code, stdout, stderr)
		}
		if volumes := b.docker("volume", "ls", "--quiet", "--filter=name="+b.container("postgres-data")); len(strings.Fields(volumes)) != 1 {
			t.Errorf("volumes: %s", volumes)
		}
		if got := b.books(); got != 3 {
			t.Errorf("there are %d books, want three", got)
		}
	})
	if os.Getenv("E2E") == "full" {
		t.Run("where what is written does not reach the backups, a release is refused", b.testBrokenArchive)
	}
}

// testDrill takes a backup beside the drill, so that the log moves on and the drill need not wait for a minute of quiet.
func (b *bench) testDrill(t *testing.T) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _, _ = b.deliver("backup", "--type", "incr") // its only purpose is to move the log on
	}()
	code, stdout, stderr := b.deliver("drill", "--json")
	<-done
	var result delivery.DrillResult
	if err := json.Unmarshal([]byte(stdout), &result); err != nil {
		t.Fatalf("exit code %d: %v: %s", code, err, stderr)
	}
	if code != exitDone || !result.Passed || !result.AllSame() || result.RTOSeconds == 0 || result.RPOSeconds == 0 || result.Newest == nil {
		t.Errorf("exit code %d: %+v", code, result.Report)
	}
	if left := b.leftovers(); left != "" {
		t.Errorf("left behind: %s", left)
	}
	if page, err := os.ReadFile(result.Page); err != nil || !bytes.Contains(page, []byte(b.name+" can be restored")) {
		t.Errorf("the page: %v", err)
	}
	t.Logf("RTO %.1f s, RPO %.1f s, drill %.1f s", result.RTOSeconds, result.RPOSeconds, result.Took())
}

// asOther runs deliver in a process of its own, and kills it when something has come about.
func (b *bench) killWhen(came func() bool, args ...string) {
	b.t.Helper()
	var output bytes.Buffer
	process := exec.CommandContext(b.t.Context(), os.Args[0], append([]string{args[0], "-e", b.name, "--repository", b.root}, args[1:]...)...)
	process.Env = append(os.Environ(), asProcess+"=1")
	process.Stdout, process.Stderr = &output, &output
	b.must(process.Start())
	done := make(chan error, 1)
	go func() { done <- process.Wait() }()
	for !came() {
		select {
		case <-done:
			b.t.Fatalf("%v ended before it could be killed: %s", args, &output)
		case <-time.After(50 * time.Millisecond):
		}
	}
	b.must(process.Process.Kill())
	if err := <-done; err == nil {
		b.t.Errorf("%v was killed, and yet it ended well: %s", args, &output)
	}
}

func (b *bench) testKilledRestore(t *testing.T) {
	b.killWhen(func() bool { return strings.Contains(b.leftovers(), "restore-postgres") }, "restore", "--to", "LATEST", "--yes")
	b.wantServing()
	if b.leftovers() == "" {
		t.Fatal("it was killed too late")
	}
	b.up()
	if left := b.leftovers(); left != "" {
		t.Errorf("left behind: %s", left)
	}
	if got := b.books(); got != 3 {
		t.Errorf("there are %d books, want three", got)
	}
	// Past the point of no return the next run completes it.
	data := filepath.Join(b.root, ".bookshelf", b.name, "data.json")
	b.killWhen(func() bool { _, err := os.Stat(data); return !errors.Is(err, os.ErrNotExist) }, "restore", "--to", "LATEST", "--yes")
	b.up()
	b.wantServing()
	if read, err := environment.ReadData(filepath.Join(b.root, ".bookshelf"), b.name); err != nil || len(read.Former) != 1 || b.books() != 3 {
		t.Errorf("%+v, %v, %d books", read, err, b.books())
	}
	if code, _, stderr := b.deliver("restore", "--forget", "--yes"); code != exitDone {
		t.Errorf("forgetting: %s", stderr)
	}
}

func (b *bench) testBrokenArchive(t *testing.T) {
	repository := b.container("postgres-backups") + ":/r"
	image := strings.TrimSpace(b.docker("inspect", "--format={{.Image}}", b.container("backup")))
	helper := func(script string) {
		b.docker("run", "--rm", "--network=none", "--entrypoint=sh", "--name="+b.container("helper"), "--volume="+repository, image, "-c", script)
	}
	helper("chmod -R a-w /r/archive")
	before := b.instances()[b.container("app-blue-1")]
	code, _, stderr := b.deliver("release", "--image", b.image, "--profile", "fast")
	if code != exitFailed || strings.Contains(stderr, "start") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	_, report, _ := b.deliver("report")
	if !strings.Contains(report, "refused") || !strings.Contains(report, "does not reach the backups") {
		t.Errorf("the report:\n%s", report)
	}
	if after := b.instances()[b.container("app-blue-1")]; after.ID != before.ID {
		t.Error("what serves was touched")
	}
	helper("chmod -R u+w /r/archive")
	b.take(backup.Incremental) // it works again
}

// TestRecoveryIsMeasured says how long it takes to restore a small and a large catalogue, and how long a change could be lost.
//
//nolint:paralleltest // it is a measurement
func TestRecoveryIsMeasured(t *testing.T) {
	if os.Getenv("E2E") != "full" {
		t.Skip("only in the long form: make e2e-data")
	}
	b := newBench(t)
	b.up("--image", b.image)
	b.backups(1)
	have := 0
	for _, books := range []int{10_000, 1_000_000} {
		for ; have < books; have += 10_000 {
			b.docker("exec", b.container("postgres"), "sh", "-c", fmt.Sprintf(`PGPASSWORD=$(cat /run/secrets/superuser_password) psql --username=postgres --dbname=bookshelf -q -c `+
				`"INSERT INTO books (title, authors, description) SELECT 'Book ' || n, ARRAY['Author ' || n %% 1000], md5(n::text) || md5((n + 1)::text) FROM generate_series(%d, %d) n"`, have+1, have+10_000))
		}
		taken := b.take(backup.Full)
		code, stdout, stderr := b.deliver("drill", "--json")
		var result delivery.DrillResult
		if err := json.Unmarshal([]byte(stdout), &result); err != nil || code != exitDone {
			t.Fatalf("%d books: exit code %d: %v: %s%s", books, code, err, stdout, stderr)
		}
		if result.RPOSeconds > 90 { // archive_timeout is a minute; the rest is the time of a push on a busy machine
			t.Errorf("%d books: a change could be lost for %.0f s", books, result.RPOSeconds)
		}
		t.Logf("%d books: %d rows, database %d MB, backup %d MB; RTO %.1f s, RPO %.1f s", books, result.Rows(), taken.DatabaseBytes/1_000_000, taken.RepositoryBytes/1_000_000, result.RTOSeconds, result.RPOSeconds)
	}
}
