package main

import (
	"context"
	"strings"

	"dagger/bookshelf/internal/dagger"
	"dagger/bookshelf/plan"
)

const trivyCache = "/var/cache/trivy"

// trivy is a container with Trivy, in a folder without any configuration of it.
func (m *Bookshelf) trivy() *dagger.Container {
	return m.trusting(dag.Container().From(m.TrivyImage)).
		WithDirectory("/reports", dag.Directory()).
		WithDirectory("/empty", dag.Directory()).
		WithWorkdir("/empty")
}

// archives are the image's variants as tar archives, by a name for files: linux-amd64.
func (m *Bookshelf) archives(ctx context.Context) (names []string, files []*dagger.File, err error) {
	images, err := m.variants(ctx)
	if err != nil {
		return nil, nil, err
	}
	for i, platform := range plan.Platforms() {
		names = append(names, strings.ReplaceAll(platform, "/", "-"))
		files = append(files, images[i].AsTarball())
	}
	return names, files, nil
}

// Scan searches the image and the repository for vulnerabilities, secrets and misconfiguration (Trivy). It fails on every
// finding that is high or critical and has a fix, unless ci/scanignore.yaml excuses it for now; and it fails when the
// vulnerability database is missing or old. The reports are NAME.json, NAME.sarif and NAME.txt, scan.sarif with all of them,
// and verdict.md.
//
// +check
// +cache="never"
func (m *Bookshelf) Scan(
	ctx context.Context,
	// Return the reports even when the verdict is red.
	//
	// +optional
	reportOnly bool,
	// The vulnerability database as an OCI artifact, for a host that reaches only a mirror. The default is Trivy's own.
	//
	// +optional
	database string,
) (*dagger.Directory, error) {
	ready := m.trivy().
		WithMountedCache(trivyCache, dag.CacheVolume("bookshelf-trivy"), dagger.ContainerWithMountedCacheOpts{
			Sharing: dagger.CacheSharingModeLocked, // Trivy's database has one user at a time
		}).
		WithEnvVariable("ASKED_AT", thisHour()).
		WithExec(plan.TrivyDatabase(trivyCache, database)).
		WithExec([]string{"cp", trivyCache + "/db/metadata.json", "/reports/database.json"})

	names, archives, err := m.archives(ctx)
	if err != nil {
		return nil, err
	}
	scanned := ready
	for i, name := range names {
		archive := "/run/" + name + ".tar"
		scanned = scanned.WithMountedFile(archive, archives[i]).WithExec(plan.TrivyImage(trivyCache, archive, "/reports/"+name+".json"))
	}
	names = append(names, "repository")
	scanned = scanned.
		WithMountedDirectory("/repository", m.Source).
		WithExec(plan.TrivyFilesystem(trivyCache, "/repository", "/reports/repository.json"))
	for _, name := range names {
		for _, format := range []struct{ name, suffix string }{{"sarif", ".sarif"}, {"table", ".txt"}} {
			scanned = scanned.WithExec(plan.TrivyConvert(format.name, "/reports/"+name+".json", "/reports/"+name+format.suffix))
		}
	}
	scanned, err = scanned.Sync(ctx)
	if err != nil {
		return nil, explain("scan", err)
	}
	verdict, err := m.judge(ctx, scanned.Directory("/reports"), names)
	if err != nil {
		return nil, err
	}
	if err := verdict.Err(); err != nil && !reportOnly {
		return nil, err
	}
	merged, err := mergedSARIF(ctx, scanned.Directory("/reports"), "trivy", names)
	if err != nil {
		return nil, err
	}
	return scanned.Directory("/reports").
		WithNewFile("verdict.md", verdict.Markdown()).
		WithNewFile("scan.sarif", merged).
		Sync(ctx)
}

// mergedSARIF reads NAME.sarif for every name and puts them into one report.
func mergedSARIF(ctx context.Context, reports *dagger.Directory, tool string, names []string) (string, error) {
	var all []plan.SARIF
	for _, name := range names {
		content, err := reports.File(name + ".sarif").Contents(ctx)
		if err != nil {
			return "", explain("read the report of "+name, err)
		}
		all = append(all, plan.SARIF{Category: tool + "/" + name, Content: []byte(content)})
	}
	merged, err := plan.MergeSARIF(all)
	return string(merged), err
}

// judge reads the reports and comes to a verdict about them.
func (m *Bookshelf) judge(ctx context.Context, reports *dagger.Directory, names []string) (*plan.Verdict, error) {
	metadata, err := reports.File("database.json").Contents(ctx)
	if err != nil {
		return nil, explain("read the age of the vulnerability database", err)
	}
	ignores, err := m.Source.File("ci/scanignore.yaml").Contents(ctx)
	if err != nil {
		return nil, explain("read ci/scanignore.yaml", err)
	}
	var contents [][]byte
	for _, name := range names {
		content, err := reports.File(name + ".json").Contents(ctx)
		if err != nil {
			return nil, explain("read the scan's report of "+name, err)
		}
		contents = append(contents, []byte(content))
	}
	return plan.Judge(contents, []byte(metadata), []byte(ignores), now())
}

// Sbom lists what the image consists of, for every platform: PLATFORM.cdx.json in CycloneDX and PLATFORM.spdx.json in SPDX.
func (m *Bookshelf) Sbom(ctx context.Context) (*dagger.Directory, error) {
	names, archives, err := m.archives(ctx)
	if err != nil {
		return nil, err
	}
	ctr := m.trivy()
	for i, name := range names {
		archive := "/run/" + name + ".tar"
		ctr = ctr.WithMountedFile(archive, archives[i])
		for _, format := range []struct{ name, suffix string }{{"cyclonedx", ".cdx.json"}, {"spdx-json", ".spdx.json"}} {
			ctr = ctr.WithExec(plan.TrivySBOM(trivyCache, format.name, archive, "/reports/"+name+format.suffix))
		}
	}
	ctr, err = ctr.Sync(ctx)
	if err != nil {
		return nil, explain("list what the image consists of", err)
	}
	return ctr.Directory("/reports"), nil
}
