package provenance

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	digest = "sha256:" + strings.Repeat("a", 64)
	image  = "registry.example/bookshelf@" + digest
	noon   = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
)

// simple is a line of `cosign verify` with one payload per type.
func simple(digest string, types ...string) string {
	var payloads []string
	for _, kind := range types {
		payloads = append(payloads, fmt.Sprintf(`{"critical": {"image": {"docker-manifest-digest": %q}, "type": %q}, "optional": {}}`, digest, kind))
	}
	return "[" + strings.Join(payloads, ",") + "]"
}

// bom is a line of `cosign verify-attestation` with an SBOM of some components.
func bom(digest string, components int) string {
	list := strings.TrimSuffix(strings.Repeat(`{"name": "a"},`, components), ",")
	statement := fmt.Sprintf(`{"predicateType": "https://cyclonedx.org/bom", "subject": [{"digest": {"sha256": %q}}], "predicate": {"components": [%s]}}`,
		strings.TrimPrefix(digest, "sha256:"), list)
	return fmt.Sprintf(`{"payload": %q, "payloadType": "application/vnd.in-toto+json", "signatures": []}`, base64.StdEncoding.EncodeToString([]byte(statement)))
}

// fake is a cosign that answers with fixed texts, or fails where a text starts with "Error: ", and notes how it was called.
type fake struct{ signatures, attestation string }

var good = fake{simple(digest, signatureTypes[0]), bom(digest, 3)}

func (f fake) verifier(t *testing.T) (v Verifier, calls func() string) {
	t.Helper()
	dir := t.TempDir()
	answer := func(name, text string) string {
		write(t, filepath.Join(dir, name), text)
		if strings.HasPrefix(text, "Error: ") {
			return fmt.Sprintf("echo WARNING: something >&2; cat %s/%s >&2; exit 1", dir, name)
		}
		return fmt.Sprintf("cat %s/%s", dir, name)
	}
	script := fmt.Sprintf("#!/bin/sh\necho \"$*\" >> %s/calls\nenv >> %s/calls\ncase $1 in\nverify) %s;;\nverify-attestation) %s;;\nesac\n",
		dir, dir, answer("signatures", f.signatures), answer("attestation", f.attestation))
	path := filepath.Join(dir, "cosign")
	write(t, path, script)
	if err := os.Chmod(path, 0o700); err != nil {
		t.Fatal(err)
	}
	return Verifier{Cosign: path, Now: func() time.Time { return noon }}, func() string {
		content, err := os.ReadFile(filepath.Join(dir, "calls"))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func byKey(t *testing.T) Policy {
	t.Helper()
	key := filepath.Join(t.TempDir(), "cosign.pub")
	write(t, key, "public")
	return Policy{Mode: Key, Key: key}
}

func TestAnImageWithSignatureAndSBOMIsAdmittedAndDescribed(t *testing.T) {
	t.Parallel()
	v, calls := good.verifier(t)
	policy := byKey(t)
	have, err := v.Verify(t.Context(), policy, image)
	if err != nil {
		t.Fatal(err)
	}
	want := Record{
		Image: image, Digest: digest, VerifiedAt: noon, Mode: Key, Signatures: 1, Components: 3,
		Signer: "key sha256:efa1f375d76194fa51a3556a97e641e61685f914d446979da50a551a4333ffd7", // of "public"
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Error(diff)
	}
	if !have.Satisfies(policy) || have.Satisfies(Policy{Mode: Keyless, Identity: "a", Issuer: "b"}) {
		t.Error("the record must satisfy the policy it was made under, and no other")
	}
	for _, call := range []string{
		"verify --output json --key " + policy.Key + " --insecure-ignore-tlog=true " + image,
		"verify-attestation --type cyclonedx --key " + policy.Key + " --insecure-ignore-tlog=true " + image,
	} {
		if !strings.Contains(calls(), call+"\n") {
			t.Errorf("cosign was not asked %q but\n%s", call, calls())
		}
	}
}

func TestAKeylessSignatureMustBeOfExactlyTheIdentity(t *testing.T) {
	t.Parallel()
	v, calls := good.verifier(t)
	policy := Policy{Mode: Keyless, Identity: "https://ci.example/deploy.yml@refs/heads/main", Issuer: "https://issuer.example"}
	if _, err := v.Verify(t.Context(), policy, image); err != nil {
		t.Fatal(err)
	}
	want := "--certificate-identity https://ci.example/deploy.yml@refs/heads/main --certificate-oidc-issuer https://issuer.example " + image
	if !strings.Contains(calls(), want) || strings.Contains(calls(), "insecure") {
		t.Errorf("cosign was asked\n%s", calls())
	}
}

func TestWhatDoesNotHoldIsRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	other := "sha256:" + strings.Repeat("b", 64)
	for name, test := range map[string]struct {
		cosign fake
		image  string
		want   string
	}{
		"a tag":                           {good, "registry.example/bookshelf:1.2.0", "name it by digest, NAME@sha256:…"},
		"a local image":                   {good, digest, "name it by digest, NAME@sha256:…"},
		"a flag in an image's place":      {good, "--key=other@" + digest, "name it by digest"},
		"no signature":                    {fake{"Error: no signatures found\nmain.go:62: more", good.attestation}, image, "its signature cannot be verified: no signatures found"},
		"only attestations":               {fake{simple(digest, "https://cyclonedx.org/bom"), good.attestation}, image, "no signature"},
		"a signature of another image":    {fake{simple(other, signatureTypes[0]), good.attestation}, image, "it is about " + other},
		"an answer that is none":          {fake{"ok", good.attestation}, image, "cosign's answer about signatures"},
		"no SBOM":                         {fake{good.signatures, "Error: none of the attestations matched"}, image, "its SBOM attestation cannot be verified: none of the attestations matched"},
		"an SBOM of another image":        {fake{good.signatures, bom(other, 3)}, image, "its SBOM attestation: it is about another image"},
		"an SBOM of nothing":              {fake{good.signatures, bom(digest, 0)}, image, "its SBOM attestation: it lists no component"},
		"an attestation that is not JSON": {fake{good.signatures, "ok"}, image, "its SBOM attestation"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, _ := test.cosign.verifier(t)
			_, err := v.Verify(t.Context(), byKey(t), test.image)
			if _, ok := errors.AsType[*RefusedError](err); !ok || !strings.Contains(err.Error(), test.want) {
				t.Errorf("want a refusal that says %q, have %v", test.want, err)
			}
		})
	}
}

func TestAPolicyThatWouldAcceptAnybodyAdmitsNothing(t *testing.T) {
	t.Parallel()
	v, _ := good.verifier(t)
	for name, test := range map[string]struct {
		policy Policy
		want   string
	}{
		"a key that is not there":            {Policy{Mode: Key, Key: "missing.pub"}, "missing.pub"},
		"no identity":                        {Policy{Mode: Keyless, Issuer: "https://issuer.example"}, "would accept anybody"},
		"no issuer":                          {Policy{Mode: Keyless, Identity: "https://ci.example"}, "would accept anybody"},
		"a repository that nobody filled in": {Policy{Mode: Keyless, Identity: "https://github.com/" + Placeholder, Issuer: "i"}, "your own repository"},
		"nothing to verify":                  {Policy{Mode: Off}, "verifies nothing"},
		"no mode":                            {Policy{}, "verifies nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := v.Verify(t.Context(), test.policy, image)
			if _, ok := errors.AsType[*RefusedError](err); !ok || !strings.Contains(err.Error(), test.want) {
				t.Errorf("want a refusal that says %q, have %v", test.want, err)
			}
		})
	}
}

func TestAnInterruptionIsNoRefusal(t *testing.T) {
	t.Parallel()
	v, _ := good.verifier(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.Verify(ctx, byKey(t), image); !errors.Is(err, context.Canceled) {
		t.Errorf("have %v", err)
	}
}

func TestOnlyThePolicyRulesCosign(t *testing.T) {
	t.Parallel()
	have := environment([]string{"HOME=/", "COSIGN_REPOSITORY=elsewhere", "SIGSTORE_ROOT_FILE=mine", "TUF_ROOT=mine", "DOCKER_CONFIG=/d"})
	if diff := cmp.Diff([]string{"HOME=/", "DOCKER_CONFIG=/d"}, have); diff != "" {
		t.Error(diff)
	}
}

func TestRecordsAreFoundByDigest(t *testing.T) {
	t.Parallel()
	store := Store{Dir: filepath.Join(t.TempDir(), "verified")}
	if _, found, err := store.Find(digest); found || err != nil {
		t.Fatalf("found %v in an empty store, %v", found, err)
	}
	record := Record{Image: image, Digest: digest, VerifiedAt: noon, Mode: Key, Signer: "key sha256:1", Signatures: 1, Components: 2}
	for range 2 { // a second one replaces the first
		if err := store.Save(record); err != nil {
			t.Fatal(err)
		}
	}
	have, err := store.All()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Record{record}, have); diff != "" {
		t.Error(diff)
	}
	write(t, filepath.Join(store.Dir, "sha256-bad.json"), "{")
	if _, err := store.All(); err == nil || !strings.Contains(err.Error(), "sha256-bad.json") {
		t.Errorf("a damaged record must be named, have %v", err)
	}
}
