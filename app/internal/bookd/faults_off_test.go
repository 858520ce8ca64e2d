//go:build !faults

package bookd

import (
	"io"
	"os/exec"
	"strings"
	"testing"
)

func TestTheProductKnowsNoFaults(t *testing.T) {
	t.Parallel()
	for tags, want := range map[string]bool{"": false, "faults": true} { // the second shows that the question is the right one
		list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-tags="+tags, "bookshelf/app/cmd/bookd")
		out, err := list.CombinedOutput()
		if err != nil {
			t.Fatalf("go list: %v: %s", err, out)
		}
		if got := strings.Contains(string(out), "bookshelf/app/internal/faults\n"); got != want {
			t.Errorf("built with the tags %q it contains the faults: %v, want %v", tags, got, want)
		}
	}
}

func TestTheProductDoesNotFailOnPurpose(t *testing.T) {
	t.Parallel()
	env := environ{"DB_HOST": "127.0.0.1", "DB_PORT": refusedPort(t), "DB_NAME": "n", "DB_USER": "u"}
	p := start(t, env, environ{"BOOKD_FAULT": "start"}) // waits until it serves
	if status, _, _ := call(t, "GET", p.api+"/livez", ""); status != 200 {
		t.Errorf("/livez: %d, want 200", status)
	}
	if err := Run(t.Context(), []string{"version"}, environ{"BOOKD_FAULT": "fire"}.lookup, nil, io.Discard, io.Discard); err != nil {
		t.Errorf("version: %v, want a variable that means nothing to change nothing", err)
	}
}
