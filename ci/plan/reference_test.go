package plan

import (
	"encoding/json"
	"strings"
	"testing"
)

const (
	digestA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	digestB = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

func TestRepositoriesAreReadAsDockerDoes(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct{ registry, tagged string }{
		"someone/bookshelf":                {"docker.io", "docker.io/someone/bookshelf:1.2.3"},
		"docker.io/someone/bookshelf":      {"docker.io", "docker.io/someone/bookshelf:1.2.3"},
		"ghcr.io/someone/bookshelf":        {"ghcr.io", "ghcr.io/someone/bookshelf:1.2.3"},
		"localhost:5000/bookshelf":         {"localhost:5000", "localhost:5000/bookshelf:1.2.3"},
		"registry.example/a/b/c/bookshelf": {"registry.example", "registry.example/a/b/c/bookshelf:1.2.3"},
	} {
		r, err := ParseRepository(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		tagged, err := r.Tagged("1.2.3")
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if r.Registry() != want.registry || tagged != want.tagged {
			t.Errorf("%s: %s in %s, want %s in %s", name, tagged, r.Registry(), want.tagged, want.registry)
		}
	}
	for _, name := range []string{"", "Someone/Bookshelf", "someone/bookshelf:1", "someone/bookshelf@" + digestA, "https://ghcr.io/x", "a b", "x/../y"} {
		if _, err := ParseRepository(name); err == nil {
			t.Errorf("%q was accepted as a repository", name)
		}
	}
	r, err := ParseRepository("someone/bookshelf")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Tagged("a/b"); err == nil {
		t.Error("a/b was accepted as a tag")
	}
}

func TestOnlyADigestPins(t *testing.T) {
	t.Parallel()
	for _, ref := range []string{"someone/bookshelf@" + digestA, "docker.io/someone/bookshelf:main@" + digestA} {
		p, err := ParsePinned(ref)
		if err != nil {
			t.Errorf("%s: %v", ref, err)
			continue
		}
		if got := p.String(); got != "docker.io/someone/bookshelf@"+digestA {
			t.Errorf("%s became %s", ref, got)
		}
		if p.Digest() != digestA || p.Repository().String() != "docker.io/someone/bookshelf" {
			t.Errorf("%s: digest %s in %s", ref, p.Digest(), p.Repository())
		}
	}
	for _, ref := range []string{"", "someone/bookshelf", "someone/bookshelf:1.2.3", "someone/bookshelf@sha256:abc", "someone/bookshelf@md5:" + strings.Repeat("a", 32), digestA} {
		if p, err := ParsePinned(ref); err == nil {
			t.Errorf("%q was accepted as %s", ref, p)
		}
	}
}

func TestOneBuildHasOneDigest(t *testing.T) {
	t.Parallel()
	p, err := Same([]string{"someone/bookshelf:1.2.3@" + digestA, "docker.io/someone/bookshelf:latest@" + digestA})
	if err != nil || p.Digest() != digestA {
		t.Errorf("two names of one build: %v, %v", p, err)
	}
	for name, published := range map[string][]string{
		"nothing":      nil,
		"two digests":  {"someone/bookshelf:1@" + digestA, "someone/bookshelf:2@" + digestB},
		"two places":   {"someone/bookshelf:1@" + digestA, "someone/else:1@" + digestA},
		"a tag alone":  {"someone/bookshelf:1"},
		"a second tag": {"someone/bookshelf:1@" + digestA, "someone/bookshelf:2"},
	} {
		if p, err := Same(published); err == nil {
			t.Errorf("%s: %s was accepted", name, p)
		}
	}
}

func TestDockerConfigHoldsOneLogin(t *testing.T) {
	t.Parallel()
	for registry, key := range map[string]string{"ghcr.io": "ghcr.io", "docker.io": "https://index.docker.io/v1/", "localhost:5000": "localhost:5000"} {
		content, err := DockerConfig(registry, "someone", "p:w")
		if err != nil {
			t.Fatal(err)
		}
		var config struct {
			Auths map[string]struct{ Auth string }
		}
		if err := json.Unmarshal([]byte(content), &config); err != nil {
			t.Fatal(err)
		}
		if got := config.Auths[key].Auth; len(config.Auths) != 1 || got != "c29tZW9uZTpwOnc=" {
			t.Errorf("%s: %s", registry, content)
		}
	}
	if _, err := DockerConfig("ghcr.io", "some:one", "x"); err == nil {
		t.Error("a user name with a colon would be read as part of the password")
	}
}
