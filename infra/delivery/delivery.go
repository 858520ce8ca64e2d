// Package delivery operates one environment: it joins what Pulumi believes (package stack) with what the platform shows (package
// runtime), and brings the two together again wherever they differ.
package delivery

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"bookshelf/infra/backup"
	"bookshelf/infra/credentials"
	"bookshelf/infra/environment"
	"bookshelf/infra/provenance"
	"bookshelf/infra/runtime"
	"bookshelf/infra/runtime/edge"
	"bookshelf/infra/runtime/postgres"
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
type PersonError struct{ Cause error }

func (e *PersonError) Error() string { return e.Cause.Error() }

// Unwrap returns what is wrong.
func (e *PersonError) Unwrap() error { return e.Cause }

func needsPerson(format string, args ...any) error {
	return &PersonError{Cause: fmt.Errorf(format, args...)}
}

// session is an environment under its lock, with its stack open.
type session struct {
	*Operator
	name string
	env  runtime.Environment
	// config is the configuration as it is written now; settings are what the stack is opened with.
	config   environment.Config
	settings stack.Settings
	slots    environment.Slots
	lock     *stack.Lock
	stack    *stack.Stack
	edge     *edge.Client
	database *postgres.Client
	backup   *backup.Client
	// verified is what was verified of the image just now, nil where the policy or an earlier record made that unnecessary.
	verified *provenance.Record
}

func (o *Operator) environment(name string) runtime.Environment {
	return runtime.Environment{Project: environment.Project, Name: name}
}

// begin validates everything that can be validated and takes the lock. The caller must call release.
func (o *Operator) begin(ctx context.Context, name, command string) (s *session, release func(), err error) {
	settings, err := o.reach(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	config, err := load(name, settings)
	if err != nil {
		return nil, nil, err
	}
	lock, err := o.Layout.Lock(name, command)
	if err != nil {
		return nil, nil, err
	}
	s = &session{Operator: o, name: name, env: o.environment(name), config: config, settings: settings, lock: lock}
	s.edge, s.database = edge.New(o.Platform, s.env), postgres.New(o.Platform, s.env)
	s.backup = backup.New(o.Platform, s.env, nil)
	return s, lock.Release, nil
}

// open begins, chooses every image for the configuration as it is written now, and opens the stack.
func (o *Operator) open(ctx context.Context, name, command, image string) (s *session, release func(), err error) {
	s, release, err = o.begin(ctx, name, command)
	if err != nil {
		return nil, nil, err
	}
	if err := s.choose(ctx, image); err != nil {
		release()
		return nil, nil, err
	}
	return s, release, nil
}

func (s *session) choose(ctx context.Context, image string) error {
	if err := s.guardData(ctx); err != nil {
		return err
	}
	if err := s.chooseSlots(ctx, image); err != nil {
		return err
	}
	if err := s.chooseSupport(ctx); err != nil {
		return err
	}
	if err := s.chooseWatching(ctx); err != nil {
		return err
	}
	return s.openStack(ctx)
}

// reopen begins on an environment that is deployed, and opens the stack with the settings that it was deployed with: whatever has
// changed in the configuration meanwhile, the database and the edge are left alone.
func (o *Operator) reopen(ctx context.Context, name, command string) (s *session, release func(), err error) {
	s, release, err = o.begin(ctx, name, command)
	if err != nil {
		return nil, nil, err
	}
	if err := s.keep(ctx); err != nil {
		release()
		return nil, nil, err
	}
	return s, release, nil
}

func (s *session) keep(ctx context.Context) error {
	deployed, err := s.readSlots()
	if err != nil {
		return err
	}
	if !deployed || !s.everGood() {
		return &NotDeployedError{Environment: s.name}
	}
	if s.settings, err = s.lastGood(); err != nil {
		return err
	}
	if err := s.openStack(ctx); err != nil {
		return err
	}
	return s.guardBackup(ctx)
}

// guardBackup refuses to work on an environment from before there were backups: the program would change its database.
func (s *session) guardBackup(ctx context.Context) error {
	believed, err := s.stack.Resources(ctx)
	if err != nil {
		return err
	}
	name := s.env.Part(backup.Component)
	if slices.ContainsFunc(believed.Containers, func(c stack.Container) bool { return c.Name == name }) {
		return nil
	}
	return &UsageError{Problem: fmt.Sprintf("%s has no backups yet: run `deliver up -e %s` first, which restarts its database once", s.name, s.name)}
}

// Deployed makes sure that an environment's configuration is valid, that the platform answers, and that something was deployed from
// here: otherwise the error is a NotDeployedError. It takes no lock.
func (o *Operator) Deployed(ctx context.Context, name string) error {
	if _, err := o.reach(ctx, name); err != nil {
		return err
	}
	_, err := environment.ReadSlots(o.Layout.State, name)
	if errors.Is(err, fs.ErrNotExist) {
		return &NotDeployedError{Environment: name}
	}
	return err
}

// NotDeployedError says that nothing is live yet.
type NotDeployedError struct{ Environment string }

func (e *NotDeployedError) Error() string {
	return fmt.Sprintf("%s is not deployed from here: begin with `deliver up -e %s --image REFERENCE`, or `make up`", e.Environment, e.Environment)
}

func (s *session) openStack(ctx context.Context) error {
	var err error
	s.stack, err = stack.Open(ctx, s.Layout, s.lock, s.name, s.settings)
	if lost, ok := errors.AsType[*stack.LostSecretsError](err); ok {
		return &PersonError{Cause: lost}
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

// settings reads and validates an environment's configuration.
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

func load(name string, settings stack.Settings) (environment.Config, error) {
	return environment.Load(name, func(key string) string { return settings[key] })
}

// guardData refuses to put a new environment on top of the data of one that this state folder knows nothing of: its passwords are
// not ours.
func (s *session) guardData(ctx context.Context) error {
	if s.Layout.Exists(s.name) {
		return s.guardKey(ctx)
	}
	volume := s.env.Part("postgres-data")
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

// guardKey refuses to make a new key for backups that another one has encrypted.
func (s *session) guardKey(ctx context.Context) error {
	dir := s.Layout.SecretsDir(s.name)
	if credentials.HasBackupKey(dir) {
		return nil
	}
	volume := s.env.Part(backup.Volume)
	exists, err := s.Platform.VolumeExists(ctx, volume)
	if err == nil && exists {
		err = needsPerson("volume %s holds backups, and the key that they are encrypted with is not in %s any more: "+
			"restore that folder from your backup, or remove the backups with `docker volume rm %s`", volume, dir, volume)
	}
	return err
}
