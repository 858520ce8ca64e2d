package provenance

import (
	"strings"
	"testing"
	"time"

	"bookshelf/infra/provenance/provenancetest"
)

// TestARealRegistryAndCosign signs and verifies for real: what the fake of the other tests says is what cosign says.
func TestARealRegistryAndCosign(t *testing.T) {
	t.Parallel()
	registry, _ := provenancetest.StartRegistry(t)
	ours, theirs := provenancetest.NewSigner(t), provenancetest.NewSigner(t)
	v := Verifier{Cosign: ours.Cosign, Now: time.Now}
	policy := Policy{Mode: Key, Key: ours.Public}

	genuine := provenancetest.Push(t, registry, "genuine", "what was tested")
	ours.Sign(t, genuine)
	ours.Attest(t, genuine)
	unsigned := provenancetest.Push(t, registry, "unsigned", "what was tested")
	bare := provenancetest.Push(t, registry, "bare", "what was tested")
	ours.Sign(t, bare)
	attested := provenancetest.Push(t, registry, "attested", "what was tested")
	ours.Attest(t, attested)
	foreign := provenancetest.Push(t, registry, "foreign", "what was tested")
	theirs.Sign(t, foreign)
	theirs.Attest(t, foreign)
	mixed := provenancetest.Push(t, registry, "mixed", "what was tested")
	ours.Sign(t, mixed)
	theirs.Attest(t, mixed)

	record, err := v.Verify(t.Context(), policy, genuine)
	if err != nil {
		t.Fatal(err)
	}
	if record.Signatures != 1 || record.Components != 1 || record.Image != genuine || !record.Satisfies(policy) {
		t.Errorf("the record is %+v", record)
	}
	for name, test := range map[string]struct{ image, want string }{
		"a tampered image in the same place":   {provenancetest.Push(t, registry, "genuine", "what was slipped in"), "its signature cannot be verified: no signatures found"},
		"no signature":                         {unsigned, "its signature cannot be verified"},
		"an SBOM in the place of a signature":  {attested, "no signature"},
		"no SBOM":                              {bare, "its SBOM attestation cannot be verified"},
		"somebody else's signature":            {foreign, "its signature cannot be verified"},
		"somebody else's SBOM":                 {mixed, "its SBOM attestation cannot be verified"},
		"an image that is not in the registry": {strings.Replace(genuine, "genuine", "nowhere", 1), "its signature cannot be verified"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := v.Verify(t.Context(), policy, test.image)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("want a refusal that says %q, have %v", test.want, err)
			}
			t.Log(err)
		})
	}
}
