package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"

	"dagger/bookshelf/internal/dagger"
	"dagger/bookshelf/plan"
)

func randomText() string { return rand.Text() }

// Lint runs `make check`: format, vet, tidy modules, linters, scripts.
//
// +check
func (m *Bookshelf) Lint(ctx context.Context) error {
	_, err := m.golang().
		WithMountedCache("/cache/tools", dag.CacheVolume("bookshelf-tools")).
		WithEnvVariable("BOOKSHELF_CACHE", "/cache/tools").
		WithMountedCache("/cache/lint", dag.CacheVolume("bookshelf-lint")).
		WithEnvVariable("GOLANGCI_LINT_CACHE", "/cache/lint").
		WithDirectory("/src", m.Source).
		WithWorkdir("/src").
		// The checks ask git which files are the project's. The history is of no interest to them and stays outside.
		WithExec([]string{"git", "init", "--quiet", "."}).
		WithEnvVariable("GOWORK", "off").
		// A repository without a commit has no version to stamp into a binary.
		WithEnvVariable("GOFLAGS", "-buildvcs=false").
		WithExec([]string{"go", "run", "-C", "tools", "./check"}).
		Sync(ctx)
	return explain("lint", err)
}

// Test runs the tests of every module with the race detector, those of the app against PostgreSQL, and returns what they
// cover: for each module MODULE.out, as go tool cover reads it, and MODULE.txt, by function. What needs a container engine
// is tested by `make test`, and the image by E2E.
//
// +check
func (m *Bookshelf) Test(ctx context.Context) (*dagger.Directory, error) {
	coverage := dag.Directory()
	for _, module := range plan.Analysed() {
		tested, err := m.testing(module).Sync(ctx)
		if err != nil {
			return nil, explain("test "+module.Dir, err)
		}
		coverage = coverage.WithDirectory(".", tested.Directory("/coverage"))
	}
	return coverage.Sync(ctx)
}

func (m *Bookshelf) testing(module plan.Module) *dagger.Container {
	profile := "/coverage/" + module.Name() + ".out"
	ctr := m.golang()
	if module.Services {
		// Fixed, so that an unchanged module is not tested again: the server is empty, and nobody else can reach it.
		const password = "postgres"
		ctr = ctr.
			WithServiceBinding(plan.DatabaseHost, m.database(dag.SetSecret("test-database-password", password)).AsService(databaseService)).
			WithEnvVariable("TEST_DATABASE_URL", "postgres://postgres:"+password+"@"+plan.DatabaseHost+":5432/postgres?sslmode=disable").
			WithEnvVariable("REQUIRE_SERVICES", "1")
	}
	return ctr.
		WithMountedDirectory("/src", m.part(module.Inputs)).
		WithWorkdir("/src/"+module.Dir).
		WithDirectory("/coverage", dag.Directory()).
		WithEnvVariable("GOWORK", "off").
		WithExec([]string{"go", "test", "-race", "-shuffle=on", "-covermode=atomic", "-coverprofile=" + profile, "./..."}).
		WithExec([]string{"go", "tool", "cover", "-func=" + profile}, dagger.ContainerWithExecOpts{
			RedirectStdout: "/coverage/" + module.Name() + ".txt",
		})
}

// Vuln searches every module for known vulnerabilities that its code really calls (govulncheck) and fails when there is
// one. The reports are MODULE.text and MODULE.sarif, and vuln.sarif with all of them.
//
// +check
// +cache="never"
func (m *Bookshelf) Vuln(
	ctx context.Context,
	// Return the reports even when there are vulnerabilities.
	//
	// +optional
	reportOnly bool,
	// The vulnerability database, for a host that reaches only a mirror. The default is govulncheck's own.
	//
	// +optional
	database string,
) (*dagger.Directory, error) {
	scanner, err := m.golang().
		WithMountedDirectory("/src", m.Source).
		WithEnvVariable("GOWORK", "off").
		WithWorkdir("/src/tools/govulncheck").
		WithExec([]string{"go", "build", "-o", "/usr/local/bin/govulncheck", "golang.org/x/vuln/cmd/govulncheck"}).
		WithDirectory("/reports", dag.Directory()).
		// The database changes while the sources do not.
		WithEnvVariable("ASKED_AT", thisHour()).
		Sync(ctx)
	if err != nil {
		return nil, explain("build govulncheck", err)
	}
	reports := dag.Directory()
	var names []string
	var problems []error
	for _, module := range plan.Analysed() {
		names = append(names, module.Name())
		for _, format := range []string{"sarif", "text"} {
			name := module.Name() + "." + format
			code, report, err := vulnerabilities(ctx, scanner.WithWorkdir("/src/"+module.Dir), format, name, database)
			switch {
			case err != nil:
				return nil, explain("search "+module.Dir+" for vulnerabilities", err)
			case code == vulnerable && format == "text":
				text, err := report.Contents(ctx)
				if err != nil {
					return nil, explain("read the report of "+module.Dir, err)
				}
				problems = append(problems, fmt.Errorf("%s calls code with known vulnerabilities:\n%s", module.Dir, strings.TrimSpace(text)))
			case code != 0:
				return nil, fmt.Errorf("govulncheck of %s ended with %d, so nothing is known", module.Dir, code)
			}
			reports = reports.WithFile(name, report)
		}
	}
	if err := errors.Join(problems...); err != nil && !reportOnly {
		return nil, err
	}
	merged, err := mergedSARIF(ctx, reports, "govulncheck", names)
	if err != nil {
		return nil, err
	}
	return reports.WithNewFile("vuln.sarif", merged).Sync(ctx)
}

// vulnerabilities runs govulncheck in the container's working directory and returns how it ended and what it wrote. What it
// complains of is in the engine's log.
func vulnerabilities(ctx context.Context, in *dagger.Container, format, name, database string) (int, *dagger.File, error) {
	args := []string{"govulncheck", "-format", format}
	if database != "" {
		args = append(args, "-db", database)
	}
	done, err := in.WithExec(append(args, "./..."), dagger.ContainerWithExecOpts{
		RedirectStdout: "/reports/" + name,
		Expect:         dagger.ReturnTypeAny,
	}).Sync(ctx)
	if err != nil {
		return 0, nil, err
	}
	code, err := done.ExitCode(ctx)
	return code, done.File("/reports/" + name), err
}

// vulnerable is the exit code by which govulncheck says, in text mode, that it has found something.
const vulnerable = 3

// thisHour makes what asks the world outside run again, but not twice in one job: the reports of a first call and the
// verdict of a second are of the same data.
func thisHour() string { return now().UTC().Format("2006-01-02T15") }

// Check runs all gates side by side and reports every one that fails. It is what an image has to pass before it reaches a
// registry.
//
// +cache="never"
func (m *Bookshelf) Check(ctx context.Context) error {
	gates := []func(context.Context) error{
		m.Lint,
		func(ctx context.Context) error { _, err := m.Test(ctx); return err },
		func(ctx context.Context) error { _, err := m.Vuln(ctx, false, ""); return err },
		m.E2E,
		func(ctx context.Context) error { _, err := m.Scan(ctx, false, ""); return err },
		func(ctx context.Context) error { _, err := m.PublishDryRun(ctx); return err },
	}
	problems := make([]error, len(gates))
	var running sync.WaitGroup
	for i, gate := range gates {
		running.Go(func() { problems[i] = gate(ctx) })
	}
	running.Wait()
	return errors.Join(problems...)
}

// explain puts what was being done before an engine's error. The output of a command that failed is in the error too:
// without it a red run in a log would say an exit code and no reason.
func explain(doing string, err error) error {
	if err == nil {
		return nil
	}
	failed, ok := errors.AsType[*dagger.ExecError](err)
	if !ok {
		return fmt.Errorf("%s: %w", doing, err)
	}
	said := strings.TrimSpace(strings.TrimSpace(failed.Stdout) + "\n" + strings.TrimSpace(failed.Stderr))
	if len(said) > maxSaid {
		said = "…" + strings.ToValidUTF8(said[len(said)-maxSaid:], "")
	}
	return fmt.Errorf("%s: %w\n%s", doing, err, said)
}

// maxSaid bounds what of a command's output goes into an error, in bytes: its end, where the reason is.
const maxSaid = 8 << 10
