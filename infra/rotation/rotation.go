// Package rotation gives the roles of an environment's database other passwords while it serves. Of the service's two login roles the one
// that is not in use is given a password and handed over; when no connection of the other is left, that one can log in no more.
//
// What has been done is seen from the files of the secrets and from the server; there is no other journal. A run that was cut short
// is brought to its end by the next, wherever it stopped. At no moment does the service hold a login that is refused.
package rotation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"bookshelf/infra/credentials"
	"bookshelf/infra/runtime/postgres"
)

// Environment is what a rotation works on.
type Environment interface {
	// Query runs a statement as the administrator and returns the first column of its rows. The error is postgres.ErrRefused when the
	// administrator's password is not accepted.
	Query(ctx context.Context, statement string) ([]string, error)
	// Login reports whether the server accepts a role with a password.
	Login(ctx context.Context, role, password string) (bool, error)
	// HandOver gives every consumer its part of the set; each file changes at once.
	HandOver(ctx context.Context, set credentials.Set) error
}

// LockedOutError says that a role cannot log in with the password that is on file: somebody has changed one of the two.
type LockedOutError struct{ Role, File string }

func (e *LockedOutError) Error() string {
	return fmt.Sprintf("%s is locked out: the server refuses it with the password in %s, so somebody has changed one of the two", e.Role, e.File)
}

// StillConnectedError says whose connections keep a rotation from its end.
type StillConnectedError struct {
	Role string
	Who  []string
}

func (e *StillConnectedError) Error() string {
	return fmt.Sprintf("the new login is in use, but %s still has %d connections (%s), and so keeps its password: run the same command again, or add --end-connections",
		e.Role, len(e.Who), strings.Join(e.Who, ", "))
}

// Rotation says how.
type Rotation struct {
	// Dir is the folder of the environment's secrets, Database the name of its database.
	Dir, Database string
	Env           Environment
	// Wait is how long connections of the former login may take to end. Quiet is how long after the handing over none counts as the
	// last: longer than whoever has read the former login may take to connect with it.
	Wait, Quiet time.Duration
	// EndConnections ends those that are left after Wait.
	EndConnections bool
	// AcceptLockout goes on although the login in use is refused: it is replaced anyway.
	AcceptLockout bool
	// Note is told what happens while it happens.
	Note func(format string, args ...any)

	// step is called after each step that changes something; its error ends the run as a kill would. nil outside of tests.
	step func(name string) error
}

// Result is what a rotation came to.
type Result struct {
	// Active is the role that the service uses now, Former the one that it used before.
	Active, Former string
	// Rotated are the files that were replaced, sorted as they were; Completed says that an earlier run had begun.
	Rotated   []string
	Completed bool
	// OldRefused says that the former password was tried, and refused; it is false where an earlier run has forgotten it.
	OldRefused bool
	// WaitSeconds is how long it took until the former login had no connection any more.
	WaitSeconds float64
}

// order is in which the secrets are staged and replaced. The service's login is the last: while it is staged, all others are or were.
var order = []string{credentials.SuperuserFile, credentials.OwnerFile, credentials.MetricsFile, credentials.ReadOnlyFile, credentials.AppFile}

// Run rotates every role, or brings a rotation that was cut short to its end.
func (r Rotation) Run(ctx context.Context) (Result, error) {
	old, err := credentials.Load(r.Dir)
	if err != nil {
		return Result{}, err
	}
	pending, err := Unfinished(r.Dir)
	if err != nil {
		return Result{}, err
	}
	if len(pending) == 0 {
		leftover, err := r.canLogIn(ctx, old.App.Other())
		if err != nil {
			return Result{}, err
		}
		if leftover {
			r.Note("an earlier rotation is complete but for its last step")
			result := Result{Active: r.role(old.App.Role), Former: r.role(old.App.Other()), Completed: true, Rotated: []string{}}
			return result, r.retire(ctx, old.App.Other(), "", &result)
		}
		if err := r.checkActive(ctx, old.App); err != nil {
			return Result{}, err
		}
	}
	return r.carryOut(ctx, old, pending)
}

// Settle brings what was cut short as far as it goes without waiting for connections to end, so that files, consumers and server agree. It
// reports whether there was anything.
func (r Rotation) Settle(ctx context.Context) (bool, error) {
	pending, err := Unfinished(r.Dir)
	if err != nil || len(pending) == 0 {
		return false, err
	}
	old, err := credentials.Load(r.Dir)
	if err != nil {
		return true, err
	}
	r.Wait = 0
	_, err = r.carryOut(ctx, old, pending)
	if _, still := errors.AsType[*StillConnectedError](err); still {
		r.Note("the former login goes with the next `deliver rotate`")
		return true, nil
	}
	return true, err
}

// Unfinished lists the secrets that a rotation has staged and not replaced yet.
func Unfinished(dir string) ([]string, error) {
	var pending []string
	for _, file := range order {
		_, there, err := credentials.Staged(dir, file)
		if err != nil {
			return nil, err
		}
		if there {
			pending = append(pending, file)
		}
	}
	return pending, nil
}

// carryOut does everything from what is staged on.
func (r Rotation) carryOut(ctx context.Context, old credentials.Set, pending []string) (Result, error) {
	result := Result{Completed: len(pending) > 0}
	if result.Completed {
		r.Note("bringing a rotation that was cut short to its end")
	}
	if len(pending) == 0 || pending[len(pending)-1] != credentials.AppFile {
		if err := r.stage(old.App, pending); err != nil {
			return Result{}, err
		}
	}
	staged, err := Unfinished(r.Dir)
	if err != nil {
		return Result{}, err
	}
	set, err := credentials.LoadStaged(r.Dir)
	if err != nil {
		return Result{}, err
	}
	result.Rotated, result.Active, result.Former = staged, r.role(set.App.Role), r.role(set.App.Other())
	if err := r.alter(ctx, set, staged); err != nil {
		return Result{}, err
	}
	if accepted, err := r.Env.Login(ctx, result.Active, set.App.Password); err != nil || !accepted {
		return Result{}, errors.Join(fmt.Errorf("%s cannot log in with its new password, so it is not handed over", result.Active), err)
	}
	r.Note("handing over the new passwords; the service goes over to %s", result.Active)
	if err := r.Env.HandOver(ctx, set); err != nil {
		return Result{}, err
	}
	if err := r.did("handed over"); err != nil {
		return Result{}, err
	}
	for _, file := range staged {
		if err := credentials.Promote(r.Dir, file, time.Now()); err != nil {
			return Result{}, err
		}
		if err := r.did("replaced " + file); err != nil {
			return Result{}, err
		}
	}
	former := ""
	if old.App.Role != set.App.Role {
		former = old.App.Password
	}
	return result, r.retire(ctx, set.App.Other(), former, &result)
}

// stage writes down the new passwords that are not yet, before anything knows of them.
func (r Rotation) stage(active credentials.Login, pending []string) error {
	already := map[string]bool{}
	for _, file := range pending {
		already[file] = true
	}
	for _, file := range order {
		content := credentials.Random() + "\n"
		if file == credentials.AppFile {
			content = credentials.Login{Role: active.Other(), Password: credentials.Random()}.Content()
		}
		if already[file] {
			continue
		}
		if err := credentials.Stage(r.Dir, file, content); err != nil {
			return err
		}
		if err := r.did("staged " + file); err != nil {
			return err
		}
	}
	return nil
}

// alter sets the staged passwords, all at once.
func (r Rotation) alter(ctx context.Context, set credentials.Set, staged []string) error {
	r.Note("setting %d passwords on the server", len(staged))
	statement, err := r.statement(set, staged)
	if err != nil {
		return err
	}
	_, err = r.Env.Query(ctx, statement)
	if errors.Is(err, postgres.ErrRefused) && staged[0] == credentials.SuperuserFile {
		// The server may know the new passwords already, and only their consumers do not.
		known, tried := r.Env.Login(ctx, "postgres", set.Superuser)
		if tried != nil {
			return tried
		}
		if known {
			if err := r.Env.HandOver(ctx, set); err != nil {
				return err
			}
			_, err = r.Env.Query(ctx, statement)
		}
	}
	if errors.Is(err, postgres.ErrRefused) {
		return &LockedOutError{Role: "postgres", File: credentials.SuperuserFile}
	}
	if err != nil {
		return fmt.Errorf("set the new passwords: %w", err)
	}
	return r.did("set on the server")
}

// statement is a transaction, so that a password that cannot be set leaves all others alone.
func (r Rotation) statement(set credentials.Set, staged []string) (string, error) {
	passwords := map[string]struct{ role, password string }{
		credentials.SuperuserFile: {"postgres", set.Superuser},
		credentials.OwnerFile:     {r.role("owner"), set.Owner},
		credentials.MetricsFile:   {r.role("metrics"), set.Metrics},
		credentials.ReadOnlyFile:  {r.role("readonly"), set.ReadOnly},
		credentials.AppFile:       {r.role(set.App.Role), set.App.Password},
	}
	var text strings.Builder
	text.WriteString(quiet + "BEGIN;\n")
	for _, file := range staged {
		known, err := verifier(passwords[file].password)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&text, "ALTER ROLE %q LOGIN PASSWORD '%s';\n", passwords[file].role, known)
	}
	text.WriteString("COMMIT;\n")
	return text.String(), nil
}

// quiet keeps statements out of the server's log, also those that fail.
const quiet = "SET log_statement = 'none'; SET log_min_duration_statement = -1; SET log_min_error_statement = 'panic';\n"

// retire waits until a role has no connection any more, and then takes its login away. password is the one that it had, "" where that is
// not known.
func (r Rotation) retire(ctx context.Context, suffix, password string, result *Result) error {
	role := r.role(suffix)
	begun := time.Now()
	if err := r.waitUnused(ctx, role); err != nil {
		return err
	}
	result.WaitSeconds = time.Since(begun).Seconds()
	if _, err := r.Env.Query(ctx, fmt.Sprintf("%sALTER ROLE %q NOLOGIN PASSWORD NULL;", quiet, role)); err != nil {
		return fmt.Errorf("take the login of %s away: %w", role, err)
	}
	if err := r.did("taken away"); err != nil {
		return err
	}
	r.Note("%s can log in no more", role)
	if password == "" {
		return nil
	}
	accepted, err := r.Env.Login(ctx, role, password)
	if err == nil && accepted {
		err = fmt.Errorf("the server still accepts the former password of %s", role)
	}
	result.OldRefused = err == nil
	return err
}

// waitInterval is how often the server is asked who is connected.
const waitInterval = 250 * time.Millisecond

// waitUnused returns when no connection of a role is left.
func (r Rotation) waitUnused(ctx context.Context, role string) error {
	r.Note("waiting until no connection of %s is left", role)
	begun, ended := time.Now(), false
	for {
		who, err := r.Env.Query(ctx, fmt.Sprintf(
			"SELECT replace(coalesce(nullif(application_name, ''), 'unnamed') || '@' || coalesce(host(client_addr), 'socket'), ' ', '-') FROM pg_stat_activity WHERE usename = '%s';", role))
		if err != nil {
			return fmt.Errorf("ask who is connected: %w", err)
		}
		if len(who) == 0 && time.Since(begun) >= r.Quiet {
			return nil
		}
		if len(who) > 0 && time.Since(begun) >= r.Wait {
			if !r.EndConnections || ended {
				return &StillConnectedError{Role: role, Who: who}
			}
			r.Note("ending %d connections of %s", len(who), role)
			if _, err := r.Env.Query(ctx, fmt.Sprintf("SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE usename = '%s';", role)); err != nil {
				return fmt.Errorf("end the connections of %s: %w", role, err)
			}
			ended = true
			continue
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(waitInterval):
		}
	}
}

// canLogIn reports whether a role may log in at all.
func (r Rotation) canLogIn(ctx context.Context, suffix string) (bool, error) {
	found, err := r.Env.Query(ctx, fmt.Sprintf("SELECT rolname FROM pg_roles WHERE rolname = '%s' AND rolcanlogin;", r.role(suffix)))
	if errors.Is(err, postgres.ErrRefused) {
		return false, &LockedOutError{Role: "postgres", File: credentials.SuperuserFile}
	}
	return len(found) > 0, err
}

// checkActive makes sure that the login in use is one.
func (r Rotation) checkActive(ctx context.Context, active credentials.Login) error {
	role := r.role(active.Role)
	accepted, err := r.Env.Login(ctx, role, active.Password)
	if err != nil || accepted {
		return err
	}
	locked := &LockedOutError{Role: role, File: credentials.AppFile}
	if r.AcceptLockout {
		r.Note("%s; going on, as told", locked)
		return nil
	}
	return locked
}

func (r Rotation) role(suffix string) string { return r.Database + "_" + suffix }

func (r Rotation) did(step string) error {
	if r.step == nil {
		return nil
	}
	return r.step(step)
}
