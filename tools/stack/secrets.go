package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// secretNames are the files that docker-compose.yml mounts.
var secretNames = []string{"superuser_password", "owner_password", "app_password"}

// makeSecrets creates the passwords that are missing in dir and leaves the others alone.
//
// Compose mounts the files as they are, owner and mode included, and the containers run as users that own nothing on this
// host. So each file may be read by everybody, and the folder by its owner only: a mounted file is reached without passing
// through its folder, and everybody else on this host has to.
func makeSecrets(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make the folder of secrets: %w", err)
	}
	// It may be older than this rule, or the umask may have taken something away.
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("close the folder of secrets to others: %w", err)
	}
	for _, name := range secretNames {
		if err := makeSecret(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("make the secret %s: %w", name, err)
		}
	}
	return nil
}

// makeSecret makes one file with a new password, or leaves the one that is there: PostgreSQL knows it already.
func makeSecret(path string) error {
	info, err := os.Stat(path)
	if err == nil {
		// Compose, started before its secrets were there, leaves a folder in the place of each.
		if !info.Mode().IsRegular() || info.Size() == 0 {
			return errors.New("it is there and not a file with a password; remove it")
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// Renamed when it is whole: an interruption must not leave an empty password.
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(rand.Text())
	if err := errors.Join(err, tmp.Chmod(0o444), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
