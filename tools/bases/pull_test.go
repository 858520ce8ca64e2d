package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pretend returns a PATH that begins with a docker that does what script says.
func pretend(t *testing.T, script string) string {
	t.Helper()
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "docker"), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return bin + string(os.PathListSeparator) + os.Getenv("PATH")
}

func TestPullTakesWhatARegistryGives(t *testing.T) {
	t.Setenv("PATH", pretend(t, `[ "$*" = "pull debian:trixie-slim" ] && echo "trixie-slim: Pulling from library/debian" && echo "Status: Downloaded"`))
	if err := pull(t.Context(), "debian:trixie-slim", time.Minute); err != nil {
		t.Error(err)
	}
}

func TestPullGivesUpOnARegistryThatStaysSilent(t *testing.T) {
	t.Setenv("PATH", pretend(t, "exec sleep 60"))
	if err := pull(t.Context(), "debian:trixie-slim", 50*time.Millisecond); !errors.Is(err, errNoRegistry) || !strings.Contains(err.Error(), "nothing heard for 50ms") {
		t.Errorf("pull: %v, want that nobody answers", err)
	}
}

func TestPullTellsARefusalFromSilence(t *testing.T) {
	t.Setenv("PATH", pretend(t, `echo "Error response from daemon: manifest for debian:trixie-slim not found: manifest unknown" >&2; exit 1`))
	err := pull(t.Context(), "debian:trixie-slim", time.Minute)
	if err == nil || errors.Is(err, errNoRegistry) || !strings.Contains(err.Error(), "manifest unknown") {
		t.Errorf("pull: %v, want the registry's words", err)
	}
}
