// Package repo finds the repository that a command was started in.
package repo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Root returns the absolute path of the repository: the nearest folder at or above the working directory that holds
// go.work. Commands are started with `go run -C tools`, so the working directory is rarely the root itself.
func Root() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		_, err := os.Stat(filepath.Join(dir, "go.work"))
		if err == nil {
			return dir, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("find the repository: %w", err)
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("find the repository: no go.work in %s or above", start)
		}
	}
}

// Cache returns the folder shared by all clones of this user: $BOOKSHELF_CACHE, or bookshelf in the user's cache folder.
func Cache() (string, error) {
	if dir := os.Getenv("BOOKSHELF_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache folder (set BOOKSHELF_CACHE to choose one): %w", err)
	}
	return filepath.Join(dir, "bookshelf"), nil
}
