package delivery

import (
	"fmt"
	"time"

	"filippo.io/age"

	"bookshelf/infra/bundle"
	"bookshelf/infra/environment"
	"bookshelf/infra/release"
	"bookshelf/infra/rotation"
)

// SecretsResult is what an export or an import came to. Its JSON form is what `deliver secrets … --json` prints.
type SecretsResult struct {
	Environment string    `json:"environment"`
	File        string    `json:"file"`
	Made        time.Time `json:"made"`
	// Files is how many there are in it.
	Files int `json:"files"`
}

// ExportSecrets writes an environment's secrets, with what else another machine needs to operate it, into a new encrypted file.
func (o *Operator) ExportSecrets(name, file string, recipients ...age.Recipient) (SecretsResult, error) {
	if _, err := o.settings(name); err != nil {
		return SecretsResult{}, err
	}
	if !o.Layout.Exists(name) {
		return SecretsResult{}, &NotDeployedError{Environment: name}
	}
	lock, err := o.Layout.Lock(name, "secrets export")
	if err != nil {
		return SecretsResult{}, err
	}
	defer lock.Release()
	// What is half way would be half way on the other machine, where nobody knows how it came to be so.
	pending, err := rotation.Unfinished(o.Layout.SecretsDir(name))
	if err != nil {
		return SecretsResult{}, needsPerson("%w", err)
	}
	if len(pending) > 0 {
		return SecretsResult{}, fmt.Errorf("a rotation was cut short: run `deliver rotate -e %s` first", name)
	}
	if record, underWay, err := release.FileJournal(o.Layout.JournalFile(name)).Load(); err != nil {
		return SecretsResult{}, needsPerson("%w", err)
	} else if underWay {
		return SecretsResult{}, fmt.Errorf("release %s was cut short: run `deliver up -e %s` first", record.ID, name)
	}
	m, err := bundle.Export(o.Layout.State, environment.Project, name, file, recipients...)
	return SecretsResult{Environment: name, File: file, Made: m.Made, Files: len(m.Files)}, err
}

// ImportSecrets puts what ExportSecrets has written where it belongs. What is there already and differs is named, and nothing is touched.
func (o *Operator) ImportSecrets(name, file string, identities ...age.Identity) (SecretsResult, error) {
	if _, err := o.settings(name); err != nil {
		return SecretsResult{}, err
	}
	b, err := bundle.Open(file, identities...)
	if err != nil {
		return SecretsResult{}, &UsageError{Problem: err.Error()}
	}
	if b.Environment != name {
		return SecretsResult{}, &UsageError{Problem: fmt.Sprintf("%s is of the environment %s, not of %s", file, b.Environment, name)}
	}
	lock, err := o.Layout.Lock(name, "secrets import")
	if err != nil {
		return SecretsResult{}, err
	}
	defer lock.Release()
	if err := b.Install(o.Layout.State); err != nil {
		return SecretsResult{}, &UsageError{Problem: err.Error()}
	}
	return SecretsResult{Environment: name, File: file, Made: b.Made, Files: len(b.Files)}, nil
}
