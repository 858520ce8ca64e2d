package stack

import (
	"os"
	"path/filepath"
	"testing"
)

func TestPulumiIsNotAskedWhatNobodyReads(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lock, err := Layout{State: dir}.Lock("dev", "up")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	echo := filepath.Join(dir, "pulumi")
	if err := os.WriteFile(echo, []byte("#!/bin/sh\necho \"asked: $*\"\n"), 0o700); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	c := command{path: echo, lock: lock}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"stack", "output", "--json", "--show-secrets", "--stack", "dev"}, "{}"},
		{[]string{"stack", "history", "--json"}, "[]"},
		{[]string{"stack", "select", "--stack", "dev"}, "asked: stack select --stack dev --non-interactive\n"},
		{[]string{"up", "--yes"}, "asked: up --yes --non-interactive\n"},
	} {
		stdout, stderr, code, err := c.Run(t.Context(), dir, nil, nil, nil, nil, tt.args...)
		if err != nil || code != 0 || stdout != tt.want || stderr != "" {
			t.Errorf("pulumi %v: %q, %q, exit code %d, %v; want %q", tt.args, stdout, stderr, code, err, tt.want)
		}
	}
}
