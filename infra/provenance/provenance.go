// Package provenance makes sure that an image comes from where it should before an environment is touched: that somebody whom the
// environment trusts has signed it and has attested what it consists of. Cosign does the cryptography.
package provenance

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Modes of a policy.
const (
	Off     = "off"     // anything runs, also a local image
	Key     = "key"     // signed with a key pair
	Keyless = "keyless" // signed by a workflow that an identity provider vouched for (https://docs.sigstore.dev)
)

// Policy says whose images an environment runs.
type Policy struct {
	Mode string
	// Key is the path of the public key in PEM, for mode Key.
	Key string
	// Identity is what the signer's certificate must name exactly, and Issuer who must have vouched for it, for mode Keyless.
	Identity, Issuer string
}

// Placeholder is what a configuration says as long as nobody has named a repository.
const Placeholder = "OWNER/REPOSITORY"

// RefusedError is an image that must not run, and why.
type RefusedError struct{ Image, Reason string }

func (e *RefusedError) Error() string {
	return fmt.Sprintf("image %s is refused: %s", e.Image, e.Reason)
}

// Verifier asks a cosign.
type Verifier struct {
	Cosign string           // path of the program
	Now    func() time.Time // when a record was made
}

// Find takes cosign from the folder's bin, else from the PATH.
func Find(tools string) (Verifier, error) {
	path := filepath.Join(tools, "bin", "cosign")
	if _, err := os.Stat(path); err != nil {
		if path, err = exec.LookPath("cosign"); err != nil {
			return Verifier{}, errors.New("no cosign in .tools/bin or on the PATH: `make tools ENV=…` builds it for an environment that verifies its images")
		}
	}
	return Verifier{Cosign: path, Now: time.Now}, nil
}

// patience bounds one question to cosign, which talks to a registry and may fetch the public trust root.
const patience = 2 * time.Minute

// pinned is an image by digest. The name may hold a tag before it, which means nothing then.
var pinned = regexp.MustCompile(`^[a-z0-9][a-zA-Z0-9._:/-]*@(sha256:[0-9a-f]{64})$`)

// Digest returns the digest, sha256:…, of an image that is named by it.
func Digest(image string) (string, bool) {
	match := pinned.FindStringSubmatch(image)
	if match == nil {
		return "", false
	}
	return match[1], true
}

// Verify makes sure that the policy admits the image and returns what was found. The error is a *RefusedError where it does not, or
// where cosign could not tell.
func (v Verifier) Verify(ctx context.Context, policy Policy, image string) (Record, error) {
	digest, ok := Digest(image)
	if !ok {
		return Record{}, refused(image, "only an image in a registry can be verified: name it by digest, NAME@sha256:…")
	}
	signer, err := policy.signer()
	if err != nil {
		return Record{}, refused(image, "%s", err)
	}
	arguments := policy.arguments()
	signed, err := v.ask(ctx, append(append([]string{"verify", "--output", "json"}, arguments...), image))
	if err != nil {
		return Record{}, explain(ctx, image, "its signature cannot be verified", err)
	}
	// Cosign 3 takes any statement of the right signer for a signature, also one that only says what is in the image.
	signatures, err := countSignatures(signed, digest)
	if err != nil {
		return Record{}, refused(image, "cosign's answer about signatures: %s", err)
	}
	if signatures == 0 {
		return Record{}, refused(image, "it carries statements of the right signer, but no signature")
	}
	attested, err := v.ask(ctx, append(append([]string{"verify-attestation", "--type", "cyclonedx"}, arguments...), image))
	if err != nil {
		return Record{}, explain(ctx, image, "its SBOM attestation cannot be verified", err)
	}
	components, err := countComponents(attested, digest)
	if err != nil {
		return Record{}, refused(image, "its SBOM attestation: %s", err)
	}
	return Record{
		Image: image, Digest: digest, VerifiedAt: v.Now().UTC().Truncate(time.Second), Mode: policy.Mode, Signer: signer,
		Signatures: signatures, Components: components,
	}, nil
}

func refused(image, format string, args ...any) error {
	return &RefusedError{Image: image, Reason: fmt.Sprintf(format, args...)}
}

// explain keeps an interruption apart from a refusal.
func explain(ctx context.Context, image, what string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return refused(image, "%s: %s", what, err)
}

// signer names whom the policy trusts: the fingerprint of the key, so that another key under the same name is another signer, or the
// identity and who vouches for it.
func (p Policy) signer() (string, error) {
	switch p.Mode {
	case Key:
		content, err := os.ReadFile(p.Key)
		if err != nil {
			return "", fmt.Errorf("the public key: %w", err)
		}
		sum := sha256.Sum256(content)
		return "key sha256:" + hex.EncodeToString(sum[:]), nil
	case Keyless:
		if p.Identity == "" || p.Issuer == "" {
			return "", errors.New("the policy names no identity or no issuer, which would accept anybody")
		}
		if strings.Contains(p.Identity, Placeholder) {
			return "", fmt.Errorf("the policy still says %s: name the workflow of your own repository", Placeholder)
		}
		return p.Identity + " by " + p.Issuer, nil
	default:
		return "", fmt.Errorf("the policy %q verifies nothing", p.Mode)
	}
}

// arguments tell cosign the policy. A signature by key is in no public log: whoever brings a key has a private registry, and an
// entry would publish its name.
func (p Policy) arguments() []string {
	if p.Mode == Key {
		return []string{"--key", p.Key, "--insecure-ignore-tlog=true"}
	}
	return []string{"--certificate-identity", p.Identity, "--certificate-oidc-issuer", p.Issuer}
}

// ask runs cosign and returns its standard output.
func (v Verifier) ask(ctx context.Context, arguments []string) ([]byte, error) {
	bounded, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("no answer within %s", patience))
	defer cancel()
	cmd := exec.CommandContext(bounded, v.Cosign, arguments...)
	cmd.Env = environment(os.Environ())
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err != nil && bounded.Err() != nil {
		return nil, context.Cause(bounded)
	}
	if _, ran := errors.AsType[*exec.ExitError](err); ran {
		return nil, errors.New(complaint(stderr.String()))
	}
	if err != nil {
		return nil, fmt.Errorf("run cosign: %w", err)
	}
	return stdout.Bytes(), nil
}

// environment drops what would bend cosign's rules, such as another trust root: the policy is the environment's file and nothing else.
func environment(all []string) []string {
	var kept []string
	for _, variable := range all {
		if !strings.HasPrefix(variable, "COSIGN_") && !strings.HasPrefix(variable, "SIGSTORE_") && !strings.HasPrefix(variable, "TUF_") {
			kept = append(kept, variable)
		}
	}
	return kept
}

// complaint is the line in which cosign says what is wrong, without the warnings around it.
func complaint(stderr string) string {
	last := ""
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		if said, ok := strings.CutPrefix(line, "Error: "); ok {
			return said
		}
		if line != "" {
			last = line
		}
	}
	return last
}
