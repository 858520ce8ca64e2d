package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"dagger/bookshelf/internal/dagger"
	"dagger/bookshelf/plan"
)

const (
	privateKeyPath = "/run/secrets/cosign.key"
	publicKeyPath  = "/run/bookshelf/cosign.pub"
)

// cosign is a container with cosign that may talk to the image's registry.
func (m *Bookshelf) cosign(ctx context.Context, image plan.Pinned, username, password *dagger.Secret, registryService *dagger.Service) (*dagger.Container, error) {
	ctr := m.trusting(dag.Container().From(m.CosignImage)).
		// Signing and asking are done anew each time: what a registry holds is not for a cache to know.
		WithEnvVariable("RUN", nonce())
	registry := image.Repository().Registry()
	user, err := login(ctx, username, password)
	if err != nil {
		return nil, err
	}
	if user != "" {
		secret, err := password.Plaintext(ctx)
		if err != nil {
			return nil, explain("read the registry's password", err)
		}
		config, err := plan.DockerConfig(registry, user, strings.TrimSpace(secret))
		if err != nil {
			return nil, err
		}
		ctr = ctr.
			WithEnvVariable("DOCKER_CONFIG", "/run/secrets/docker").
			// Readable for the image's user, who is not root.
			WithMountedSecret("/run/secrets/docker/config.json", dag.SetSecret("docker-config", config), dagger.ContainerWithMountedSecretOpts{
				Owner: plan.AppUser, Mode: 0o444,
			})
	}
	if registryService != nil {
		host, _, _ := strings.Cut(registry, ":")
		ctr = ctr.WithServiceBinding(host, registryService)
	}
	return ctr, nil
}

// withCosign runs a command line of cosign. Its image has the program as its entry point and hardly anything else.
func withCosign(ctr *dagger.Container, args []string) *dagger.Container {
	return ctr.WithExec(args[1:], dagger.ContainerWithExecOpts{UseEntrypoint: true})
}

// Sign signs an image by digest and attaches its SBOM, in both formats and for every platform, and its provenance. With a
// key file the signature is in no public log; without one it is keyless and the workflow's identity is in it.
//
// +cache="never"
func (m *Bookshelf) Sign(
	ctx context.Context,
	// The image: NAME@sha256:…, as Publish returns it.
	image string,
	// The registry login's name.
	//
	// +optional
	username *dagger.Secret,
	// The registry login's password or token.
	//
	// +optional
	password *dagger.Secret,
	// The private key, as `cosign generate-key-pair` writes it. Without one the signature is keyless.
	//
	// +optional
	key *dagger.Secret,
	// The password of the key.
	//
	// +optional
	keyPassword *dagger.Secret,
	// Where a workflow gets its identity token: ACTIONS_ID_TOKEN_REQUEST_URL.
	//
	// +optional
	oidcUrl *dagger.Secret,
	// What it has to show there: ACTIONS_ID_TOKEN_REQUEST_TOKEN.
	//
	// +optional
	oidcToken *dagger.Secret,
	// A registry beside this host that speaks plain HTTP; see Publish.
	//
	// +optional
	registryService *dagger.Service,
) (string, error) {
	pinned, err := plan.ParsePinned(image)
	if err != nil {
		return "", err
	}
	provenance, err := m.provenance()
	if err != nil {
		return "", err
	}
	ctr, err := m.cosign(ctx, pinned, username, password, registryService)
	if err != nil {
		return "", err
	}
	keyFile := ""
	secret := dagger.ContainerWithMountedSecretOpts{Owner: plan.AppUser, Mode: 0o444}
	switch {
	case key != nil && keyPassword != nil:
		keyFile = privateKeyPath
		ctr = ctr.WithMountedSecret(privateKeyPath, key, secret).WithSecretVariable("COSIGN_PASSWORD", keyPassword)
	case key != nil:
		return "", errors.New("the key's password is missing")
	case oidcUrl != nil && oidcToken != nil:
		ctr = ctr.WithSecretVariable("ACTIONS_ID_TOKEN_REQUEST_URL", oidcUrl).WithSecretVariable("ACTIONS_ID_TOKEN_REQUEST_TOKEN", oidcToken)
	default:
		return "", errors.New("nothing to sign with: give a key and its password, or a workflow's identity (oidc-url and oidc-token)")
	}
	sbom, err := m.Sbom(ctx)
	if err != nil {
		return "", err
	}
	plainHTTP := registryService != nil
	ctr = ctr.
		WithMountedDirectory("/sbom", sbom).
		WithNewFile("/run/bookshelf/provenance.json", string(provenance))
	ctr = withCosign(ctr, plan.CosignSign(pinned, keyFile, plainHTTP))
	for _, platform := range plan.Platforms() {
		name := "/sbom/" + strings.ReplaceAll(platform, "/", "-")
		ctr = withCosign(ctr, plan.CosignAttest(pinned, plan.CycloneDX, name+".cdx.json", keyFile, plainHTTP))
		ctr = withCosign(ctr, plan.CosignAttest(pinned, plan.SPDX, name+".spdx.json", keyFile, plainHTTP))
	}
	_, err = withCosign(ctr, plan.CosignAttest(pinned, plan.Provenance, "/run/bookshelf/provenance.json", keyFile, plainHTTP)).Sync(ctx)
	if err != nil {
		return "", explain("sign "+pinned.String(), err)
	}
	return pinned.String(), nil
}

// provenance says where the image comes from.
func (m *Bookshelf) provenance() ([]byte, error) {
	arguments := map[string]string{"VERSION": m.commit().Version(), "REVISION": m.commit().RevisionLabel(), "goImage": m.GoImage}
	return plan.ProvenanceOf(m.commit(), m.SourceURL, m.SourceURL+"/blob/main/.github/workflows/deploy.yml", arguments, now())
}

// Verify makes sure, as an environment does before it takes an image, that the image is signed by whom it should be and
// carries an SBOM in both formats and its provenance. It returns the image by digest.
//
// +cache="never"
func (m *Bookshelf) Verify(
	ctx context.Context,
	// The image: NAME@sha256:…
	image string,
	// The registry login's name.
	//
	// +optional
	username *dagger.Secret,
	// The registry login's password or token.
	//
	// +optional
	password *dagger.Secret,
	// The public key. Without one the signature must be keyless, by identity.
	//
	// +optional
	publicKey *dagger.File,
	// Who must have made a keyless signature, as a regular expression over the certificate's subject.
	//
	// +optional
	identity string,
	// Who must have vouched for that identity.
	//
	// +default="https://token.actions.githubusercontent.com"
	issuer string,
	// A registry beside this host that speaks plain HTTP; see Publish.
	//
	// +optional
	registryService *dagger.Service,
) (string, error) {
	pinned, err := plan.ParsePinned(image)
	if err != nil {
		return "", err
	}
	by, err := verifier(publicKey, identity, issuer)
	if err != nil {
		return "", err
	}
	if err := by.Validate(); err != nil {
		return "", err
	}
	ctr, err := m.cosign(ctx, pinned, username, password, registryService)
	if err != nil {
		return "", err
	}
	if publicKey != nil {
		ctr = ctr.WithMountedFile(publicKeyPath, publicKey)
	}
	plainHTTP := registryService != nil
	ctr = withCosign(ctr, plan.CosignVerify(pinned, by, plainHTTP))
	answer, err := ctr.Stdout(ctx)
	if err != nil {
		return "", explain("verify "+pinned.String(), err)
	}
	if signed, err := plan.Signed([]byte(answer)); err != nil {
		return "", explain("verify "+pinned.String(), err)
	} else if !signed {
		return "", fmt.Errorf("verify %s: it carries statements of the right signer, but no signature", pinned)
	}
	for _, kind := range plan.Attestations() {
		ctr = withCosign(ctr, plan.CosignVerifyAttestation(pinned, kind, by, plainHTTP))
	}
	if _, err := ctr.Sync(ctx); err != nil {
		return "", explain("verify "+pinned.String(), err)
	}
	return pinned.String(), nil
}

// verifier is whose signature is asked for. The issuer has a default, so with a key it says nothing.
func verifier(publicKey *dagger.File, identity, issuer string) (plan.Identity, error) {
	if publicKey == nil {
		return plan.Identity{Subject: identity, Issuer: issuer}, nil
	}
	if identity != "" {
		return plan.Identity{}, errors.New("a signature is verified with a key or by an identity, not with both")
	}
	return plan.Identity{KeyFile: publicKeyPath}, nil
}
