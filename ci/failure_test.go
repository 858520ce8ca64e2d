package main

import (
	"strings"
	"testing"

	"dagger/bookshelf/enginetest"
	"dagger/bookshelf/internal/dagger"
)

// A step that fails has to come out of the function that asked for it, with the reason.
func TestAFailingStepFailsItsFunction(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		step string // part of the graph that fails
		run  func(b *bundle) error
		want string // who failed
	}{
		"a linter":              {`"./check"`, func(b *bundle) error { return b.module.Lint(b.ctx) }, "lint"},
		"a test of the app":     {`/coverage/app.out`, func(b *bundle) error { _, err := b.module.Test(b.ctx); return err }, "test app"},
		"a test of the infra":   {`/coverage/infra.out`, func(b *bundle) error { _, err := b.module.Test(b.ctx); return err }, "test infra"},
		"building govulncheck":  {`/usr/local/bin/govulncheck`, func(b *bundle) error { _, err := b.module.Vuln(b.ctx, true, ""); return err }, "build govulncheck"},
		"starting PostgreSQL":   {`asService(args: ["postgres"`, func(b *bundle) error { return b.module.E2E(b.ctx) }, "start PostgreSQL"},
		"making the roles":      {`psql`, func(b *bundle) error { return b.module.E2E(b.ctx) }, "make the roles"},
		"migrating":             {`withExec(args: ["migrate"]`, func(b *bundle) error { return b.module.E2E(b.ctx) }, "migrate with the image"},
		"driving the image":     {`TestEveryRoute`, func(b *bundle) error { return b.module.E2E(b.ctx) }, "drive the image"},
		"the database of Trivy": {`--download-db-only`, func(b *bundle) error { _, err := b.module.Scan(b.ctx, true, ""); return err }, "scan"},
		"scanning":              {`/run/linux-arm64.tar`, func(b *bundle) error { _, err := b.module.Scan(b.ctx, true, ""); return err }, "scan"},
		"writing the SBOM":      {`spdx-json`, func(b *bundle) error { _, err := b.module.Sbom(b.ctx); return err }, "list what the image consists of"},
		"packing the image":     {`asTarball(platformVariants`, func(b *bundle) error { _, err := b.module.PublishDryRun(b.ctx); return err }, "pack the image"},
		"migrating for Dev":     {`withExec(args: ["migrate"]`, func(b *bundle) error { _, err := b.module.Dev(b.ctx); return err }, "migrate"},
		"signing":               {`args: ["sign", "--yes"`, func(b *bundle) error { return sign(b) }, "sign docker.io/someone/bookshelf@"},
		"attesting the SBOM":    {`"cyclonedx", "--predicate", "/sbom/linux-arm64`, func(b *bundle) error { return sign(b) }, "sign docker.io/someone/bookshelf@"},
		"verifying the SBOM":    {`"verify-attestation", "--type", "spdxjson"`, func(b *bundle) error { return verify(b) }, "verify docker.io/someone/bookshelf@"},
		"a gate":                {`/coverage/app.out`, func(b *bundle) error { return b.module.Check(b.ctx) }, "test app"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.Fail(test.step, enginetest.Failure{Command: []string{"false"}, ExitCode: 3, Stdout: "what happened", Stderr: "why it did"})
			wantError(t, test.run(b), test.want, "exit code: 3", "what happened", "why it did")
		})
	}
}

const pinned = "docker.io/someone/bookshelf@" + digest

func sign(b *bundle) error {
	_, err := b.module.Sign(b.ctx, pinned, nil, nil, object[*dagger.Secret](b.Recorder, "key"), object[*dagger.Secret](b.Recorder, "keyPassword"), nil, nil, nil)
	return err
}

func verify(b *bundle) error {
	_, err := b.module.Verify(b.ctx, pinned, nil, nil, object[*dagger.File](b.Recorder, "publicKey"), "", githubIssuer, nil)
	return err
}

func TestAnAttestationIsNoSignature(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Answer("stdout", `args: ["verify", `, `[{"critical": {"type": "https://cyclonedx.org/bom"}}]`)
	wantError(t, verify(b), "but no signature")
	if b.Asked("verify-attestation") {
		t.Error("the attestations of an image without a signature were looked at all the same")
	}
}

func TestPostgresIsStoppedWhateverHappened(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Fail("TestEveryRoute", enginetest.Failure{ExitCode: 1})
	if err := b.module.E2E(b.ctx); err == nil {
		t.Fatal("there was no error")
	}
	if !b.Asked(".stop(kill: true)") {
		t.Error("PostgreSQL was left running")
	}
}

func TestCheckNamesEveryGateThatFails(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, step := range []string{`"./check"`, `/coverage/app.out`, `TestEveryRoute`} {
		b.Fail(step, enginetest.Failure{ExitCode: 1})
	}
	wantError(t, b.module.Check(b.ctx), "lint", "test app", "drive the image")
}

func TestAVulnerabilityThatIsCalledFailsVuln(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Answer("exitCode", `/reports/infra.text`, 3)
	b.Answer("contents", `.file(path: "/reports/infra.text") .contents`, "Vulnerability #1: GO-2026-0001")
	_, err := b.module.Vuln(b.ctx, false, "")
	wantError(t, err, "infra calls code with known vulnerabilities", "GO-2026-0001")
	if _, err := b.module.Vuln(b.ctx, true, ""); err != nil {
		t.Errorf("the reports alone: %v", err)
	}
}

// Without a database govulncheck finds nothing, and says so with another exit code.
func TestVulnWithoutAnAnswerIsNoPass(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Answer("exitCode", `/reports/app.sarif`, 1)
	_, err := b.module.Vuln(b.ctx, true, "https://vulnerabilities.example")
	wantError(t, err, "govulncheck of app ended with 1")
	if !b.Asked(`"-db", "https://vulnerabilities.example"`) {
		t.Error("the database that was named is not the one that was asked")
	}
}

func TestScanFailsClosed(t *testing.T) {
	t.Parallel()
	grave := map[string]string{
		"VulnerabilityID": "CVE-2026-9999", "PkgName": "stdlib", "InstalledVersion": "1.26.0", "FixedVersion": "1.26.9", "Severity": "CRITICAL",
	}
	for name, test := range map[string]struct {
		about, content string
		want           string
	}{
		"with a grave finding":         {`file(path: "linux-arm64.json")`, reportOf("arm64", grave), "CRITICAL CVE-2026-9999 in stdlib"},
		"without a database":           {`file(path: "database.json")`, "", "there is no vulnerability database"},
		"with a stale database":        {`file(path: "database.json")`, `{"UpdatedAt": "2026-11-19T00:00:00Z"}`, "stale"},
		"with a report of nothing":     {`file(path: "repository.json")`, `{"SchemaVersion": 2, "ArtifactName": "/repository"}`, "nothing was examined"},
		"with an expired entry":        {`file(path: "ci/scanignore.yaml")`, "ignore: [{id: CVE-2026-9999, reason: later, expires: 2026-11-22}]", "it expired on 2026-11-22"},
		"with an unreadable exception": {`file(path: "ci/scanignore.yaml")`, "ignored: []", "ignore file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.Answer("contents", test.about, test.content)
			_, err := b.module.Scan(b.ctx, false, "")
			wantError(t, err, test.want)
		})
	}
}

func TestScanGivesItsReportsOnRequestEvenWhenRed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Answer("contents", `file(path: "repository.json")`, reportOf("repository", map[string]string{
		"VulnerabilityID": "CVE-2026-9999", "PkgName": "x", "FixedVersion": "2", "Severity": "HIGH",
	}))
	if _, err := b.module.Scan(b.ctx, true, "registry.example/trivy-db:2"); err != nil {
		t.Fatal(err)
	}
	if !b.Asked("## Scan failed") || !b.Asked("CVE-2026-9999") {
		t.Error("the verdict in the reports does not say that it is red")
	}
	if !b.Asked(`"--db-repository", "registry.example/trivy-db:2"`) {
		t.Error("the database that was named is not the one that was asked")
	}
}

func TestNothingIsPublishedThatDidNotPass(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Fail("TestEveryRoute", enginetest.Failure{ExitCode: 1})
	_, err := b.module.Publish(b.ctx, "someone/bookshelf", nil, nil, nil)
	wantError(t, err, "nothing was published", "drive the image")
	if b.Asked(".publish(") {
		t.Error("it was pushed all the same")
	}
}

func TestPublishRefusesBeforeItDoesAnything(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		ref, repository string
		user            bool
		want            string
	}{
		"a branch that is not main":    {"refs/heads/feature", "someone/bookshelf", false, "is not published"},
		"no commit":                    {"", "someone/bookshelf", false, "is not published"},
		"a tag in the repository":      {"refs/heads/main", "someone/bookshelf:1", false, "without a tag"},
		"a repository that is no name": {"refs/heads/main", "Someone/Bookshelf", false, "repository"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.module.Ref = test.ref
			_, err := b.module.Publish(b.ctx, test.repository, nil, nil, nil)
			wantError(t, err, test.want)
			if b.Asked("sync") || b.Asked(".publish(") {
				t.Error("something was done before it was refused")
			}
		})
	}
}

func TestARegistryThatAnswersWithTwoDigestsIsNotTrusted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Answer("publish", `:sha-0123456789ab"`, "docker.io/someone/bookshelf:sha-0123456789ab@"+digest)
	b.Answer("publish", `:main"`, "docker.io/someone/bookshelf:main@sha256:"+strings.Repeat("b", 64))
	_, err := b.module.Publish(b.ctx, "someone/bookshelf", nil, nil, nil)
	wantError(t, err, "for one build")
}

func TestALoginIsWholeOrNotThere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.module.Sign(b.ctx, pinned, object[*dagger.Secret](b.Recorder, "username"), nil, nil, nil, nil, nil, nil)
	wantError(t, err, "one of them is missing")
}

func TestSignNeedsSomethingToSignWith(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.module.Sign(b.ctx, pinned, nil, nil, nil, nil, nil, nil, nil)
	wantError(t, err, "nothing to sign with")
	_, err = b.module.Sign(b.ctx, pinned, nil, nil, object[*dagger.Secret](b.Recorder, "key"), nil, nil, nil, nil)
	wantError(t, err, "password is missing")
	_, err = b.module.Sign(b.ctx, "docker.io/someone/bookshelf:latest", nil, nil, nil, nil, nil, nil, nil)
	wantError(t, err, "by digest")
}

func TestVerifyAcceptsNobodyByDefault(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.module.Verify(b.ctx, pinned, nil, nil, nil, "", githubIssuer, nil)
	wantError(t, err, "verifying needs a public key, or the identity")
	_, err = b.module.Verify(b.ctx, pinned, nil, nil, object[*dagger.File](b.Recorder, "publicKey"), "someone", githubIssuer, nil)
	wantError(t, err, "not with both")
}

// What cannot be verified afterwards is not pushed in the first place.
func TestReleaseRefusesBeforeItPublishes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.module.Release(b.ctx, "someone/bookshelf", nil, nil, nil, nil, nil, nil, nil, "", githubIssuer, nil)
	wantError(t, err, "verifying needs")
	b.module.SourceURL = ""
	_, err = b.module.Release(b.ctx, "someone/bookshelf", nil, nil, nil, nil, nil, nil, nil, "^"+where, githubIssuer, nil)
	wantError(t, err, "provenance")
	if b.Asked(".publish(") {
		t.Error("it was pushed all the same")
	}
}

func TestAReleaseThatIsNotVerifiedIsNoRelease(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Answer("publish", "publish", pinned)
	b.Fail(`args: ["verify", `, enginetest.Failure{ExitCode: 10, Stderr: "no matching signatures"})
	_, err := b.module.Release(b.ctx, "someone/bookshelf", nil, nil, nil, nil, nil,
		object[*dagger.Secret](b.Recorder, "oidcUrl"), object[*dagger.Secret](b.Recorder, "oidcToken"), "^"+where, githubIssuer, nil)
	wantError(t, err, "nothing may deploy it", "no matching signatures")
}

func TestAnErrorShowsTheEndOfALongOutput(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Fail(`"./check"`, enginetest.Failure{ExitCode: 1, Stdout: strings.Repeat("noise\n", 10_000) + "the reason"})
	err := b.module.Lint(b.ctx)
	wantError(t, err, "the reason")
	if len(err.Error()) > 2*maxSaid {
		t.Errorf("the error has %d bytes", len(err.Error()))
	}
}
