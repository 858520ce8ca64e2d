package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"dagger/bookshelf/internal/dagger"
	"dagger/bookshelf/plan"
)

// PublishDryRun does everything of Publish but push: it settles the tags, builds every platform, packs them as one image
// and looks whether each says what it is. Without a commit it looks at what main would publish.
//
// +check
func (m *Bookshelf) PublishDryRun(ctx context.Context) (string, error) {
	commit := m.commit()
	if commit == (plan.Commit{}) {
		commit = plan.Commit{Ref: plan.MainRef, Revision: strings.Repeat("0", 40)}
	}
	tags, err := commit.Tags()
	if err != nil {
		return "", err
	}
	images, err := m.variants(ctx)
	if err != nil {
		return "", err
	}
	for i, image := range images {
		if err := m.saysWhatItIs(ctx, image); err != nil {
			return "", fmt.Errorf("the image for %s: %w", plan.Platforms()[i], err)
		}
	}
	size, err := images[0].AsTarball(dagger.ContainerAsTarballOpts{PlatformVariants: images[1:]}).Size(ctx)
	if err != nil {
		return "", explain("pack the image", err)
	}
	return fmt.Sprintf("would publish %s for %s, %d bytes packed", strings.Join(tags, ", "), strings.Join(plan.Platforms(), " and "), size), nil
}

// saysWhatItIs compares the labels with the commit: an image that names another one cannot be traced back.
func (m *Bookshelf) saysWhatItIs(ctx context.Context, image *dagger.Container) error {
	for _, want := range append(plan.Labels(m.SourceURL),
		plan.Label{Name: "org.opencontainers.image.version", Value: m.commit().Version()},
		plan.Label{Name: "org.opencontainers.image.revision", Value: m.commit().RevisionLabel()},
	) {
		got, err := image.Label(ctx, want.Name)
		if err != nil {
			return explain("read label "+want.Name, err)
		}
		if got != want.Value {
			return fmt.Errorf("label %s is %q, want %q", want.Name, got, want.Value)
		}
	}
	return nil
}

// Publish runs all gates, pushes the image for every platform under the commit's tags and returns it by digest. It needs
// the ref and the revision of New.
//
// +cache="never"
func (m *Bookshelf) Publish(
	ctx context.Context,
	// Where to, without a tag: docker.io/someone/bookshelf.
	repository string,
	// The login's name, as a secret because it often is an access key.
	//
	// +optional
	username *dagger.Secret,
	// The login's password or token.
	//
	// +optional
	password *dagger.Secret,
	// A registry that runs beside this host and speaks plain HTTP, tcp://127.0.0.1:5000; it stands for the registry that
	// repository names.
	//
	// +optional
	registryService *dagger.Service,
) (string, error) {
	to, err := plan.ParseRepository(repository)
	if err != nil {
		return "", err
	}
	tags, err := m.commit().Tags()
	if err != nil {
		return "", err
	}
	if err := m.Check(ctx); err != nil {
		return "", fmt.Errorf("nothing was published: %w", err)
	}
	images, err := m.variants(ctx)
	if err != nil {
		return "", err
	}
	pushing := images[0]
	user, err := login(ctx, username, password)
	if err != nil {
		return "", err
	}
	if user != "" {
		pushing = pushing.WithRegistryAuth(to.Registry(), user, password)
	}
	var pushed []string
	// The most precise name first: "latest" moves last, when everything else is in place.
	for _, tag := range tags {
		name, err := to.Tagged(tag)
		if err != nil {
			return "", err
		}
		ref, err := pushing.Publish(ctx, name, dagger.ContainerPublishOpts{PlatformVariants: images[1:], RegistryService: registryService})
		if err != nil {
			return "", explain("publish "+name, err)
		}
		pushed = append(pushed, ref)
	}
	image, err := plan.Same(pushed)
	if err != nil {
		return "", err
	}
	return image.String(), nil
}

// login returns the user's name, and "" for a registry that asks for none.
func login(ctx context.Context, username, password *dagger.Secret) (string, error) {
	if (username == nil) != (password == nil) {
		return "", errors.New("a registry's login consists of a user name and a password; one of them is missing")
	}
	if username == nil {
		return "", nil
	}
	name, err := username.Plaintext(ctx)
	if err != nil {
		return "", explain("read the user name", err)
	}
	if name = strings.TrimSpace(name); name == "" {
		return "", errors.New("the user name of the registry is empty")
	}
	return name, nil
}

// Release publishes the image, signs it, attaches its SBOM and provenance, verifies all of that as an environment would,
// and returns the image by digest. Nothing else may be deployed.
//
// +cache="never"
func (m *Bookshelf) Release(
	ctx context.Context,
	// Where to, without a tag: docker.io/someone/bookshelf.
	repository string,
	// The login's name.
	//
	// +optional
	username *dagger.Secret,
	// The login's password or token.
	//
	// +optional
	password *dagger.Secret,
	// The private key to sign with. Without one the signature is keyless, with the two oidc arguments.
	//
	// +optional
	key *dagger.Secret,
	// The password of the key.
	//
	// +optional
	keyPassword *dagger.Secret,
	// The public key to verify with, where key signs.
	//
	// +optional
	publicKey *dagger.File,
	// Where the workflow gets its identity token: ACTIONS_ID_TOKEN_REQUEST_URL.
	//
	// +optional
	oidcUrl *dagger.Secret,
	// What it has to show there: ACTIONS_ID_TOKEN_REQUEST_TOKEN.
	//
	// +optional
	oidcToken *dagger.Secret,
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
	// Before anything is pushed: an image that nobody could verify afterwards is not worth publishing.
	by, err := verifier(publicKey, identity, issuer)
	if err != nil {
		return "", err
	}
	if err := by.Validate(); err != nil {
		return "", err
	}
	if _, err := m.provenance(); err != nil {
		return "", err
	}
	image, err := m.Publish(ctx, repository, username, password, registryService)
	if err != nil {
		return "", err
	}
	if _, err := m.Sign(ctx, image, username, password, key, keyPassword, oidcUrl, oidcToken, registryService); err != nil {
		return "", fmt.Errorf("%s is published, but nothing may deploy it: %w", image, err)
	}
	if _, err := m.Verify(ctx, image, username, password, publicKey, identity, issuer, registryService); err != nil {
		return "", fmt.Errorf("%s is published, but nothing may deploy it: %w", image, err)
	}
	return image, nil
}
