// Package plan decides what the pipeline does: which images it runs, which modules it tests, which tags an image gets,
// whether a scan passes. It is plain Go with no engine behind it, so the same decisions are taken, and tested, anywhere.
package plan

import "time"

// Images are the references of the images that the pipeline runs.
type Images struct {
	Go       string // compiles and tests; also the first stage of the Dockerfile
	Postgres string // the database of tests and of the development stack
	Trivy    string // scans, and writes the SBOM
	Cosign   string // signs and verifies
}

// DefaultImages is the one table of them. The base images are named as everywhere else in the repository and follow their
// patch releases. The tools handle credentials and come to verdicts, so they are pinned to a digest, of the same version as
// the tool that runs where there is no engine (tools/trivy, tools/cosign).
func DefaultImages() Images {
	return Images{
		Go:       "golang:1.26-trixie",
		Postgres: "postgres:17-trixie",
		Trivy:    "aquasec/trivy:0.72.0@sha256:cffe3f5161a47a6823fbd23d985795b3ed72a4c806da4c4df16266c02accdd6f",
		Cosign:   "ghcr.io/sigstore/cosign/cosign:v3.0.4@sha256:0b015a3557a64a751712da8a6395534160018eaaa2d969882a85a336de9adb70",
	}
}

// Or returns the images with each one that is named in chosen instead of the default.
func (i Images) Or(chosen Images) Images {
	for _, pair := range []struct{ to, from *string }{
		{&i.Go, &chosen.Go}, {&i.Postgres, &chosen.Postgres}, {&i.Trivy, &chosen.Trivy}, {&i.Cosign, &chosen.Cosign},
	} {
		if *pair.from != "" {
			*pair.to = *pair.from
		}
	}
	return i
}

// Platforms are those that an image is published for, as os/architecture.
func Platforms() []string {
	return []string{"linux/amd64", "linux/arm64"}
}

// BuildInputs are the paths below the root that go into the image.
func BuildInputs() []string {
	return []string{"Dockerfile", ".dockerignore", "app"}
}

// MaxDatabaseAge is how old the vulnerability database may be. A new one appears every few hours; three days bridge a
// weekend on which its registry is down, and no more.
const MaxDatabaseAge = 72 * time.Hour
