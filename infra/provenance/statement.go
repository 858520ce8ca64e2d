package provenance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// signatureTypes are what a signature, as opposed to an attestation, calls itself: in bundles of cosign 3, and before.
var signatureTypes = []string{"https://sigstore.dev/cosign/sign/v1", "cosign container image signature"}

// countSignatures reads what `cosign verify` prints: a list of payloads in the format "simple signing"
// (https://github.com/containers/image/blob/main/docs/containers-signature.5.md).
func countSignatures(content []byte, digest string) (int, error) {
	var payloads []struct {
		Critical struct {
			Type  string `json:"type"`
			Image struct {
				Digest string `json:"docker-manifest-digest"`
			} `json:"image"`
		} `json:"critical"`
	}
	if err := json.Unmarshal(content, &payloads); err != nil {
		return 0, err
	}
	count := 0
	for _, payload := range payloads {
		if payload.Critical.Image.Digest != digest {
			return 0, fmt.Errorf("it is about %s", payload.Critical.Image.Digest)
		}
		if slices.Contains(signatureTypes, payload.Critical.Type) {
			count++
		}
	}
	return count, nil
}

// bomType is the predicate type of a CycloneDX SBOM, https://cyclonedx.org/bom or with a version behind it.
const bomType = "https://cyclonedx.org/bom"

// countComponents reads what `cosign verify-attestation` prints, one DSSE envelope per attestation
// (https://github.com/secure-systems-lab/dsse) with an in-toto statement in it, and returns how many components the largest of the
// SBOMs lists: an image for several platforms has one for each. An SBOM of nothing describes nothing and is an error.
func countComponents(content []byte, digest string) (int, error) {
	most := 0
	for envelopes := json.NewDecoder(bytes.NewReader(content)); ; {
		var envelope struct {
			Payload []byte `json:"payload"` // encoding/json undoes base64
		}
		if err := envelopes.Decode(&envelope); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return 0, err
		}
		var statement struct {
			PredicateType string `json:"predicateType"`
			Subject       []struct {
				Digest struct {
					SHA256 string `json:"sha256"`
				} `json:"digest"`
			} `json:"subject"`
			Predicate struct {
				Components []json.RawMessage `json:"components"`
			} `json:"predicate"`
		}
		if err := json.Unmarshal(envelope.Payload, &statement); err != nil {
			return 0, err
		}
		if !strings.HasPrefix(statement.PredicateType, bomType) {
			continue
		}
		about := false
		for _, subject := range statement.Subject {
			about = about || "sha256:"+subject.Digest.SHA256 == digest
		}
		if !about {
			return 0, errors.New("it is about another image")
		}
		most = max(most, len(statement.Predicate.Components))
	}
	if most == 0 {
		return 0, errors.New("it lists no component")
	}
	return most, nil
}
