package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAClientOfAnotherDescriptionIsNamed(t *testing.T) {
	t.Parallel()
	c := checker{root: t.TempDir()}
	committed, fresh := filepath.Join(c.root, clientFile), filepath.Join(t.TempDir(), "fresh")
	write := func(path, content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(fresh, "package client")
	if _, err := c.compareClient(fresh); err == nil {
		t.Error("a client that is not there: no error")
	}
	write(committed, "package client")
	if complaint, err := c.compareClient(fresh); complaint != "" || err != nil {
		t.Errorf("the same client is complained of: %q, %v", complaint, err)
	}
	write(committed, "package client // edited")
	if complaint, err := c.compareClient(fresh); err != nil || !strings.Contains(complaint, "make client") {
		t.Errorf("complaint %q, error %v", complaint, err)
	}
}
