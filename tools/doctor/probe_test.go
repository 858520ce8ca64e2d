package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheWantedGoIsTheWorkspaces(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "go.work")
	if err := os.WriteFile(file, []byte("// a workspace\ngo 1.30.1\n\nuse ./a\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := wantedGo(file); err != nil || got != "1.30.1" {
		t.Errorf("wantedGo: %q, %v", got, err)
	}
	if err := os.WriteFile(file, []byte("use ./a\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := wantedGo(file); err == nil {
		t.Error("a workspace without a go line wants some Go")
	}
}

func TestAPortInUseIsSeen(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	var busy facts
	if err := (probe{port: address}).askPort(t.Context(), &busy); err != nil || busy.portError != "it is in use" {
		t.Errorf("a busy port: %q, %v", busy.portError, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var free facts
	if err := (probe{port: address}).askPort(t.Context(), &free); err != nil || free.portError != "" {
		t.Errorf("a free port: %q, %v", free.portError, err)
	}
}

func TestAMalformedPortIsAnErrorThatNamesTheFlag(t *testing.T) {
	t.Parallel()
	for _, port := range []string{"8080", "127.0.0.1:http", "127.0.0.1:0", "127.0.0.1:70000", "a:b:c"} {
		var f facts
		if err := (probe{port: port}).askPort(t.Context(), &f); err == nil || !strings.Contains(err.Error(), "--port") {
			t.Errorf("--port %s: %v", port, err)
		}
	}
}
