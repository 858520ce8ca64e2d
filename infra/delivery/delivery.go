// Package delivery operates one environment: it joins what Pulumi believes (package stack) with what the platform shows (package
// runtime), and brings the two together again wherever they differ.
package delivery

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"bookshelf/infra/environment"
	"bookshelf/infra/provenance"
	"bookshelf/infra/runtime"
	"bookshelf/infra/stack"
)

// maxPIDs bounds the number of processes of each service. PostgreSQL has one per connection.
const maxPIDs = 256

// Reporter is told what happens while it happens, one line each. It must not keep the caller waiting.
type Reporter interface {
	// Step is told of each change of one resource.
	Step(stack.Step)
	// Note is told everything else.
	Note(format string, args ...any)
}

// Operator operates the environments of one repository on one platform.
type Operator struct {
	Layout   stack.Layout
	Platform runtime.Platform
	Report   Reporter
}

// UsageError is a wrong argument: nothing was touched.
type UsageError struct{ Problem string }

func (e *UsageError) Error() string { return e.Problem }

// PersonError is a situation that no further run mends by itself.
type PersonError struct{ cause error }

func (e *PersonError) Error() string { return e.cause.Error() }

// Unwrap returns what is wrong.
func (e *PersonError) Unwrap() error { return e.cause }

func needsPerson(format string, args ...any) error {
	return &PersonError{cause: fmt.Errorf(format, args...)}
}

// session is an environment under its lock, with its stack open.
type session struct {
	*Operator
	name     string
	env      runtime.Environment
	settings stack.Settings
	lock     *stack.Lock
	stack    *stack.Stack
	// verified is what was verified of the image just now, nil where the policy or an earlier record made that unnecessary.
	verified *provenance.Record
}

func (o *Operator) environment(name string) runtime.Environment {
	return runtime.Environment{Project: environment.Project, Name: name}
}

// engineName is the name on the engine of a part of an environment.
func engineName(environmentName, part string) string {
	return environment.Project + "-" + environmentName + "-" + part
}

// open validates everything that can be validated, takes the lock and opens the stack. The caller must call release.
func (o *Operator) open(ctx context.Context, name, command, image string) (s *session, release func(), err error) {
	settings, err := o.reach(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	lock, err := o.Layout.Lock(name, command)
	if err != nil {
		return nil, nil, err
	}
	s = &session{Operator: o, name: name, env: o.environment(name), settings: settings, lock: lock}
	if err := s.openStack(ctx, image); err != nil {
		lock.Release()
		return nil, nil, err
	}
	return s, lock.Release, nil
}

func (s *session) openStack(ctx context.Context, image string) error {
	if err := s.guardData(ctx); err != nil {
		return err
	}
	if err := s.chooseImages(ctx, image); err != nil {
		return err
	}
	var err error
	s.stack, err = stack.Open(ctx, s.Layout, s.lock, s.name, s.settings)
	if lost, ok := errors.AsType[*stack.LostSecretsError](err); ok {
		return &PersonError{cause: lost}
	}
	return err
}

// reach reads and validates an environment's configuration, and makes sure that the platform answers.
func (o *Operator) reach(ctx context.Context, name string) (stack.Settings, error) {
	settings, err := o.settings(name)
	if err != nil {
		return nil, err
	}
	return settings, o.Platform.Check(ctx)
}

// settings reads and validates an environment's configuration, without an image: that is the command's business.
func (o *Operator) settings(name string) (stack.Settings, error) {
	if !environment.ValidName(name) {
		return nil, &UsageError{Problem: fmt.Sprintf("environment name %q: want 1 to 30 of a-z, 0-9 and -, starting with a letter", name)}
	}
	settings, err := o.Layout.ReadSettings(name)
	if unknown, ok := errors.AsType[*stack.UnknownEnvironmentError](err); ok {
		return nil, &UsageError{Problem: unknown.Error()}
	}
	if err != nil {
		return nil, &UsageError{Problem: err.Error()}
	}
	if _, err := load(name, settings); err != nil {
		return nil, &UsageError{Problem: fmt.Sprintf("infra/Pulumi.%s.yaml:\n%s", name, err)}
	}
	return settings, nil
}

// load reads settings in which the image may still be missing, because it is chosen later.
func load(name string, settings stack.Settings) (environment.Config, error) {
	return environment.Load(name, func(key string) string {
		if key == "image" && settings[key] == "" {
			return "any@sha256:" + strings.Repeat("0", 64)
		}
		return settings[key]
	})
}

// guardData refuses to put a new environment on top of the data of one that this state folder knows nothing of: its passwords are
// not ours.
func (s *session) guardData(ctx context.Context) error {
	if s.Layout.Exists(s.name) {
		return nil
	}
	volume := engineName(s.name, "postgres-data")
	exists, err := s.Platform.VolumeExists(ctx, volume)
	if err != nil {
		return err
	}
	if exists {
		return needsPerson("volume %s holds the data of an environment that was not deployed from %s: "+
			"work from the clone (or with the BOOKSHELF_STATE) that it belongs to, or remove the data with `docker volume rm %s`", volume, s.Layout.State, volume)
	}
	return nil
}

// noImage stands for any image where none is going to run: taking an environment down must work when its image is gone.
const noImage = "none"

// chooseImages turns image references into what the engine runs: the ID of a local image, or a digest that it will pull. A tag alone
// would mean something else tomorrow. Where the environment has a policy, its image is verified first and stays a digest.
func (s *session) chooseImages(ctx context.Context, image string) error {
	if image == noImage {
		return nil
	}
	if image == "" {
		image = s.settings["image"]
	}
	kept := image == ""
	if kept {
		deployed, err := s.deployedImage(ctx)
		if err != nil {
			return err
		}
		image = deployed
	}
	if image == "" {
		return &UsageError{Problem: fmt.Sprintf("%s was never deployed from here, so there is no image to keep: name one with --image, or run `make up`", s.name)}
	}
	admitted, err := s.admit(ctx, image, kept)
	if err != nil {
		return err
	}
	s.settings["image"] = image
	if !admitted {
		if s.settings["image"], err = s.resolve(ctx, image); err != nil {
			return err
		}
	}
	database := s.settings["databaseImage"]
	if database == "" {
		database = environment.Default("databaseImage")
	}
	s.settings["databaseImage"], err = s.resolve(ctx, database)
	return err
}

// resolve returns what the engine runs under a reference.
func (s *session) resolve(ctx context.Context, reference string) (string, error) {
	id, err := s.Platform.ImageID(ctx, reference)
	switch {
	case err == nil:
		return id, nil
	case errors.Is(err, runtime.ErrNotFound) && strings.Contains(reference, "@sha256:"):
		return reference, nil
	case errors.Is(err, runtime.ErrNotFound):
		return "", &UsageError{Problem: fmt.Sprintf("image %s is not on the Docker engine: build it (`make image`, `make bases`), or name one in a registry by its digest", reference)}
	default:
		return "", err
	}
}

// deployedImage is the image that the environment was deployed with and is to keep, "" where there is none: the one that was good
// last, or, before any deployment from here has succeeded, the one that the engine has.
func (s *session) deployedImage(ctx context.Context) (string, error) {
	if last, err := s.lastGood(); err == nil {
		return last["image"], nil
	}
	if !s.Layout.Exists(s.name) {
		return "", nil
	}
	instances, err := s.Platform.Instances(ctx, s.env)
	if err != nil {
		return "", err
	}
	for _, instance := range instances {
		if instance.Component == "app" {
			return instance.Image, nil
		}
	}
	return "", nil
}
