package delivery

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/moby/sys/atomicwriter"

	"bookshelf/infra/credentials"
	"bookshelf/infra/environment"
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

// writeMetrics leaves the ages of the secrets where node_exporter's textfile collector, or anybody else, finds them.
func (s *session) writeMetrics() error {
	secret, err := s.secretStatus(s.name, s.config)
	if err != nil {
		return err
	}
	var text strings.Builder
	labels := fmt.Sprintf("{environment=%q,secret=%q}", s.name, secret.Name)
	fmt.Fprintf(&text, "# HELP delivery_secret_made_timestamp_seconds When a secret became what it is.\n# TYPE delivery_secret_made_timestamp_seconds gauge\n")
	fmt.Fprintf(&text, "delivery_secret_made_timestamp_seconds%s %d\n", labels, secret.Made.Unix())
	fmt.Fprintf(&text, "# HELP delivery_secret_max_age_seconds How old it may become, 0 for as old as it likes.\n# TYPE delivery_secret_max_age_seconds gauge\n")
	fmt.Fprintf(&text, "delivery_secret_max_age_seconds%s %.0f\n", labels, secret.MaxSeconds)
	path := filepath.Join(s.Layout.MetricsDir(s.name), "secrets.prom")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	if err := atomicwriter.WriteFile(path, []byte(text.String()), 0o644); err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	return nil
}
