package main

import (
	"context"
	"encoding/json"
	"net"
	"strconv"
	"strings"

	"dagger/bookshelf/internal/dagger"
	"dagger/bookshelf/plan"
)

// Perf measures the image of this checkout beside the last release's, in turns, each on a PostgreSQL of its own, and fails when it is
// slower with certainty, or when the machine is too noisy to tell. The reports are perf.json and verdict.md. No absolute time matters.
//
// +cache="never"
func (m *Bookshelf) Perf(
	ctx context.Context,
	// The image of the last release, docker.io/someone/bookshelf:main, or "none" before there is one.
	baseline string,
	// The login's name at the registry of the baseline.
	//
	// +optional
	username *dagger.Secret,
	// The login's password or token.
	//
	// +optional
	password *dagger.Secret,
	// Return the reports even when the verdict is red.
	//
	// +optional
	reportOnly bool,
) (*dagger.Directory, error) {
	if baseline == plan.NoBaseline {
		return dag.Directory().WithNewFile("verdict.md", plan.NothingToCompare).Sync(ctx)
	}
	last, id, err := m.baseline(ctx, baseline, username, password)
	if err != nil {
		return nil, err
	}
	this, err := m.Build(ctx, "")
	if err != nil {
		return nil, err
	}
	c := plan.Comparison{
		MeasuredAt: now().UTC(),
		This:       plan.Side{Image: "bookshelf:" + m.commit().Version()},
		Last:       plan.Side{Image: baseline, ID: id},
	}
	judgement, err := m.compare(ctx, c, this, last)
	if err != nil {
		return nil, err
	}
	if err := judgement.Err(); err != nil && !reportOnly {
		return nil, err
	}
	files, err := judgement.Reports()
	if err != nil {
		return nil, err
	}
	return dag.Directory().WithNewFile("perf.json", files["perf.json"]).WithNewFile("verdict.md", files["verdict.md"]).Sync(ctx)
}

// baseline fetches the last release's image, and says by which digest.
func (m *Bookshelf) baseline(ctx context.Context, name string, username, password *dagger.Secret) (*dagger.Container, string, error) {
	registry, err := plan.RegistryOf(name)
	if err != nil {
		return nil, "", err
	}
	image := dag.Container()
	user, err := login(ctx, username, password)
	if err != nil {
		return nil, "", err
	}
	if user != "" {
		image = image.WithRegistryAuth(registry, user, password)
	}
	image = image.From(name)
	ref, err := image.ImageRef(ctx)
	if err != nil {
		return nil, "", explain("fetch the last release's image (before there is one, say --baseline="+plan.NoBaseline+")", err)
	}
	_, digest, _ := strings.Cut(ref, "@")
	return image, digest, nil
}

// compare brings both up and measures until there is a verdict.
func (m *Bookshelf) compare(ctx context.Context, c plan.Comparison, this, last *dagger.Container) (judgement plan.Judgement, err error) {
	run := nonce()
	loader := m.golang().
		WithEnvVariable("RUN", run).
		WithMountedDirectory("/src", m.part([]string{"tools"})).
		WithWorkdir("/src/tools").
		WithEnvVariable("GOWORK", "off").
		WithExec([]string{"go", "build", "-o", "/usr/local/bin/load", "./load"})
	var targets []plan.LoadTarget
	for _, side := range []struct {
		name  string
		image *dagger.Container
	}{{"this", this}, {"last", last}} {
		s := stack{module: m, image: side.image, password: dag.SetSecret("perf-password-"+side.name, run), run: run + "-" + side.name}
		// Started by hand, as in E2E: a service that the engine stops between two clients would lose its books.
		s.database, err = m.database(s.password).WithEnvVariable("RUN", s.run).
			AsService(dagger.ContainerAsServiceOpts{UseEntrypoint: true, Args: plan.MeasuredServer()}).Start(ctx)
		if err != nil {
			return plan.Judgement{}, explain("start PostgreSQL", err)
		}
		defer stop(ctx, s.database, "PostgreSQL", &err)
		if _, err := s.prepare().Sync(ctx); err != nil {
			return plan.Judgement{}, explain("make the roles", err)
		}
		if _, err := s.migrate().Sync(ctx); err != nil {
			return plan.Judgement{}, explain("migrate with "+side.name, err)
		}
		token, err := s.as(plan.ServingRole).WithExec(plan.MakeToken(), dagger.ContainerWithExecOpts{UseEntrypoint: true}).Stdout(ctx)
		if err != nil {
			return plan.Judgement{}, explain("make a token with "+side.name, err)
		}
		service, err := s.serve(authRequired).Start(ctx)
		if err != nil {
			return plan.Judgement{}, explain("start "+side.name, err)
		}
		defer stop(ctx, service, side.name, &err)
		loader = loader.WithServiceBinding(side.name, service)
		targets = append(targets, plan.LoadTarget{
			Addr: net.JoinHostPort(side.name, strconv.Itoa(plan.AppPort)), Token: strings.TrimSpace(token),
		})
	}
	for {
		input, err := json.Marshal(c.NextLoad(targets[0], targets[1]))
		if err != nil {
			return plan.Judgement{}, err
		}
		batch, err := loader.WithExec([]string{"load"}, dagger.ContainerWithExecOpts{Stdin: string(input)}).Stdout(ctx)
		if err != nil {
			return plan.Judgement{}, explain("measure", err)
		}
		if err := c.Add([]byte(batch)); err != nil {
			return plan.Judgement{}, err
		}
		judgement, err := c.Judge()
		if err != nil || judgement.Final() {
			return judgement, err
		}
	}
}
