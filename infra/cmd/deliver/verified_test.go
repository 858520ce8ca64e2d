package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"bookshelf/infra/provenance/provenancetest"
)

// TestAnEnvironmentWithAPolicyRunsOnlyWhatWasVerified publishes the real image to a real registry, signs it, and delivers it by digest.
//
//nolint:paralleltest // the steps are an order
func TestAnEnvironmentWithAPolicyRunsOnlyWhatWasVerified(t *testing.T) {
	registry, stopRegistry := provenancetest.StartRegistry(t)
	signer, stranger := provenancetest.NewSigner(t), provenancetest.NewSigner(t)
	b := newBench(t)
	content := "  bookshelf:port: " + b.url[strings.LastIndexByte(b.url, ':')+1:] +
		"\n  bookshelf:shutdownGrace: 0s\n  bookshelf:databaseMemoryMiB: 256\n  bookshelf:verify: key\n  bookshelf:verifyKey: "
	b.configure("%s%s\n", content, signer.Public)

	tag := registry + "/bookshelf:test"
	b.docker("tag", b.image, tag)
	t.Cleanup(func() { _ = exec.Command("docker", "rmi", "--force", tag).Run() }) // the test's own context has ended by then
	b.docker("push", "--quiet", tag)
	pinned := b.digest(tag)

	t.Run("what is not signed, or not in a registry, touches nothing", func(t *testing.T) {
		for image, want := range map[string]string{
			pinned:  "no signatures found",
			tag:     "name it by digest, NAME@sha256:…",
			b.image: "name it by digest, NAME@sha256:…",
		} {
			for _, command := range []string{"up", "preview"} {
				code, _, stderr := b.deliver(command, "--image", image)
				if code != exitUsage || !strings.Contains(stderr, want) {
					t.Errorf("%s %s: exit code %d, want %d; standard error %q, want %q in it", command, image, code, exitUsage, stderr, want)
				}
			}
		}
		if found := b.instances(); len(found) != 0 {
			t.Errorf("containers were made: %v", found)
		}
	})

	signer.Sign(t, pinned)
	signer.Attest(t, pinned)
	if result := b.up("--image", pinned); result.Image != pinned {
		t.Errorf("up runs %s, want %s", result.Image, pinned)
	}
	b.wantServing()

	t.Run("status shows what was verified", func(t *testing.T) {
		_, status := b.status()
		if v := status.Verified; v == nil || v.Image != pinned || v.Components != 1 || !strings.HasPrefix(v.Signer, "key sha256:") {
			t.Errorf("status shows %+v", v)
		}
	})
	t.Run("naming it again changes nothing", func(t *testing.T) {
		if again := b.up("--image", pinned); len(again.Changes) != 0 || len(again.Repaired) != 0 {
			t.Errorf("changes %v, repairs %v", again.Changes, again.Repaired)
		}
	})
	t.Run("another key refuses it, and it goes on running", func(t *testing.T) {
		b.configure("%s%s\n", content, stranger.Public)
		if code, _, stderr := b.deliver("up"); code != exitUsage || !strings.Contains(stderr, "its signature cannot be verified") {
			t.Errorf("exit code %d: %s", code, stderr)
		}
		b.configure("%s%s\n", content, signer.Public)
		b.wantServing()
	})
	t.Run("a repair needs no registry", func(t *testing.T) {
		stopRegistry()
		b.docker("stop", b.container("app-blue-1"))
		if repaired := b.up(); len(repaired.Changes) != 0 || len(repaired.Repaired) != 1 {
			t.Errorf("changes %v, repairs %v", repaired.Changes, repaired.Repaired)
		}
		b.wantServing()
	})
}

// digest returns the name by digest under which a pushed image is in its registry.
func (b *bench) digest(tag string) string {
	b.t.Helper()
	repository, _, _ := strings.Cut(filepath.Base(tag), ":")
	for name := range strings.FieldsSeq(b.docker("image", "inspect", "--format", "{{join .RepoDigests \" \"}}", tag)) {
		if strings.HasPrefix(name, filepath.Dir(tag)+"/"+repository+"@") {
			return name
		}
	}
	b.t.Fatalf("%s has no digest", tag)
	return ""
}
