package delivery

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"bookshelf/infra/credentials"
	"bookshelf/infra/environment"
	"bookshelf/infra/release"
	"bookshelf/infra/rotation"
	"bookshelf/infra/runtime"
	"bookshelf/infra/runtime/postgres"
)

// quietTime is how long after new passwords were handed over somebody may still connect with the former: longer than the service's
// DB_CONNECT_TIMEOUT.
const quietTime = 5 * time.Second

// RotateOptions say how a rotation proceeds.
type RotateOptions struct {
	// Older rotates only what is older, 0 for whatever its age; Due takes the environment's own limit for that.
	Older time.Duration
	Due   bool
	// Wait, EndConnections and AcceptLockout are those of rotation.Rotation.
	Wait                          time.Duration
	EndConnections, AcceptLockout bool
}

// RotateResult is what a rotation of the database's passwords came to. Its JSON form is what `deliver rotate --json` prints.
type RotateResult struct {
	Environment string `json:"environment"`
	// Rotated are the secrets that were replaced, by file, empty where none was due. Completed says that an earlier run had begun it.
	Rotated   []string `json:"rotated"`
	Completed bool     `json:"completed,omitempty"`
	// Active is the role that the service logs in as now, Former the one that it used before, whose password was tried and refused
	// where OldRefused says so.
	Active     string `json:"active,omitempty"`
	Former     string `json:"former,omitempty"`
	OldRefused bool   `json:"old_refused"`
	// WaitSeconds is how long connections of the former role were waited for.
	WaitSeconds float64 `json:"wait_seconds"`
	Seconds     float64 `json:"seconds"`
}

// Rotate gives every role of the database another password while the service goes on.
func (o *Operator) Rotate(ctx context.Context, name string, options RotateOptions) (RotateResult, error) {
	begun := time.Now()
	s, unlock, err := o.reopen(ctx, name, "rotate")
	if err != nil {
		return RotateResult{}, err
	}
	defer unlock()
	result := RotateResult{Environment: name, Rotated: []string{}}
	if due, err := s.due(options); err != nil || !due {
		return result, err
	}
	// What a killed run has left of Pulumi's is put right first: at the end there is an update.
	if err := s.recover(ctx); err != nil {
		return result, err
	}
	if err := s.rotatable(ctx); err != nil {
		return result, err
	}
	r := s.rotation()
	r.Wait, r.EndConnections, r.AcceptLockout = options.Wait, options.EndConnections, options.AcceptLockout
	done, err := r.Run(ctx)
	if done.Active != "" {
		result.Rotated, result.Completed, result.Active, result.Former = done.Rotated, done.Completed, done.Active, done.Former
		result.OldRefused, result.WaitSeconds = done.OldRefused, done.WaitSeconds
	}
	if err != nil {
		if ctx.Err() != nil {
			return result, fmt.Errorf("interrupted: run the same command again to bring the rotation to its end: %w", ctx.Err())
		}
		return result, rotationError(err)
	}
	// The two tasks that are given the passwords run once more, so that the next up finds nothing to do.
	if err := s.Commit(ctx); err != nil {
		return result, fmt.Errorf("the passwords are rotated, but Pulumi does not know it yet: run `deliver up -e %s`: %w", name, err)
	}
	result.Seconds = time.Since(begun).Seconds()
	return result, s.tellSecrets()
}

// rotationError says whether a further run mends it.
func rotationError(err error) error {
	if _, locked := errors.AsType[*rotation.LockedOutError](err); locked {
		return needsPerson("%w; nothing was changed. Find out who it was; `deliver rotate --accept-lockout` then gives the service another login "+
			"(not where it is the administrator: see docs/secrets.md)", err)
	}
	return err
}

// due reports whether there is anything to rotate: something old enough, or a rotation that was cut short.
func (s *session) due(options RotateOptions) (bool, error) {
	limit := options.Older
	if options.Due {
		limit = s.config.Rotation.Database
		if limit == 0 {
			return false, nil
		}
	}
	pending, err := rotation.Unfinished(s.Layout.SecretsDir(s.name))
	if err != nil || len(pending) > 0 || limit == 0 {
		return err == nil, err
	}
	made, err := credentials.Made(s.Layout.SecretsDir(s.name), credentials.AppFile)
	if err != nil {
		return false, err
	}
	age := time.Since(made)
	if age <= limit {
		s.Report.Note("the passwords of the database are %s old, which is not older than %s", days(age), days(limit))
	}
	return age > limit, nil
}

// days is an age as people say it.
func days(age time.Duration) string {
	const day = 24 * time.Hour
	if age < 2*day {
		return age.Round(time.Minute).String()
	}
	return fmt.Sprintf("%d days", int(age/day))
}

// rotatable makes sure that nothing else is under way, and that everything which is given a password is there to take it.
func (s *session) rotatable(ctx context.Context) error {
	record, underWay, err := release.FileJournal(s.Layout.JournalFile(s.name)).Load()
	if err != nil {
		return needsPerson("%w", err)
	}
	if underWay {
		return fmt.Errorf("release %s was cut short in phase %s: run `deliver up -e %s` first", record.ID, record.Phase, s.name)
	}
	for name, slot := range s.slots.Serving() {
		if !slot.LoginFile {
			return &UsageError{Problem: fmt.Sprintf("slot %s runs a service that is given a fixed user and its password, which cannot change while it runs: "+
				"have it take DB_LOGIN_FILE, say login_file: true in %s:service, and release it (docs/contract.md)", name, environment.Namespace)}
		}
	}
	instances, err := s.Platform.Instances(ctx, s.env)
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, instance := range instances {
		if !s.slots.Idle(instance.Slot) && !instance.Serving() {
			return fmt.Errorf("%s is %s: run `deliver up -e %s` first", instance.Name, instance.Describe(), s.name)
		}
		there[instance.Name] = true
	}
	for _, part := range expected(s.slots) {
		if part = s.env.Part(part); !there[part] {
			return fmt.Errorf("%s is gone: run `deliver up -e %s` first", part, s.name)
		}
	}
	return nil
}

func (s *session) rotation() rotation.Rotation {
	return rotation.Rotation{
		Dir: s.Layout.SecretsDir(s.name), Database: environment.Project, Env: consumers{s.database, s}, Quiet: quietTime, Note: s.Report.Note,
	}
}

// settleRotation brings files, consumers and server together where a rotation was cut short. Without a database there is nothing to ask:
// then the deployment that follows brings it up first.
func (s *session) settleRotation(ctx context.Context) error {
	if running, err := s.runs(ctx, postgres.Component); err != nil || !running {
		return err
	}
	if there, err := s.runs(ctx, secretsComponent); err != nil || !there {
		return err
	}
	settled, err := s.rotation().Settle(ctx)
	if err != nil || settled {
		return rotationError(err)
	}
	return s.guardPasswords(ctx)
}

// guardPasswords makes sure that the passwords on file are those of the server. A folder that was restored from before a rotation would
// hand out, or set again, what is no longer true.
func (s *session) guardPasswords(ctx context.Context) error {
	set, err := credentials.Load(s.Layout.SecretsDir(s.name))
	if err != nil {
		return needsPerson("%w", err)
	}
	for role, login := range map[string]struct{ file, password string }{
		"postgres": {credentials.SuperuserFile, set.Superuser}, environment.Project + "_" + set.App.Role: {credentials.AppFile, set.App.Password},
	} {
		accepted, err := s.database.Login(ctx, role, login.password)
		if err != nil {
			return err
		}
		if !accepted {
			return needsPerson("%w; nothing was changed. If %s was restored, take a copy from after the last rotation (docs/secrets.md)",
				&rotation.LockedOutError{Role: role, File: login.file}, s.Layout.SecretsDir(s.name))
		}
	}
	return nil
}

// secretsComponent is what the task that distributes secrets is labelled as.
const secretsComponent = "secrets"

// runs reports whether a component serves, or has done its work.
func (s *session) runs(ctx context.Context, component string) (bool, error) {
	_, found, err := runtime.FindServing(ctx, s.Platform, s.env, component)
	return found, err
}

// consumers is the environment as a rotation sees it.
type consumers struct {
	*postgres.Client

	session *session
}

// HandOver implements rotation.Environment: the task that has distributed the secrets does so again.
func (c consumers) HandOver(ctx context.Context, set credentials.Set) error {
	instances, err := c.session.Platform.Instances(ctx, c.session.env)
	if err != nil {
		return err
	}
	files := map[string][]byte{}
	for file, content := range environment.HandOver(set) {
		files[path.Join(environment.UploadsPath, file)] = []byte(content)
	}
	for _, instance := range instances {
		if instance.Component == secretsComponent {
			if err := c.session.Platform.Rerun(ctx, instance.ID, files); err != nil {
				return fmt.Errorf("hand the passwords over: %w", err)
			}
			return nil
		}
	}
	return fmt.Errorf("%s has no container that distributes secrets: run `deliver up -e %s` first", c.session.name, c.session.name)
}
