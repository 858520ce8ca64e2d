package plan

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAnImageCanBeChosenByItself(t *testing.T) {
	t.Parallel()
	got := DefaultImages().Or(Images{Trivy: "mirror.example/trivy:1"})
	want := DefaultImages()
	want.Trivy = "mirror.example/trivy:1"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
}

// What handles credentials or comes to verdicts must not change under us.
func TestToolImagesArePinnedByDigestAndNoneMoves(t *testing.T) {
	t.Parallel()
	images := DefaultImages()
	for _, image := range []string{images.Trivy, images.Cosign} {
		if !regexp.MustCompile(`:v?\d+\.\d+\.\d+@sha256:[0-9a-f]{64}$`).MatchString(image) {
			t.Errorf("%s is not pinned to a version and a digest", image)
		}
	}
	for _, image := range []string{images.Go, images.Postgres} {
		if !regexp.MustCompile(`^[a-z]+:\d[\w.-]*$`).MatchString(image) {
			t.Errorf("%s does not name a version", image)
		}
	}
}

// With and without an engine the same version comes to the verdict. Who raises one is told to raise the other.
func TestToolImagesHaveTheVersionsOfTheTools(t *testing.T) {
	t.Parallel()
	version := regexp.MustCompile(`:v?(\d+\.\d+\.\d+)@`)
	for module, image := range map[string]string{
		"trivy github.com/aquasecurity/trivy":  DefaultImages().Trivy,
		"cosign github.com/sigstore/cosign/v3": DefaultImages().Cosign,
	} {
		folder, path, _ := strings.Cut(module, " ")
		gomod, err := os.ReadFile(filepath.Join("../../tools", folder, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		tool := regexp.MustCompile(regexp.QuoteMeta(path) + ` v(\S+)`).FindSubmatch(gomod)
		pinned := version.FindStringSubmatch(image)
		if tool == nil || pinned == nil || string(tool[1]) != pinned[1] {
			t.Errorf("tools/%s/go.mod has %s, the table of images %s", folder, tool, image)
		}
	}
}

func TestTheCompilerIsTheDockerfilesOwn(t *testing.T) {
	t.Parallel()
	dockerfile, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(dockerfile, []byte(DefaultImages().Go+" AS build")) {
		t.Errorf("the Dockerfile does not build on %s", DefaultImages().Go)
	}
}

// What is not in the part of the checkout that the image is built from cannot be in the image.
func TestTheDockerfileCopiesOnlyWhatItIsGiven(t *testing.T) {
	t.Parallel()
	dockerfile, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^COPY (.*) \S+$`).FindAllStringSubmatch(string(dockerfile), -1) {
		for source := range strings.FieldsSeq(m[1]) {
			if strings.HasPrefix(m[1], "--from") {
				break
			}
			top, _, _ := strings.Cut(source, "/")
			if !slices.Contains(BuildInputs(), top) {
				t.Errorf("the Dockerfile copies %s, which the pipeline does not give it", source)
			}
		}
	}
}

func TestVerificationAcceptsNobodyByAccident(t *testing.T) {
	t.Parallel()
	for name, i := range map[string]Identity{
		"nobody":                {},
		"an issuer alone":       {Issuer: "https://token.actions.githubusercontent.com"},
		"a subject alone":       {Subject: "^https://github.com/someone/"},
		"a key and an identity": {KeyFile: "cosign.pub", Subject: "someone", Issuer: "x"},
	} {
		if err := i.Validate(); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	for _, i := range []Identity{{KeyFile: "cosign.pub"}, {Subject: "s", Issuer: "i"}} {
		if err := i.Validate(); err != nil {
			t.Errorf("%+v: %v", i, err)
		}
	}
}

// A signature that is checked another way than it was made is either refused or worth nothing.
func TestSigningAndVerifyingAgree(t *testing.T) {
	t.Parallel()
	image, err := ParsePinned("someone/bookshelf@" + digestA)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"sign with a key":   {CosignSign(image, "k", false), "cosign sign --yes --key k --use-signing-config=false --tlog-upload=false"},
		"sign keyless":      {CosignSign(image, "", false), "cosign sign --yes"},
		"attest with a key": {CosignAttest(image, SPDX, "f", "k", true), "cosign attest --yes --type spdxjson --predicate f --key k --use-signing-config=false --tlog-upload=false --allow-http-registry"},
		"verify with a key": {CosignVerify(image, Identity{KeyFile: "p"}, false), "cosign verify --key p --insecure-ignore-tlog=true"},
		"verify keyless":    {CosignVerify(image, Identity{Subject: "s", Issuer: "i"}, false), "cosign verify --certificate-identity-regexp s --certificate-oidc-issuer i"},
		"verify a statement": {
			CosignVerifyAttestation(image, Provenance, Identity{Subject: "s", Issuer: "i"}, true),
			"cosign verify-attestation --type slsaprovenance1 --certificate-identity-regexp s --certificate-oidc-issuer i --allow-http-registry",
		},
	} {
		want := append(strings.Fields(test.want), "docker.io/someone/bookshelf@"+digestA)
		if diff := cmp.Diff(want, test.args); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestProvenanceLeadsBackToTheCommit(t *testing.T) {
	t.Parallel()
	c := Commit{Ref: MainRef, Revision: someCommit}
	content, err := ProvenanceOf(c, "https://github.com/someone/bookshelf", "https://github.com/someone/bookshelf/w.yml", map[string]string{"VERSION": "1"}, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(content, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"buildDefinition": map[string]any{
			"buildType":          "https://github.com/someone/bookshelf/blob/" + someCommit + "/docs/pipeline.md",
			"externalParameters": map[string]any{"VERSION": "1"},
			"resolvedDependencies": []any{map[string]any{
				"uri": "git+https://github.com/someone/bookshelf@refs/heads/main", "digest": map[string]any{"gitCommit": someCommit},
			}},
		},
		"runDetails": map[string]any{
			"builder":  map[string]any{"id": "https://github.com/someone/bookshelf/w.yml"},
			"metadata": map[string]any{"finishedOn": "1970-01-01T00:00:00Z"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("provenance (-want +got):\n%s", diff)
	}
	for _, c := range []Commit{{}, {Ref: MainRef}} {
		if _, err := ProvenanceOf(c, "https://github.com/someone/bookshelf", "", nil, time.Unix(0, 0)); err == nil {
			t.Errorf("%+v leads nowhere and was accepted", c)
		}
	}
	if _, err := ProvenanceOf(c, "", "", nil, time.Unix(0, 0)); err == nil {
		t.Error("no sources were accepted")
	}
}
