// The pipeline of Bookshelf: lint, test, build, scan, describe, publish, sign.
//
// Every function runs the same on a laptop and in a workflow. `dagger check` runs all gates; `dagger call FUNCTION --help`
// explains one. What can be computed without an engine is in the package plan.
package main

import (
	"time"

	"dagger/bookshelf/internal/dagger"
	"dagger/bookshelf/plan"
)

// Bookshelf is one checkout and how this host reaches the world.
type Bookshelf struct {
	// The checkout, without what no function reads.
	Source *dagger.Directory

	// +private
	CA *dagger.File
	// +private
	GoProxy string
	// +private
	Ref string
	// +private
	Revision string
	// +private
	SourceURL string
	// +private
	GoImage string
	// +private
	PostgresImage string
	// +private
	TrivyImage string
	// +private
	CosignImage string
}

// New takes a checkout and settles what all functions share.
func New(
	// The repository. What is left out here cannot make any step run again.
	//
	// +defaultPath="/"
	// +ignore=["*", "!app", "!ci", "!infra", "!conformance", "!tools", "!docs", "docs/adr", "!.github", "!.ci", "!Makefile", "!Dockerfile", "!.dockerignore", "!docker-compose.yml", "!dagger.json", "!go.work", "!go.work.sum", "!.golangci.yml", "!.gitattributes", "!.gitignore"]
	source *dagger.Directory,
	// A bundle of certificate authorities in PEM, for a network that inspects TLS. It replaces the images' own bundle.
	//
	// +optional
	ca *dagger.File,
	// Where Go modules come from, as the GOPROXY of go. The default is go's own.
	//
	// +optional
	goproxy string,
	// The git reference that is built: refs/heads/main or refs/tags/v1.2.3. It decides the image's tags.
	//
	// +optional
	ref string,
	// The commit that is built, 40 hexadecimal digits. It is stamped into the image.
	//
	// +optional
	revision string,
	// The address of the sources, https://github.com/OWNER/REPOSITORY, for the image's labels and its provenance.
	//
	// +optional
	sourceUrl string,
	// The image that compiles and tests. The default is in the table of ci/plan, as for the next three.
	//
	// +optional
	goImage string,
	// The image of the database that tests use.
	//
	// +optional
	postgresImage string,
	// The image of Trivy, with a shell.
	//
	// +optional
	trivyImage string,
	// The image of cosign.
	//
	// +optional
	cosignImage string,
) (*Bookshelf, error) {
	m := &Bookshelf{Source: source, CA: ca, GoProxy: goproxy, Ref: ref, Revision: revision, SourceURL: sourceUrl}
	if err := m.commit().Validate(); err != nil {
		return nil, err
	}
	images := plan.DefaultImages().Or(plan.Images{Go: goImage, Postgres: postgresImage, Trivy: trivyImage, Cosign: cosignImage})
	m.GoImage, m.PostgresImage, m.TrivyImage, m.CosignImage = images.Go, images.Postgres, images.Trivy, images.Cosign
	return m, nil
}

func (m *Bookshelf) commit() plan.Commit {
	return plan.Commit{Ref: m.Ref, Revision: m.Revision}
}

// now and nonce are what an engine's cache cannot know. Tests replace them, so that a graph can be compared.
var (
	now   = time.Now
	nonce = randomText
)

// part is what of the checkout matches the patterns, at its usual place.
func (m *Bookshelf) part(patterns []string) *dagger.Directory {
	return m.Source.Filter(dagger.DirectoryFilterOpts{Include: patterns})
}

// golang is a container that compiles, with its caches.
func (m *Bookshelf) golang() *dagger.Container {
	ctr := dag.Container().From(m.GoImage).
		WithMountedCache("/go/pkg/mod", dag.CacheVolume("bookshelf-go-mod")).
		WithMountedCache("/cache/go-build", dag.CacheVolume("bookshelf-go-build")).
		WithEnvVariable("GOCACHE", "/cache/go-build").
		// The image's Go is the one that was chosen; a go.mod that asks for a newer one is a mistake to be seen.
		WithEnvVariable("GOTOOLCHAIN", "local")
	if m.GoProxy != "" {
		ctr = ctr.WithEnvVariable("GOPROXY", m.GoProxy)
	}
	return m.trusting(ctr)
}

// trusting lets the container's programs trust the host's certificate authorities. Go reads SSL_CERT_FILE, and so do
// Trivy and cosign, which are written in it.
func (m *Bookshelf) trusting(ctr *dagger.Container) *dagger.Container {
	if m.CA == nil {
		return ctr
	}
	const path = "/run/bookshelf/ca.pem"
	return ctr.WithMountedFile(path, m.CA).WithEnvVariable("SSL_CERT_FILE", path)
}
