package plan

import (
	_ "crypto/sha256" // package digest, below reference, knows the algorithms that are linked in
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/distribution/reference"
)

// Repository is where images are published, without a tag: docker.io/someone/bookshelf.
type Repository struct {
	name reference.Named
}

// ParseRepository reads a name as docker does: someone/bookshelf is on Docker Hub.
func ParseRepository(name string) (Repository, error) {
	parsed, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return Repository{}, fmt.Errorf("repository %q: %w", name, err)
	}
	if !reference.IsNameOnly(parsed) {
		return Repository{}, fmt.Errorf("repository %q: want a name without a tag or digest; the tags come from the commit", name)
	}
	return Repository{name: parsed}, nil
}

func (r Repository) String() string { return r.name.Name() }

// Registry is the repository's host, with its port.
func (r Repository) Registry() string { return reference.Domain(r.name) }

// Tagged is the name of one image.
func (r Repository) Tagged(tag string) (string, error) {
	tagged, err := reference.WithTag(r.name, tag)
	if err != nil {
		return "", fmt.Errorf("tag %q: %w", tag, err)
	}
	return tagged.String(), nil
}

// RegistryOf is the host of the registry that an image comes from, with its port.
func RegistryOf(image string) (string, error) {
	parsed, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return "", fmt.Errorf("image %q: %w", image, err)
	}
	return reference.Domain(parsed), nil
}

// Pinned is an image by digest: what is signed, verified and deployed.
type Pinned struct {
	name reference.Canonical
}

// ParsePinned reads NAME@sha256:…, with or without a tag before the digest; the tag is dropped, because it may point
// elsewhere tomorrow.
func ParsePinned(ref string) (Pinned, error) {
	parsed, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return Pinned{}, fmt.Errorf("image %q: %w", ref, err)
	}
	digested, ok := parsed.(reference.Digested)
	if !ok {
		return Pinned{}, fmt.Errorf("image %q: want it by digest, NAME@sha256:…, because a tag can be moved", ref)
	}
	canonical, err := reference.WithDigest(reference.TrimNamed(parsed), digested.Digest())
	if err != nil {
		return Pinned{}, fmt.Errorf("image %q: %w", ref, err)
	}
	return Pinned{name: canonical}, nil
}

func (p Pinned) String() string { return p.name.String() }

// Digest is sha256:…
func (p Pinned) Digest() string { return p.name.Digest().String() }

// Repository is where the image is.
func (p Pinned) Repository() Repository { return Repository{name: reference.TrimNamed(p.name)} }

// Same makes sure that one build was published under each of its names: a registry that answers with another digest for
// one of them has not stored what it was given.
func Same(published []string) (Pinned, error) {
	if len(published) == 0 {
		return Pinned{}, errors.New("nothing was published")
	}
	first, err := ParsePinned(published[0])
	if err != nil {
		return Pinned{}, err
	}
	for _, other := range published[1:] {
		p, err := ParsePinned(other)
		if err != nil {
			return Pinned{}, err
		}
		if p != first && p.String() != first.String() {
			return Pinned{}, fmt.Errorf("the registry has %s and %s for one build", first, p)
		}
	}
	return first, nil
}

// hubKey is the name under which docker's own tools look up a login to Docker Hub, for history's sake.
const hubKey = "https://index.docker.io/v1/"

// DockerConfig is a config.json as docker, cosign and others read it, with one login.
func DockerConfig(registry, user, password string) (string, error) {
	if strings.Contains(user, ":") {
		return "", errors.New("the user name of a registry cannot contain a colon")
	}
	if registry == "docker.io" {
		registry = hubKey
	}
	type login struct {
		Auth string `json:"auth"`
	}
	config, err := json.Marshal(map[string]map[string]login{
		"auths": {registry: {Auth: base64.StdEncoding.EncodeToString([]byte(user + ":" + password))}},
	})
	if err != nil {
		return "", fmt.Errorf("write the login of %s: %w", registry, err)
	}
	return string(config), nil
}
