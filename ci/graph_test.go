package main

import (
	"testing"

	"dagger/bookshelf/internal/dagger"
	"dagger/bookshelf/plan"
)

// What each function asks of the engine, for a review to see. A step that changes here changes there.
func TestGraphs(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(b *bundle) error{
		"lint": func(b *bundle) error { return b.module.Lint(b.ctx) },
		"test": func(b *bundle) error { _, err := b.module.Test(b.ctx); return err },
		"vuln": func(b *bundle) error { _, err := b.module.Vuln(b.ctx, false, ""); return err },
		"scan": func(b *bundle) error { _, err := b.module.Scan(b.ctx, false, ""); return err },
		"sbom": func(b *bundle) error { _, err := b.module.Sbom(b.ctx); return err },
		"e2e":  func(b *bundle) error { return b.module.E2E(b.ctx) },
		"perf": func(b *bundle) error {
			b.measure(1)
			secret := func(name string) *dagger.Secret { return object[*dagger.Secret](b.Recorder, name) }
			b.Answer("plaintext", "$username", "someone")
			_, err := b.module.Perf(b.ctx, "registry.example/bookshelf:main", secret("username"), secret("password"), false)
			return err
		},
		"build": func(b *bundle) error {
			image, err := b.module.Build(b.ctx, "linux/arm64")
			if err != nil {
				return err
			}
			_, err = image.Sync(b.ctx)
			return err
		},
		// On a network that inspects TLS.
		"build-behind-a-proxy": func(b *bundle) error {
			b.module.CA = object[*dagger.File](b.Recorder, "ca")
			b.module.GoProxy = "https://modules.example"
			b.Answer("contents", "$ca", "-----BEGIN CERTIFICATE-----")
			image, err := b.module.Build(b.ctx, "")
			if err != nil {
				return err
			}
			_, err = image.Sync(b.ctx)
			return err
		},
		"dev": func(b *bundle) error {
			service, err := b.module.Dev(b.ctx)
			if err != nil {
				return err
			}
			_, err = service.Sync(b.ctx)
			return err
		},
		"publish-dry-run": func(b *bundle) error { _, err := b.module.PublishDryRun(b.ctx); return err },
		"sign-with-a-key": func(b *bundle) error {
			secret := func(name string) *dagger.Secret { return object[*dagger.Secret](b.Recorder, name) }
			b.Answer("plaintext", "$username", "someone")
			b.Answer("plaintext", "$password", "hunter2")
			_, err := b.module.Sign(b.ctx, pinned, secret("username"), secret("password"), secret("key"), secret("keyPassword"), nil, nil, nil)
			return err
		},
		"sign-keyless": func(b *bundle) error {
			secret := func(name string) *dagger.Secret { return object[*dagger.Secret](b.Recorder, name) }
			_, err := b.module.Sign(b.ctx, pinned, nil, nil, nil, nil, secret("oidcUrl"), secret("oidcToken"), nil)
			return err
		},
		"verify-with-a-key": func(b *bundle) error {
			_, err := b.module.Verify(b.ctx, "registry.example:5000/bookshelf@"+digest, nil, nil,
				object[*dagger.File](b.Recorder, "publicKey"), "", githubIssuer, object[*dagger.Service](b.Recorder, "registry"))
			return err
		},
		"verify-keyless": func(b *bundle) error {
			_, err := b.module.Verify(b.ctx, pinned, nil, nil, nil, "^"+where+"/", githubIssuer, nil)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			if err := run(b); err != nil {
				t.Fatal(err)
			}
			b.Golden(name, false)
		})
	}
}

const githubIssuer = "https://token.actions.githubusercontent.com"

// These run gates side by side, so only what they ask can be compared, not when.
func TestGraphsOfWhatRunsAllGates(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(b *bundle) error{
		"check": func(b *bundle) error { return b.module.Check(b.ctx) },
		"publish": func(b *bundle) error {
			b.Answer("publish", "publish", "docker.io/someone/bookshelf:tag@"+digest)
			_, err := b.module.Publish(b.ctx, "someone/bookshelf", nil, nil, nil)
			return err
		},
		"release": func(b *bundle) error {
			b.module.Ref = "refs/tags/v1.2.3"
			b.Answer("label", versionLabel, "1.2.3")
			b.Answer("publish", "publish", "docker.io/someone/bookshelf:tag@"+digest)
			b.Answer("plaintext", "$username", "someone")
			b.Answer("plaintext", "$password", "hunter2")
			secret := func(name string) *dagger.Secret { return object[*dagger.Secret](b.Recorder, name) }
			_, err := b.module.Release(b.ctx, "docker.io/someone/bookshelf", secret("username"), secret("password"), nil, nil, nil,
				secret("oidcUrl"), secret("oidcToken"), "^"+where+"/", githubIssuer, nil)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			if err := run(b); err != nil {
				t.Fatal(err)
			}
			b.Golden(name, true)
		})
	}
}

// A README is in none of the parts that steps are given, so that a change of it runs nothing again.
func TestPartsOfTheCheckoutAreTight(t *testing.T) {
	t.Parallel()
	parts := [][]string{plan.BuildInputs()}
	for _, m := range plan.Modules() {
		parts = append(parts, m.Inputs)
	}
	for _, part := range parts {
		for _, pattern := range part {
			if pattern == "." || pattern == "*" || pattern == "**" || pattern == "README.md" || pattern == "docs" {
				t.Errorf("%q gives a step more than it reads", pattern)
			}
		}
	}
}
