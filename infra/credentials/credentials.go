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
	// backupKeyFile is what backups are encrypted with.
	backupKeyFile = "backup_key"
	// appFile is what an environment has in place of AppFile that is from before its service had two logins.
	appFile = "app_password"
)

// The files of the database's roles, which are rotated. Each is one password, but for AppFile.
const (
	SuperuserFile = "superuser_password"
	OwnerFile     = "owner_password"
	// AppFile is two lines, the role that serves (RoleA or RoleB) and its password: which of the two it is and how it logs in change
	// at once.
	AppFile      = "app_login"
	MetricsFile  = "metrics_password"
	ReadOnlyFile = "readonly_password"
	BackupFile   = "backup_password"
)

// The two roles of the service, of which one is in use. On the server the name of the database stands in front.
const (
	RoleA = "app_a"
	RoleB = "app_b"
)

// Login is a role of the service, and its password.
type Login struct{ Role, Password string }

// Content is the login as AppFile has it.
func (l Login) Content() string { return l.Role + "\n" + l.Password + "\n" }

// Other is the role that is not in use.
func (l Login) Other() string {
	if l.Role == RoleA {
		return RoleB
	}
	return RoleA
}

// ParseLogin reads what Content has written.
func ParseLogin(content string) (Login, error) {
	role, password, two := strings.Cut(strings.TrimRight(content, "\r\n"), "\n")
	if !two || password == "" || strings.Contains(password, "\n") || role != RoleA && role != RoleB {
		return Login{}, errors.New("want two lines, " + RoleA + " or " + RoleB + " and its password")
	}
	return Login{Role: role, Password: password}, nil
}

// entropyBytes is the strength of a generated secret: 256 bits, more than any of its uses needs.
const entropyBytes = 32

// Set is the secrets of one environment.
type Set struct {
	// Superuser and Owner are the passwords of the database's administrator and of the role that owns the schema and runs
	// migrations, Metrics and ReadOnly those of the roles for monitoring and for people who look.
	Superuser, Owner, Metrics, ReadOnly string
	// App is the role that serves requests.
	App Login
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
	// One look at the folder, which another process moves into place as a whole.
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("look for secrets: %w", err)
	}
	there := map[string]bool{}
	for _, entry := range entries {
		there[entry.Name()] = true
	}
	there[AppFile] = there[AppFile] || there[appFile] // Ensure makes it from that
	var missing, present []string
	for _, name := range files() {
		if there[name] {
			present = append(present, name)
		} else {
			missing = append(missing, name)
		}
	}
	// An environment from before there were backups has neither of their two secrets. The key is made first, so one that is missing beside the
	// password was lost.
	if there[BackupFile] && !there[backupKeyFile] {
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
	if err := complete(dir); err != nil {
		return Set{}, fmt.Errorf("generate secrets: %w", err)
	}
	return Load(dir)
}

// HasBackupKey reports whether the folder holds the key that backups are encrypted with.
func HasBackupKey(dir string) bool { return exists(dir, backupKeyFile) }

// complete adds what an environment lacks that is from before there was such a secret.
func complete(dir string) error {
	if content, err := os.ReadFile(filepath.Join(dir, appFile)); err == nil {
		login := Login{Role: RoleA, Password: strings.TrimRight(string(content), "\r\n")}
		if err := add(dir, AppFile, login.Content()); err != nil {
			return err
		}
		if err := os.Remove(filepath.Join(dir, appFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for _, name := range []string{backupKeyFile, BackupFile, MetricsFile, ReadOnlyFile} {
		if err := add(dir, name, Random()+"\n"); err != nil {
			return err
		}
	}
	return nil
}

func exists(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}

// add makes one file, whole or not at all, unless it is there: whoever came first has won.
func add(dir, name, content string) error {
	if exists(dir, name) {
		return nil
	}
	fresh, err := os.CreateTemp(filepath.Dir(dir), ".secret-*")
	if err != nil {
		return err
	}
	defer os.Remove(fresh.Name())
	_, err = fresh.WriteString(content)
	if err := errors.Join(err, fresh.Sync(), fresh.Close()); err != nil {
		return err
	}
	if err := os.Link(fresh.Name(), filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// Random is a new password.
func Random() string {
	secret := make([]byte, entropyBytes)
	rand.Read(secret)
	return base64.RawURLEncoding.EncodeToString(secret)
}

// Load reads the set in the folder.
func Load(dir string) (Set, error) {
	return load(dir, func(name string) ([]byte, error) { return os.ReadFile(filepath.Join(dir, name)) })
}

// LoadStaged reads the set as it will be when everything that is staged is in its place.
func LoadStaged(dir string) (Set, error) {
	return load(dir, func(name string) ([]byte, error) {
		content, there, err := Staged(dir, name)
		if err != nil || there {
			return []byte(content), err
		}
		return os.ReadFile(filepath.Join(dir, name))
	})
}

func load(dir string, read func(name string) ([]byte, error)) (Set, error) {
	s := Set{PassphraseFile: filepath.Join(dir, passphraseFile)}
	var app string
	for name, field := range map[string]*string{
		SuperuserFile: &s.Superuser, OwnerFile: &s.Owner, MetricsFile: &s.Metrics, ReadOnlyFile: &s.ReadOnly, AppFile: &app,
		BackupFile: &s.Backup, backupKeyFile: &s.BackupKey,
	} {
		content, err := read(name)
		if err != nil {
			return Set{}, fmt.Errorf("read secret: %w", err)
		}
		*field = strings.TrimRight(string(content), "\r\n")
		if *field == "" {
			return Set{}, fmt.Errorf("secret %s is empty", filepath.Join(dir, name))
		}
	}
	var err error
	if s.App, err = ParseLogin(app); err != nil {
		return Set{}, fmt.Errorf("secret %s: %w", filepath.Join(dir, AppFile), err)
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
		text := Random() + "\n"
		if name == AppFile {
			text = Login{Role: RoleA, Password: Random()}.Content()
		}
		if err := os.WriteFile(filepath.Join(fresh, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	// Renaming onto an existing non-empty folder fails: whoever came first has won, and Load reads theirs.
	if err := os.Rename(fresh, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// files are those that an environment has from its beginning.
func files() []string { return []string{AppFile, OwnerFile, passphraseFile, SuperuserFile} }
