package main

import (
	"context"
	"errors"
	"strconv"

	"dagger/bookshelf/internal/dagger"
	"dagger/bookshelf/plan"
)

// Build builds the app's image from the Dockerfile, the same one that Compose and the environments run.
func (m *Bookshelf) Build(
	ctx context.Context,
	// linux/amd64 or linux/arm64. The default is the engine's own.
	//
	// +optional
	platform dagger.Platform,
) (*dagger.Container, error) {
	opts := dagger.DirectoryDockerBuildOpts{
		Platform: platform,
		BuildArgs: []dagger.BuildArg{
			{Name: "VERSION", Value: m.commit().Version()},
			{Name: "REVISION", Value: m.commit().RevisionLabel()},
		},
	}
	if m.GoProxy != "" {
		opts.BuildArgs = append(opts.BuildArgs, dagger.BuildArg{Name: "GOPROXY", Value: m.GoProxy})
	}
	if m.CA != nil {
		bundle, err := m.CA.Contents(ctx)
		if err != nil {
			return nil, explain("read the certificate authorities", err)
		}
		// It is no secret, but a secret is how the Dockerfile takes it: nothing of it stays in a layer. The name is the
		// Dockerfile's id for it.
		opts.Secrets = []*dagger.Secret{dag.SetSecret("ca", bundle)}
	}
	return m.labelled(m.part(plan.BuildInputs()).DockerBuild(opts)), nil
}

// variants are the image for every platform that is published, in the order of the plan.
func (m *Bookshelf) variants(ctx context.Context) ([]*dagger.Container, error) {
	var all []*dagger.Container
	for _, platform := range plan.Platforms() {
		image, err := m.Build(ctx, dagger.Platform(platform))
		if err != nil {
			return nil, err
		}
		all = append(all, image)
	}
	return all, nil
}

// labelled adds the labels here and not when publishing, so that what is tested is what is published.
func (m *Bookshelf) labelled(image *dagger.Container) *dagger.Container {
	for _, l := range plan.Labels(m.SourceURL) {
		image = image.WithLabel(l.Name, l.Value)
	}
	return image
}

// database is a PostgreSQL that keeps nothing it would be slow to keep.
func (m *Bookshelf) database(password *dagger.Secret) *dagger.Container {
	return dag.Container().From(m.PostgresImage).
		WithSecretVariable("POSTGRES_PASSWORD", password).
		WithExposedPort(5432)
}

// databaseService runs the image's own entry point, which sets the server up before it listens on the network.
var databaseService = dagger.ContainerAsServiceOpts{UseEntrypoint: true, Args: plan.DatabaseServer()}

// stack is the app with its database.
type stack struct {
	module   *Bookshelf
	image    *dagger.Container
	database *dagger.Service
	password *dagger.Secret
	run      string // differs between runs, so that no step is taken from the cache of a database that is gone
}

// prepare makes the roles and the database.
func (s stack) prepare() *dagger.Container {
	return dag.Container().From(s.module.PostgresImage).
		WithServiceBinding(plan.DatabaseHost, s.database).
		WithEnvVariable("RUN", s.run).
		WithEnvVariable("PGHOST", plan.DatabaseHost).
		WithEnvVariable("PGUSER", "postgres").
		WithSecretVariable("PGPASSWORD", s.password).
		WithNewFile("/roles.sql", plan.RolesSQL).
		WithExec([]string{"sh", "-c", `exec psql --no-psqlrc --quiet --set=password="$PGPASSWORD" --file=/roles.sql`})
}

// as is the app's container with the configuration of docs/contract.md, connected as role.
func (s stack) as(role string) *dagger.Container {
	return s.image.
		WithServiceBinding(plan.DatabaseHost, s.database).
		WithEnvVariable("RUN", s.run).
		WithEnvVariable("DB_HOST", plan.DatabaseHost).
		WithEnvVariable("DB_PORT", "5432").
		WithEnvVariable("DB_NAME", plan.DatabaseName).
		WithEnvVariable("DB_USER", role).
		WithEnvVariable("DB_PASSWORD_FILE", plan.PasswordFile).
		// The network between them never leaves the engine.
		WithEnvVariable("DB_SSLMODE", "disable").
		WithEnvVariable("SHUTDOWN_GRACE", "0s").
		WithMountedSecret(plan.PasswordFile, s.password, dagger.ContainerWithMountedSecretOpts{Owner: plan.AppUser, Mode: 0o400})
}

// migrate brings the schema to what the image needs.
func (s stack) migrate() *dagger.Container {
	return s.as(plan.OwnerRole).WithExec([]string{"migrate"}, dagger.ContainerWithExecOpts{UseEntrypoint: true})
}

// How the app treats clients without a token.
const (
	authOff      = "off" // nobody else reaches it, and its clients have none
	authRequired = "required"
)

// serve is the app, ready when its own health check says so.
func (s stack) serve(auth string) *dagger.Service {
	return s.as(plan.ServingRole).
		WithEnvVariable("AUTH", auth).
		WithExposedPort(plan.AppPort).
		WithExposedPort(plan.AdminPort).
		AsService(dagger.ContainerAsServiceOpts{UseEntrypoint: true, Args: []string{"serve"}})
}

// E2E builds the image, migrates an empty database with it, serves, and drives every route over HTTP as a client would.
//
// +check
func (m *Bookshelf) E2E(ctx context.Context) (err error) {
	image, err := m.Build(ctx, "")
	if err != nil {
		return err
	}
	run := nonce()
	password := dag.SetSecret("e2e-database-password", run)
	s := stack{module: m, image: image, password: password, run: run}
	// Started by hand and not by its first client: between two clients the engine would stop it, and the schema with it.
	s.database, err = m.database(password).WithEnvVariable("RUN", run).AsService(databaseService).Start(ctx)
	if err != nil {
		return explain("start PostgreSQL", err)
	}
	defer stop(ctx, s.database, "PostgreSQL", &err)
	if _, err := s.prepare().Sync(ctx); err != nil {
		return explain("make the roles", err)
	}
	if _, err := s.migrate().Sync(ctx); err != nil {
		return explain("migrate with the image", err)
	}
	_, err = m.golang().
		WithServiceBinding("app", s.serve(authOff)).
		WithEnvVariable("RUN", run).
		WithEnvVariable("BOOKSHELF_URL", "http://app:"+strconv.Itoa(plan.AppPort)).
		WithEnvVariable("BOOKSHELF_ADMIN_URL", "http://app:"+strconv.Itoa(plan.AdminPort)).
		WithEnvVariable("BOOKSHELF_VERSION", m.commit().Version()).
		WithMountedDirectory("/src", m.part([]string{"conformance"})).
		WithWorkdir("/src/conformance").
		WithEnvVariable("GOWORK", "off").
		WithExec([]string{"go", "test", "-count=1", "-v", "-run=^TestEveryRoute$", "."}).
		Sync(ctx)
	return explain("drive the image", err)
}

// stop ends a service that was started by hand. What went wrong before is the error to tell first.
func stop(ctx context.Context, service *dagger.Service, name string, err *error) {
	_, stopErr := service.Stop(context.WithoutCancel(ctx), dagger.ServiceStopOpts{Kill: true})
	*err = errors.Join(*err, explain("stop "+name, stopErr))
}

// Dev is the whole stack as a service, for `dagger call dev up --ports 8080:8080`. Its database lives in a cache volume of
// the engine and is still there the next time.
//
// +cache="session"
func (m *Bookshelf) Dev(ctx context.Context) (*dagger.Service, error) {
	// Known to everybody who reads this, and of use to nobody: only this stack reaches that database.
	password := dag.SetSecret("dev-database-password", "bookshelf-dev")
	database := m.database(password).
		WithMountedCache("/var/lib/postgresql/data", dag.CacheVolume("bookshelf-dev-postgres"), dagger.ContainerWithMountedCacheOpts{
			Sharing: dagger.CacheSharingModeLocked, // two servers on one data directory would destroy it
		}).
		AsService(dagger.ContainerAsServiceOpts{UseEntrypoint: true})
	image, err := m.Build(ctx, "")
	if err != nil {
		return nil, err
	}
	s := stack{module: m, image: image, database: database, password: password, run: nonce()}
	if _, err := s.prepare().Sync(ctx); err != nil {
		return nil, explain("make the roles", err)
	}
	if _, err := s.migrate().Sync(ctx); err != nil {
		return nil, explain("migrate", err)
	}
	return s.serve(authOff), nil
}
