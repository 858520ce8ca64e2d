package pgbackrest

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestBackupsAreReadFromWhatInfoSays(t *testing.T) {
	t.Parallel()
	out := `[{"archive":[{"database":{"id":1,"repo-key":1},"id":"17-1","max":"000000010000000000000007","min":"000000010000000000000001"}],
"backup":[{"annotation":{"verified":"2026-03-01T00:00:09Z"},"archive":{"start":"000000010000000000000003","stop":"000000010000000000000004"},
"error":true,"info":{"delta":32130343,"repository":{"delta":4027760},"size":32130344},"label":"20260301-000000F","timestamp":{"start":1772323200,"stop":1772323205},"type":"full"}],
"name":"dev","repo":[{"cipher":"aes-256-cbc","key":1,"status":{"code":0,"message":"ok"}}],"status":{"code":0,"message":"ok"}}]`
	got, err := parse([]byte(out))
	if err != nil {
		t.Fatal(err)
	}
	want := []Backup{{
		Label: "20260301-000000F", Type: "full", Started: time.Unix(1772323200, 0).UTC(), Stopped: time.Unix(1772323205, 0).UTC(),
		StartWAL: "000000010000000000000003", StopWAL: "000000010000000000000004", Size: 32130344, Stored: 4027760, Faulty: true,
		Annotations: map[string]string{"verified": "2026-03-01T00:00:09Z"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestARepositoryThatCannotBeReadIsNotTakenForAnEmptyOne(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ status, want string }{
		"one without a stanza": {`{"code":1,"message":"missing stanza path"}`, ""},
		"one without backups":  {`{"code":2,"message":"no valid backups"}`, ""},
		"one of another key":   {"{\"code\":99,\"message\":\"[FormatError] found at line 1: \x1a\x02\x7f\"}", "is the key the right one?"},
		"one in clear text":    {`{"code":99,"message":"CryptoError: cipher header missing"}`, "is the key the right one?"},
		"one out of reach":     {`{"code":99,"message":"[HostConnectError] refused"}`, "cannot be read: [HostConnectError] refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			list, err := parse([]byte(`[{"backup":[],"repo":[{"status":` + test.status + `}]}]`))
			if test.want == "" && (err != nil || len(list) > 0) || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%v, %v; want %q", list, err, test.want)
			}
		})
	}
	if _, err := parse([]byte("pgbackrest: not found")); err == nil {
		t.Error("what is no JSON is taken for an answer")
	}
}

// It is not parallel, because the environment says where programs are.
func TestACommandThatFailsIsAnErrorInItsOwnWords(t *testing.T) {
	dir := t.TempDir()
	script := "#!/bin/sh\necho \"$@\"\ncase $2 in info) echo '[]';; *) echo 'ERROR: [056]: no database' >&2; exit 56;; esac\n"
	if err := os.WriteFile(filepath.Join(dir, "pgbackrest"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	var log bytes.Buffer
	tool := Tool{Stanza: "dev", Log: &log}
	out, err := tool.Run(t.Context(), "info", "--output=json")
	if err != nil || string(out) != "--stanza=dev info --output=json\n[]\n" {
		t.Errorf("%q, %v", out, err)
	}
	_, err = tool.Run(t.Context(), "check")
	failed, ok := errors.AsType[*Error](err)
	if !ok || failed.ExitCode != 56 || failed.Command != "check" || !strings.Contains(log.String(), "no database") {
		t.Errorf("%v; logged %q", err, &log)
	}
}
