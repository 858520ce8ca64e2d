package gates

import (
	"bytes"
	"compress/gzip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// publish pushes a Debian image and returns its name by digest. The engine forgets it when the test ends.
func publish(t *testing.T, registry, repository, version string) string {
	t.Helper()
	layer, config := debian(t, version)
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, err := w.Write(layer)
	must(t, err)
	must(t, w.Close())
	image := registry + "/" + repository + "@" + push(t, registry, repository, "latest", config, zipped.Bytes(),
		"application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar+gzip")
	t.Cleanup(func() { _ = exec.Command("docker", "rmi", "--force", image).Run() }) // the test's own context has ended by then
	return image
}

// keyPair makes a key pair without a password in a folder of its own and returns the folder.
func keyPair(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cosign(t, dir, "generate-key-pair")
	return dir
}

func cosign(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), tool(t, "cosign"), args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "COSIGN_PASSWORD=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cosign %v: %v: %s", args, err, out)
	}
}

func TestASignedImagePassesAndEveryOtherIsRefused(t *testing.T) {
	t.Parallel()
	needGates(t)
	c := newCheckout(t, nil)
	registry := startRegistry(t)
	ours, theirs := keyPair(t), keyPair(t)
	sign := func(keys, image string) []string {
		return []string{"sign", "--key", filepath.Join(keys, "cosign.key"), "--source-url", "https://example.org/bookshelf", image}
	}
	verify := func(keys, image string) []string {
		return []string{"verify", "--key", filepath.Join(keys, "cosign.pub"), image}
	}

	genuine := publish(t, registry, "genuine", "1.0-1")
	c.want(t, 1, []string{"is not signed by whom it should be"}, verify(ours, genuine)...)
	c.want(t, 0, []string{genuine}, sign(ours, genuine)...)
	c.want(t, 0, []string{"signature and attestations (cyclonedx, spdxjson, slsaprovenance1) are valid"}, verify(ours, genuine)...)
	for name, want := range map[string]string{
		"image.cdx.json": seededPackage, "image.spdx.json": seededPackage, "provenance.json": `"uri": "git+https://example.org/bookshelf"`,
	} {
		content, err := os.ReadFile(filepath.Join(c.dir, "reports", "sign", name))
		must(t, err)
		if !strings.Contains(string(content), want) {
			t.Errorf("%s does not say %s", name, want)
		}
	}

	c.want(t, 1, []string{"is not signed by whom it should be"}, verify(theirs, genuine)...)
	tampered := publish(t, registry, "genuine", "1.0-2") // the tag points to it now; the signature does not
	c.want(t, 1, []string{"is not signed by whom it should be"}, verify(ours, tampered)...)
	bare := publish(t, registry, "bare", "1.0-1")
	cosign(t, ours, "sign", "--yes", "--key", "cosign.key", "--use-signing-config=false", "--tlog-upload=false", bare)
	c.want(t, 1, []string{"carries no valid attestation cyclonedx"}, verify(ours, bare)...)
}
