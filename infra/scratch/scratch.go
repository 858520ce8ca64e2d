// Package scratch restores a backup into a PostgreSQL of its own: on a volume and a network of its own, beside the environment and out of
// its way. It needs the repository, the environment's secrets and its images, and not the environment itself.
package scratch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	"bookshelf/infra/backup"
	"bookshelf/infra/environment"
	"bookshelf/infra/runtime"
)

// Config is what a scratch database is made from.
type Config struct {
	// Env is the environment, Purpose what the scratch is for: "drill" or "restore". There is one for each purpose.
	Env     runtime.Environment
	Purpose string
	// Image is the database's, Limits what the scratch database may use.
	Image  string
	Limits environment.Limits
	// Repository is the volume with the backups, "" where Network leads to them. Secrets is the volume with pgBackRest's configuration, Roles
	// the one with the roles' statements and passwords.
	Repository, Network, Secrets, Roles string
	// Data is the name of the volume to restore to; VolumeOptions are what the platform's driver takes to make it.
	Data          string
	VolumeOptions map[string]string
	// Role is what the service logs in as where it does not read that from a file.
	Role string
	// Log is given what PostgreSQL's tools say.
	Log io.Writer
}

// Scratch is a database on trial.
type Scratch struct {
	Config
	platform runtime.Platform
	env      runtime.Environment
	tools    string // ID of the container that restores
	database string // ID of PostgreSQL's
}

// New returns a scratch. Nothing is done yet.
func New(platform runtime.Platform, config Config) *Scratch {
	if config.Log == nil {
		config.Log = io.Discard
	}
	return &Scratch{
		Config: config, platform: platform,
		// Labelled as nobody's environment, so that whoever looks at the environment does not see it.
		env: runtime.Environment{Project: config.Env.Project + "-" + config.Purpose, Name: config.Env.Name},
	}
}

// Paths in the containers.
const (
	dataPath       = "/var/lib/postgresql/data"
	repositoryPath = "/var/lib/pgbackrest"
	backupSecrets  = "/run/backup"
	secretsPath    = "/run/secrets"
	socketPath     = "/var/run/postgresql"
	databaseHost   = "postgres"
	databaseUser   = "999:999"
	appUser        = "65532:65532"
)

func (s *Scratch) part(name string) string { return s.Env.Part(s.Purpose + "-" + name) }

// Clear removes what there is of a scratch: containers, network and, unless the data is to be kept, the volume. A run that was killed leaves
// all of it; the next begins with this.
func (s *Scratch) Clear(ctx context.Context, keepData bool) error {
	found, err := s.platform.Instances(ctx, s.env)
	if err != nil {
		return err
	}
	var problems []error
	for _, instance := range found {
		problems = append(problems, s.platform.Remove(ctx, instance.ID))
	}
	problems = append(problems, s.platform.RemoveNetwork(ctx, s.part("net")))
	if !keepData {
		problems = append(problems, s.platform.RemoveVolume(ctx, s.Data))
	}
	s.tools, s.database = "", ""
	return errors.Join(problems...)
}

// base is what the containers have in common.
func (s *Scratch) base(component string) runtime.Container {
	c := runtime.Container{
		Name: s.part(component), Env: s.env, Component: component, Image: s.Image, User: databaseUser,
		Variables: map[string]string{
			"PGBACKREST_CONFIG": backupSecrets + "/pgbackrest.conf", "PGBACKREST_STANZA": s.Env.Project + "-" + s.Env.Name,
			"PGDATA": dataPath, "PGHOST": socketPath, "PGUSER": "postgres", "PGDATABASE": s.Env.Project,
		},
		Mounts:      []runtime.Mount{{Volume: s.Data, Path: dataPath}, {Volume: s.Secrets, Path: backupSecrets, ReadOnly: true}},
		Tmpfs:       map[string]string{"/tmp": "rw,noexec,nosuid,nodev,size=64m"},
		Networks:    map[string]string{},
		MemoryBytes: int64(s.Limits.MemoryMiB) << 20, NanoCPUs: 1e9, PIDs: 256,
	}
	if s.Repository != "" {
		c.Mounts = append(c.Mounts, runtime.Mount{Volume: s.Repository, Path: repositoryPath, ReadOnly: true})
	}
	if s.Network != "" {
		c.Networks[s.Network] = component
	}
	return c
}

// Open makes the volume and the container that restores to it.
func (s *Scratch) Open(ctx context.Context) error {
	if err := s.platform.CreateVolume(ctx, s.Data, s.VolumeOptions); err != nil {
		return err
	}
	c := s.base("tools")
	c.Entrypoint = []string{"sleep", "infinity"}
	c.StopSignal = "SIGKILL" // nothing is lost with it
	var err error
	s.tools, err = s.platform.Launch(ctx, c)
	return err
}

// Backups lists what the repository holds, the oldest first.
func (s *Scratch) Backups(ctx context.Context) ([]backup.Backup, error) {
	var list []backup.Backup
	return list, backup.Ask(ctx, s.platform, s.tools, &list, s.Log, "backups")
}

// Restore copies a backup to the volume. What it takes to go on from there to a later moment is fetched when the database starts.
func (s *Scratch) Restore(ctx context.Context, label string) error {
	stanza := "--stanza=" + s.Env.Project + "-" + s.Env.Name
	// What a run that was killed has written is no cluster, and is written over.
	return s.run(ctx, s.tools, nil, "pgbackrest", stanza, "--set="+label, "--type=default", "--archive-mode=preserve", "--job-retry=0", "--force", "--delta", "restore")
}

// Start starts the database: it recovers up to the target and then goes on by itself, or stays where it is if the target is to be held.
func (s *Scratch) Start(ctx context.Context, target Target) error {
	if err := s.platform.CreateNetwork(ctx, s.env, s.part("net")); err != nil {
		return err
	}
	c := s.base(databaseHost)
	c.Entrypoint = append([]string{
		"postgres",
		"-c", "hba_file=/etc/bookshelf/scratch_hba.conf",
		"-c", fmt.Sprintf("shared_buffers=%dMB", s.Limits.MemoryMiB/4),
		"-c", "dynamic_shared_memory_type=mmap",
		// Nothing leaves it, and nothing is forgotten either: if this becomes the environment's database, it hands over what it has written.
		"-c", "archive_mode=on", "-c", "archive_command=",
		"-c", "log_min_messages=warning",
	}, target.settings()...)
	c.Tmpfs[socketPath] = "rw,noexec,nosuid,nodev,size=1m,uid=999,gid=999,mode=0750"
	c.Mounts = append(c.Mounts, runtime.Mount{Volume: s.Roles, Path: secretsPath, ReadOnly: true})
	c.Networks[s.part("net")] = databaseHost
	c.StopSignal = "SIGINT" // a fast shutdown
	if err := s.removeDatabase(ctx); err != nil {
		return err
	}
	var err error
	if s.database, err = s.platform.Launch(ctx, c); err != nil {
		return err
	}
	return s.recovered(ctx, target)
}

// removeDatabase stops the database that there is, cleanly; the volume stays.
func (s *Scratch) removeDatabase(ctx context.Context) error {
	if s.database == "" {
		return nil
	}
	id := s.database
	s.database = ""
	return s.platform.Remove(ctx, id)
}

// Stop stops the database cleanly and removes everything but the volume.
func (s *Scratch) Stop(ctx context.Context) error {
	if err := s.removeDatabase(ctx); err != nil {
		return err
	}
	return s.Clear(ctx, true)
}

// recovered waits until the database has reached the target, or has given up.
func (s *Scratch) recovered(ctx context.Context, target Target) error {
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		reached, err := s.Query(ctx, target.reached())
		if err == nil && len(reached) == 1 && reached[0] == "t" {
			return nil
		}
		if ended := s.ended(ctx); ended != nil {
			return ended
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}

// ended returns why the database has given up, nil while it has not.
func (s *Scratch) ended(ctx context.Context) error {
	instances, err := s.platform.Instances(ctx, s.env)
	if err != nil {
		return err
	}
	for _, instance := range instances {
		if instance.ID != s.database || instance.State != runtime.StateStopped {
			continue
		}
		var log strings.Builder
		if err := s.platform.Logs(ctx, s.env, runtime.LogOptions{Component: databaseHost, Tail: 12}, &log, &log); err != nil {
			return err
		}
		return fmt.Errorf("the restored database ended with exit code %d: %s", instance.ExitCode, reason(log.String()))
	}
	return nil
}

// reason picks what PostgreSQL gave as the reason out of the end of its log.
func reason(log string) string {
	var fatal []string
	for line := range strings.Lines(log) {
		for _, level := range []string{"FATAL:", "PANIC:"} {
			if _, said, found := strings.Cut(line, level); found {
				fatal = append(fatal, strings.TrimSpace(said))
			}
		}
	}
	if len(fatal) == 0 {
		return strings.Join(strings.Fields(log), " ")
	}
	return strings.Join(fatal, "; ")
}

// Query runs statements as the administrator, and returns the words of what they answer.
func (s *Scratch) Query(ctx context.Context, statements string) ([]string, error) {
	var out strings.Builder
	err := s.exec(ctx, s.database, strings.NewReader(statements), &out,
		"psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1")
	return strings.Fields(out.String()), err
}

// Adopt gives the database the roles and passwords of today, which may not be those of the backup.
func (s *Scratch) Adopt(ctx context.Context) error {
	if _, err := s.Query(ctx, adoption); err != nil {
		return fmt.Errorf("set the administrator's password: %w", err)
	}
	command := []string{"psql", "--no-psqlrc", "--dbname=postgres", "--set=database=" + s.Env.Project}
	for _, file := range environment.RoleFiles() {
		command = append(command, "--file="+secretsPath+"/"+file)
	}
	return s.run(ctx, s.database, nil, command...)
}

// adoption sets the administrator's password without a word of it in the log, and forgets how the database was recovered.
const adoption = `\set password ` + "`cat " + secretsPath + "/superuser_password`" + `
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
SET password_encryption = 'scram-sha-256';
ALTER ROLE postgres PASSWORD :'password';
ALTER SYSTEM RESET restore_command;
`

// Content says what the database holds.
func (s *Scratch) Content(ctx context.Context) (backup.Content, error) {
	var c backup.Content
	return c, backup.Ask(ctx, s.platform, s.database, &c, s.Log, "content")
}

// Try has the service serve with this database: the migration of its version, its readiness, and the paths that it must answer.
func (s *Scratch) Try(ctx context.Context, slot environment.Slot, paths []string) error {
	if err := s.service(ctx, "migration", slot, []string{"migrate"}, environment.MigrateVariables()); err != nil {
		return err
	}
	if err := s.finished(ctx, "migration"); err != nil {
		return err
	}
	if err := s.service(ctx, "app", slot, []string{"serve"}, environment.ServeVariables(slot, s.Role)); err != nil {
		return err
	}
	for _, path := range append([]string{"/readyz"}, paths...) {
		if err := s.answers(ctx, fmt.Sprintf("http://app:%d%s", environment.APIPort, path)); err != nil {
			return err
		}
	}
	return nil
}

// service starts the service's image with one of its commands.
func (s *Scratch) service(ctx context.Context, component string, slot environment.Slot, command []string, variables map[string]string) error {
	c := runtime.Container{
		Name: s.part(component), Env: s.env, Component: component, Image: slot.Image, User: appUser, Command: command, Variables: maps.Clone(variables),
		Mounts:      []runtime.Mount{{Volume: s.Env.Part("secrets-" + component), Path: secretsPath, ReadOnly: true}},
		Networks:    map[string]string{s.part("net"): component},
		MemoryBytes: int64(max(128, slot.App.MemoryMiB)) << 20, NanoCPUs: 1e9, PIDs: 256,
	}
	_, err := s.platform.Launch(ctx, c)
	return err
}

// finished waits until a container has ended well.
func (s *Scratch) finished(ctx context.Context, component string) error {
	return s.await(ctx, func() (bool, error) {
		instance, err := s.find(ctx, component)
		if err != nil || instance.State != runtime.StateStopped {
			return false, err
		}
		if instance.ExitCode != 0 {
			return false, fmt.Errorf("the service's %s ended with exit code %d on the restored database: %s", component, instance.ExitCode, s.said(ctx, component))
		}
		return true, nil
	})
}

// answers waits until a URL answers, from where the database is, or until the service has ended.
func (s *Scratch) answers(ctx context.Context, url string) error {
	limited, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var last error
	err := s.await(limited, func() (bool, error) {
		if last = backup.Ask(limited, s.platform, s.database, nil, io.Discard, "get", url); last == nil {
			return true, nil
		}
		instance, err := s.find(limited, "app")
		if err == nil && instance.State == runtime.StateStopped {
			err = fmt.Errorf("the service ended with exit code %d on the restored database: %s", instance.ExitCode, s.said(limited, "app"))
		}
		return false, err
	})
	if err != nil && last != nil {
		return fmt.Errorf("the service does not serve with the restored database: %w (%w)", last, err)
	}
	return err
}

func (s *Scratch) await(ctx context.Context, done func() (bool, error)) error {
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}

func (s *Scratch) find(ctx context.Context, component string) (runtime.Instance, error) {
	instances, err := s.platform.Instances(ctx, s.env)
	for _, instance := range instances {
		if instance.Component == component {
			return instance, nil
		}
	}
	return runtime.Instance{}, errors.Join(err, fmt.Errorf("%s: %w", s.part(component), runtime.ErrNotFound))
}

// said is the end of a container's log.
func (s *Scratch) said(ctx context.Context, component string) string {
	var log strings.Builder
	if err := s.platform.Logs(ctx, s.env, runtime.LogOptions{Component: component, Tail: 5}, &log, &log); err != nil {
		return err.Error()
	}
	return strings.TrimSpace(log.String())
}

// run runs a command whose output nobody needs, and says in its own words why it failed.
func (s *Scratch) run(ctx context.Context, id string, stdin io.Reader, command ...string) error {
	return s.exec(ctx, id, stdin, s.Log, command...)
}

func (s *Scratch) exec(ctx context.Context, id string, stdin io.Reader, stdout io.Writer, command ...string) error {
	var complaint strings.Builder
	code, err := s.platform.Exec(ctx, id, command, stdin, stdout, io.MultiWriter(s.Log, &complaint))
	if err == nil && code != 0 {
		said := strings.Join(strings.Fields(complaint.String()), " ")
		if most := 1500; len(said) > most {
			said = "…" + said[len(said)-most:]
		}
		err = fmt.Errorf("%s ended with exit code %d: %s", command[0], code, said)
	}
	return err
}
