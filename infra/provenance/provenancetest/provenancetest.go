// Package provenancetest offers tests a registry of their own and signers of images: the pinned ones, started for real.
package provenancetest

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"
)

// tool returns the path of a tool that `make e2e-gates` builds, and passes the test over where nobody asked for it.
func tool(t *testing.T, name string) string {
	t.Helper()
	if os.Getenv("REQUIRE_GATES") != "1" {
		t.Skip("it takes tools that are minutes in the making: `make e2e-gates` runs it")
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		path := filepath.Join(dir, ".tools", "bin", name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Fatalf("%s is not built: `make e2e-gates` builds it", name)
	return ""
}

// StartRegistry starts an OCI registry on a free port of this machine and returns its address. It runs until stop is called or the
// test ends.
func StartRegistry(t *testing.T) (address string, stop func()) {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yml")
	write(t, config, "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: "+dir+"\nhttp:\n  addr: 127.0.0.1:0\n")
	cmd := exec.CommandContext(t.Context(), tool(t, "registry"), "serve", config)
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	logs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Kill() // it keeps nothing that matters
		_ = cmd.Wait()
	})
	t.Cleanup(stop)
	serving := make(chan string, 1)
	go func() {
		listening := regexp.MustCompile(`listening on (127\.0\.0\.1:\d+)`)
		for lines := bufio.NewScanner(logs); lines.Scan(); {
			if m := listening.FindStringSubmatch(lines.Text()); m != nil {
				serving <- m[1]
				break
			}
		}
		_, _ = io.Copy(io.Discard, logs)
	}()
	select {
	case address = <-serving:
		return address, stop
	case <-time.After(time.Minute):
		t.Fatal("the registry does not say where it listens")
		return "", nil
	}
}

// Push stores an image of one layer in a registry and returns its name by digest.
func Push(t *testing.T, registry, repository, layer string) string {
	t.Helper()
	sum := func(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }
	send := func(method, url, contentType string, content []byte) http.Header {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", contentType)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusCreated && response.StatusCode != http.StatusAccepted {
			t.Fatalf("%s %s: %s", method, url, response.Status)
		}
		return response.Header
	}
	const manifestType = "application/vnd.oci.image.manifest.v1+json"
	base := "http://" + registry + "/v2/" + repository
	config := fmt.Appendf(nil, `{"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [%q]}}`, sum([]byte(layer)))
	for _, blob := range [][]byte{config, []byte(layer)} {
		upload := send(http.MethodPost, base+"/blobs/uploads/", "", nil).Get("Location")
		send(http.MethodPut, upload+"&digest="+sum(blob), "application/octet-stream", blob)
	}
	manifest := fmt.Appendf(nil, `{"schemaVersion": 2, "mediaType": %q,
		"config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": %q, "size": %d},
		"layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": %q, "size": %d}]}`,
		manifestType, sum(config), len(config), sum([]byte(layer)), len(layer))
	send(http.MethodPut, base+"/manifests/"+sum(manifest), manifestType, manifest)
	return registry + "/" + repository + "@" + sum(manifest)
}

// Signer is a key pair and the cosign that uses it.
type Signer struct {
	Cosign  string // path of the program
	Public  string // path of the public key
	private string
}

// NewSigner makes a key pair.
func NewSigner(t *testing.T) Signer {
	t.Helper()
	s := Signer{Cosign: tool(t, "cosign")}
	dir := t.TempDir()
	s.run(t, dir, "generate-key-pair")
	s.private, s.Public = filepath.Join(dir, "cosign.key"), filepath.Join(dir, "cosign.pub")
	return s
}

func (s Signer) run(t *testing.T, dir string, arguments ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), s.Cosign, arguments...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "COSIGN_PASSWORD=of the test")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cosign %v: %v: %s", arguments, err, out)
	}
}

// offline keeps a signature out of the public log, as for any private registry.
var offline = []string{"--yes", "--use-signing-config=false", "--tlog-upload=false"}

// Sign signs an image in a registry.
func (s Signer) Sign(t *testing.T, image string) {
	t.Helper()
	s.run(t, "", append(append([]string{"sign", "--key", s.private}, offline...), image)...)
}

// Attest states in an SBOM of one component what an image consists of.
func (s Signer) Attest(t *testing.T, image string) {
	t.Helper()
	bill, err := json.Marshal(map[string]any{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": []map[string]string{{"type": "library", "name": "shelf"}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "sbom.json")
	write(t, file, string(bill))
	s.run(t, "", append(append([]string{"attest", "--key", s.private, "--type", "cyclonedx", "--predicate", file}, offline...), image)...)
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
