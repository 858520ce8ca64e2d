package main

import (
	"slices"
	"strings"
	"testing"

	"bookshelf/tools/internal/apt"
	"bookshelf/tools/internal/pinned"
	"bookshelf/tools/internal/repo"
)

func TestARegistryThatDoesNotAnswerIsToldFromOneThatDoes(t *testing.T) {
	t.Parallel()
	for complaint, want := range map[string]bool{
		`Get "https://registry.example/v2/": dial tcp: lookup registry.example: no such host`:                true,
		`Get "https://registry.example/v2/": dial tcp 192.0.2.1:443: connect: connection refused`:            true,
		`Get "https://registry.example/v2/": net/http: request canceled while waiting for connection`:        true,
		`Get "https://registry.example/v2/": net/http: TLS handshake timeout`:                                true,
		`manifest for postgres:17-trixie not found: manifest unknown`:                                        false,
		`pull access denied for postgres, repository does not exist`:                                         false,
		`toomanyrequests: You have reached your pull rate limit`:                                             false,
		`write /var/lib/docker/tmp/GetImageBlob1: no space left on device`:                                   false,
		`Get "https://registry.example/v2/": x509: certificate signed by unknown authority`:                  false,
		`received unexpected HTTP status: 503 Service Unavailable`:                                           false,
		`Get "https://registry.example/v2/": proxyconnect tcp: dial tcp: lookup proxy.example: no such host`: true,
	} {
		if got := silent(complaint); got != want {
			t.Errorf("silent(%q) = %v, want %v", complaint, got, want)
		}
	}
}

func TestWhatIsDroppedFromAnImage(t *testing.T) {
	t.Parallel()
	b := base{
		drop:  []string{"usr/lib/llvm-*/", "usr/lib/*/libLLVM*", "usr/share/i18n/"},
		files: []file{{path: "var/lib/postgresql/"}},
	}
	for name, want := range map[string]bool{
		"dev":                          false, // the folder stays, to be mounted on
		"dev/null":                     true,
		"dev/pts/0":                    true,
		"var/lib/apt/lists":            false,
		"var/lib/apt/lists/partial":    true,
		"etc/resolv.conf":              true,
		"etc/passwd":                   false,
		"etc/passwd-":                  true,
		"usr/lib/llvm-19":              false,
		"usr/lib/llvm-19/lib/x.so":     true,
		"usr/lib/llvmx/lib":            false,
		"usr/lib/x86/libLLVM.so.19":    true,
		"usr/lib/x86/sub/libLLVM.so":   false,
		"usr/share/i18n/charmaps/UTF8": true,
		"usr/share/i18nx":              false,
		"var/lib/postgresql":           true, // ours takes its place
		"var/lib/postgresql/x":         false,
	} {
		if got := b.drops(name); got != want {
			t.Errorf("drops(%q) = %v, want %v", name, got, want)
		}
	}
}

func TestPackagesComeFromTheHostsMirrors(t *testing.T) {
	t.Parallel()
	got := debianSources(apt.Mirrors{Debian: "http://mirror.example/debian", Security: "http://mirror.example/security"})
	want := []string{
		"deb http://mirror.example/debian trixie main",
		"deb http://mirror.example/debian trixie-updates main",
		"deb http://mirror.example/security trixie-security main",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the sources are %q, want %q", got, want)
	}
	if got := debianSources(apt.Mirrors{}); len(got) > 0 {
		t.Errorf("without a mirror the sources are %q, want mmdebstrap's own", got)
	}
}

func TestARecipeChangesWithItsFiles(t *testing.T) {
	t.Parallel()
	for _, b := range table {
		before, err := b.recipe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		b.files = append(slices.Clone(b.files), file{path: "more", content: []byte("x")})
		after, err := b.recipe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if before == after {
			t.Errorf("%s: another file gives the same recipe", b.name)
		}
	}
}

func TestTheListOfWhatWatchesIsComplete(t *testing.T) {
	t.Parallel()
	root, err := repo.Root()
	if err != nil {
		t.Fatal(err)
	}
	sizes := map[string]int{}
	for _, level := range []string{"lean", "full"} {
		images, err := watching(root, level)
		if err != nil {
			t.Fatal(err)
		}
		sizes[level] = len(images)
		for _, b := range images {
			if (b.tool == "") == (len(b.packages) == 0) || b.program == "" || b.name == "" {
				t.Errorf("%q: want an image that is either a tool or of packages, and where its program is", b.name)
			}
			if recipe, err := b.recipe(t.Context()); err != nil || recipe == "" {
				t.Errorf("%s: recipe %q, %v", b.name, recipe, err)
			}
		}
	}
	if sizes["lean"] == 0 || sizes["lean"] >= sizes["full"] {
		t.Errorf("lean has %d images and full %d, want more in full", sizes["lean"], sizes["full"])
	}
	if _, err := watching(root, "much"); err == nil {
		t.Error("an unknown level is no error")
	}
}

func TestAnImageOfATagIsOfTheToolsVersion(t *testing.T) {
	t.Parallel()
	root, err := repo.Root()
	if err != nil {
		t.Fatal(err)
	}
	images, err := watching(root, "full")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range images {
		if b.tool == "" {
			continue
		}
		tool, err := pinned.Load(t.Context(), root, b.tool)
		if err != nil {
			t.Fatal(err)
		}
		if tag := b.name[strings.LastIndexByte(b.name, ':')+1:]; strings.TrimPrefix(tag, "v") != tool.Version {
			t.Errorf("%s is made of %s %s: raise both together", b.name, b.tool, tool.Version)
		}
	}
}
