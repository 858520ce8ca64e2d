package delivery

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"bookshelf/infra/credentials"
	"bookshelf/infra/environment"
	"bookshelf/infra/observability/textfile"
	"bookshelf/infra/rotation"
	"bookshelf/infra/runtime"
	"bookshelf/infra/runtime/postgres"
)

// SecretStatus is the age of what is rotated together.
type SecretStatus struct {
	// Name is what `deliver rotate` calls it.
	Name string    `json:"name"`
	Made time.Time `json:"made"`
	// AgeSeconds and MaxSeconds are how old it is and may become, 0 for as old as it likes.
	AgeSeconds float64 `json:"age_seconds"`
	MaxSeconds float64 `json:"max_seconds,omitempty"`
	Overdue    bool    `json:"overdue"`
}

// secretStatus is the age of the database's passwords. It is as old as the login that serves.
func (o *Operator) secretStatus(name string, config environment.Config) (SecretStatus, error) {
	made, err := credentials.Made(o.Layout.SecretsDir(name), credentials.AppFile)
	if err != nil {
		return SecretStatus{}, err
	}
	age, limit := time.Since(made), config.Rotation.Database
	return SecretStatus{
		Name: "database", Made: made, AgeSeconds: age.Seconds(), MaxSeconds: limit.Seconds(), Overdue: limit > 0 && age > limit,
	}, nil
}

// checkSecrets tells how old the passwords are, of a rotation that was cut short, and of a login that does not work any more. Only the
// latter two are problems: what is overdue still works.
func (o *Operator) checkSecrets(ctx context.Context, env runtime.Environment, config environment.Config, status *Status) error {
	dir := o.Layout.SecretsDir(env.Name)
	set, err := credentials.Load(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // deployed from elsewhere, or from before: the next up says what there is to say
	}
	if err != nil {
		status.Problems = append(status.Problems, err.Error())
		return nil
	}
	secret, err := o.secretStatus(env.Name, config)
	if err != nil {
		return err
	}
	status.Secrets = append(status.Secrets, secret)
	pending, err := rotation.Unfinished(dir)
	if err != nil {
		return err
	}
	if len(pending) > 0 {
		status.Problems = append(status.Problems, fmt.Sprintf("a rotation of the database's passwords is under way, or was cut short: `deliver rotate -e %s` brings it to its end", env.Name))
		return nil
	}
	role := environment.Project + "_" + set.App.Role
	// A database that does not run is a problem that was told already.
	if accepted, err := postgres.New(o.Platform, env).Login(ctx, role, set.App.Password); err == nil && !accepted {
		status.Problems = append(status.Problems, (&rotation.LockedOutError{Role: role, File: credentials.AppFile}).Error())
	}
	return nil
}

// tellSecrets writes how old what is rotated is, and may become.
func (s *session) tellSecrets() error {
	secret, err := s.secretStatus(s.name, s.config)
	if err != nil {
		return err
	}
	labels := map[string]string{"secret": secret.Name}
	return textfile.Write(s.Layout.MetricsDir(s.name), "secrets", []textfile.Sample{
		{Name: "rotation_last_success_timestamp_seconds", Labels: labels, Value: float64(secret.Made.Unix())},
		{Name: "rotation_max_age_seconds", Labels: labels, Value: secret.MaxSeconds},
	})
}
