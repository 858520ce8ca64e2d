package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// lookAt finds the commands of docs/runbooks that are to be run before anything is done.
var lookAt = regexp.MustCompile("(?s)\n```sh runbook\n(.*?)\n```\n")

// Somebody reads a runbook at night. A command in it that there is not, or not any more, costs minutes.
func TestRunbooksNameCommandsThatThereAre(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob(filepath.Join("..", "..", "..", "docs", "runbooks", "*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("%d runbooks, %v", len(pages), err)
	}
	found := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range lookAt.FindAllStringSubmatch(string(text), -1) {
			for line := range strings.Lines(block[1]) {
				words := strings.Fields(strings.ReplaceAll(line, `"$ENV"`, "dev"))
				if words[0] != "deliver" {
					continue
				}
				found++
				root := (&deliver{}).command()
				cmd, rest, err := root.Find(words[1:])
				if err == nil {
					err = cmd.ParseFlags(rest)
				}
				if err == nil {
					err = cmd.ValidateArgs(cmd.Flags().Args())
				}
				if err != nil || cmd == root {
					t.Errorf("%s: %s: %v", filepath.Base(page), strings.TrimSpace(line), err)
				}
				if cmd.Name() != "status" && cmd.Name() != "logs" && cmd.Name() != "history" {
					t.Errorf("%s: %s is to be looked at, and changes something", filepath.Base(page), strings.TrimSpace(line))
				}
			}
		}
	}
	t.Logf("%d commands of %d pages", found, len(pages))
}
