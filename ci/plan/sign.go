package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Identity says whose signature counts: a key, or a workflow that GitHub vouched for.
type Identity struct {
	KeyFile string // path of the key; "" is keyless
	// For keyless signatures: what the certificate must say.
	Subject string // regular expression over the workflow, https://github.com/OWNER/REPOSITORY/.github/workflows/deploy.yml@refs/heads/main
	Issuer  string // https://token.actions.githubusercontent.com
}

// Validate reports an identity that would accept anybody.
func (i Identity) Validate() error {
	if i.KeyFile != "" {
		if i.Subject != "" || i.Issuer != "" {
			return errors.New("a signature is verified with a key or by an identity, not with both")
		}
		return nil
	}
	if i.Subject == "" || i.Issuer == "" {
		return errors.New("verifying needs a public key, or the identity and the issuer that the certificate must name")
	}
	return nil
}

// Kinds of attestations, as cosign names them.
const (
	CycloneDX  = "cyclonedx"
	SPDX       = "spdxjson"
	Provenance = "slsaprovenance1"
)

// Attestations are those that every published image carries.
func Attestations() []string { return []string{CycloneDX, SPDX, Provenance} }

// CosignSign signs an image. A key file signs without the public transparency log: whoever brings a key has a private
// registry, and a log entry would publish its name.
func CosignSign(image Pinned, keyFile string, plainHTTP bool) []string {
	return append(signing([]string{"cosign", "sign", "--yes"}, keyFile, plainHTTP), image.String())
}

// CosignAttest attaches a file to the image as a signed statement about it.
func CosignAttest(image Pinned, kind, predicate, keyFile string, plainHTTP bool) []string {
	return append(signing([]string{"cosign", "attest", "--yes", "--type", kind, "--predicate", predicate}, keyFile, plainHTTP), image.String())
}

func signing(args []string, keyFile string, plainHTTP bool) []string {
	if keyFile != "" {
		args = append(args, "--key", keyFile, "--use-signing-config=false", "--tlog-upload=false")
	}
	if plainHTTP {
		args = append(args, "--allow-http-registry")
	}
	return args
}

// CosignVerify checks the image's signature.
func CosignVerify(image Pinned, by Identity, plainHTTP bool) []string {
	return append(verifying([]string{"cosign", "verify"}, by, plainHTTP), image.String())
}

// signatureTypes are what a signature, as opposed to an attestation, calls itself: in bundles of cosign 3, and before.
var signatureTypes = []string{"https://sigstore.dev/cosign/sign/v1", "cosign container image signature"}

// Signed looks for a signature in what `cosign verify` prints. Cosign 3 is content with any statement of the right signer, also
// with one that only says what is in the image.
func Signed(answer []byte) (bool, error) {
	var payloads []struct {
		Critical struct {
			Type string `json:"type"`
		} `json:"critical"`
	}
	if err := json.Unmarshal(answer, &payloads); err != nil {
		return false, fmt.Errorf("read cosign's answer: %w", err)
	}
	for _, payload := range payloads {
		if slices.Contains(signatureTypes, payload.Critical.Type) {
			return true, nil
		}
	}
	return false, nil
}

// CosignVerifyAttestation checks that the image carries a statement of the kind and who made it.
func CosignVerifyAttestation(image Pinned, kind string, by Identity, plainHTTP bool) []string {
	return append(verifying([]string{"cosign", "verify-attestation", "--type", kind}, by, plainHTTP), image.String())
}

func verifying(args []string, by Identity, plainHTTP bool) []string {
	if by.KeyFile != "" {
		args = append(args, "--key", by.KeyFile, "--insecure-ignore-tlog=true")
	} else {
		args = append(args, "--certificate-identity-regexp", by.Subject, "--certificate-oidc-issuer", by.Issuer)
	}
	if plainHTTP {
		args = append(args, "--allow-http-registry")
	}
	return args
}

// ProvenanceOf is the predicate of SLSA provenance 1.0 (https://slsa.dev/spec/v1.0/provenance): from which commit of which
// repository, by whom, and with which arguments. The build type is the page of that commit that says how it was built.
func ProvenanceOf(c Commit, source, builder string, arguments map[string]string, finished time.Time) ([]byte, error) {
	if source == "" || c.Revision == "" {
		return nil, errors.New("provenance says where an image comes from: the revision and the address of the sources are needed")
	}
	uri := "git+" + source
	if c.Ref != "" {
		uri += "@" + c.Ref
	}
	type object map[string]any
	predicate := object{
		"buildDefinition": object{
			"buildType":            source + "/blob/" + c.Revision + "/docs/pipeline.md",
			"externalParameters":   arguments,
			"resolvedDependencies": []object{{"uri": uri, "digest": object{"gitCommit": c.Revision}}},
		},
		"runDetails": object{
			"builder":  object{"id": builder},
			"metadata": object{"finishedOn": finished.UTC().Format(time.RFC3339)},
		},
	}
	content, err := json.MarshalIndent(predicate, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the provenance: %w", err)
	}
	return append(content, '\n'), nil
}
