// Package credentials keeps what an environment must remember and nobody may read: the passphrase that encrypts Pulumi's state and
// the passwords of the database roles. Each is one file of mode 0600 below a folder of mode 0700 that git ignores.
package credentials

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The files of one environment.
const (
	passphraseFile = "passphrase"
	superuserFile  = "superuser_password"
	ownerFile      = "owner_password"
	appFile        = "app_password"
	backupFile     = "backup_password"
	backupKeyFile  = "backup_key"
)

// entropyBytes is the strength of a generated secret: 256 bits, more than any of its uses needs.
const entropyBytes = 32

// Set is the secrets of one environment.
type Set struct {
	// Superuser, Owner and App are the passwords of the database's administrator, of the role that owns the schema and runs
	// migrations, and of the role that serves requests.
	Superuser, Owner, App string
	// Backup is the password of the role that takes backups, BackupKey what the backups are encrypted with: without it they are noise.
	Backup, BackupKey string
	// PassphraseFile is the path of the file that Pulumi reads its passphrase from.
	PassphraseFile string
}

// String keeps a set out of logs, whatever the verb.
func (Set) String() string { return "[redacted]" }

// GoString does the same for %#v.
func (s Set) GoString() string { return s.String() }

// Exist reports whether the folder holds all files of a set. A folder that holds some of them, but not all, is an error: the
// missing ones were lost, and new ones would lock everybody out of the database or of the state.
func Exist(dir string) (bool, error) {
	var missing, present []string
	for _, name := range files() {
		_, err := os.Stat(filepath.Join(dir, name))
		switch {
		case err == nil:
			present = append(present, name)
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, name)
		default:
			return false, fmt.Errorf("look for secrets: %w", err)
		}
	}
	// An environment from before there were backups has neither of their two secrets. The key is made first, so one that is missing beside the
	// password was lost.
	if exists(dir, backupFile) && !exists(dir, backupKeyFile) {
		missing = append(missing, backupKeyFile)
	}
	if len(present) > 0 && len(missing) > 0 {
		return false, fmt.Errorf("secrets in %s are incomplete: %s missing; restore the folder from your backup", dir, strings.Join(missing, ", "))
	}
	return len(missing) == 0, nil
}

// Ensure returns the set in the folder, generating it where there is none. It never replaces a file, so two processes that start
// together end with the same set.
func Ensure(dir string) (Set, error) {
	exist, err := Exist(dir)
	if err != nil {
		return Set{}, err
	}
	if !exist {
		if err := generate(dir); err != nil {
			return Set{}, fmt.Errorf("generate secrets: %w", err)
		}
	}
	for _, name := range []string{backupKeyFile, backupFile} {
		if err := add(dir, name); err != nil {
			return Set{}, fmt.Errorf("generate secrets: %w", err)
		}
	}
	return Load(dir)
}

// HasBackupKey reports whether the folder holds the key that backups are encrypted with.
func HasBackupKey(dir string) bool { return exists(dir, backupKeyFile) }

func exists(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}

// Load reads the set in the folder.
func Load(dir string) (Set, error) {
	s := Set{PassphraseFile: filepath.Join(dir, passphraseFile)}
	for name, field := range map[string]*string{
		superuserFile: &s.Superuser, ownerFile: &s.Owner, appFile: &s.App, backupFile: &s.Backup, backupKeyFile: &s.BackupKey,
	} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return Set{}, fmt.Errorf("read secret: %w", err)
		}
		*field = strings.TrimRight(string(content), "\r\n")
		if *field == "" {
			return Set{}, fmt.Errorf("secret %s is empty", filepath.Join(dir, name))
		}
	}
	return s, nil
}

// generate writes a whole set into a fresh folder beside dir and moves it into place, so that a kill leaves all files or none.
func generate(dir string) error {
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return err
	}
	fresh, err := os.MkdirTemp(parent, ".secrets-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(fresh)
	for _, name := range files() {
		if err := os.WriteFile(filepath.Join(fresh, name), newSecret(), 0o600); err != nil {
			return err
		}
	}
	// Renaming onto an existing non-empty folder fails: whoever came first has won, and Load reads theirs.
	if err := os.Rename(fresh, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// newSecret is the content of a new file.
func newSecret() []byte {
	secret := make([]byte, entropyBytes)
	rand.Read(secret)
	return []byte(base64.RawURLEncoding.EncodeToString(secret) + "\n")
}

// add makes one file, whole or not at all, unless it is there: whoever came first has won.
func add(dir, name string) error {
	if exists(dir, name) {
		return nil
	}
	fresh, err := os.CreateTemp(filepath.Dir(dir), ".secret-*")
	if err != nil {
		return err
	}
	defer os.Remove(fresh.Name())
	_, err = fresh.Write(newSecret())
	if err := errors.Join(err, fresh.Sync(), fresh.Close()); err != nil {
		return err
	}
	if err := os.Link(fresh.Name(), filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// files are those that an environment has from its beginning.
func files() []string { return []string{appFile, ownerFile, passphraseFile, superuserFile} }
