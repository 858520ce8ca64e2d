package credentials

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/moby/sys/atomicwriter"
)

// staged is the end of the name of a file that is to take the place of another: the whole journal of a rotation.
const staged = ".next"

// madeFile says since when the secrets are what they are.
const madeFile = "made.json"

// Stage writes what is to take the place of a secret, durably, and changes nothing yet.
func Stage(dir, file, content string) error {
	if err := atomicwriter.WriteFile(filepath.Join(dir, file+staged), []byte(content), 0o600); err != nil {
		return fmt.Errorf("stage %s: %w", file, err)
	}
	return nil
}

// Staged returns what is staged for a secret, if anything is.
func Staged(dir, file string) (content string, there bool, err error) {
	raw, err := os.ReadFile(filepath.Join(dir, file+staged))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", false, nil
	case err != nil:
		return "", false, fmt.Errorf("read what is staged: %w", err)
	case strings.TrimSpace(string(raw)) == "":
		return "", false, fmt.Errorf("%s is empty", filepath.Join(dir, file+staged))
	}
	return string(raw), true, nil
}

// Promote puts what is staged in the place of the secret, at once, and notes when.
func Promote(dir, file string, now time.Time) error {
	path := filepath.Join(dir, file)
	if err := os.Rename(path+staged, path); err != nil {
		return fmt.Errorf("replace %s: %w", file, err)
	}
	made, err := readMade(dir)
	if err != nil {
		return err
	}
	made[file] = now.UTC().Truncate(time.Second)
	content, err := json.MarshalIndent(made, "", "  ")
	if err == nil {
		err = atomicwriter.WriteFile(filepath.Join(dir, madeFile), append(content, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("note the age of %s: %w", file, err)
	}
	return nil
}

// Made is when a secret became what it is: as it was noted by Promote, else the time of its file.
func Made(dir, file string) (time.Time, error) {
	made, err := readMade(dir)
	if err != nil {
		return time.Time{}, err
	}
	if at, noted := made[file]; noted {
		return at, nil
	}
	info, err := os.Stat(filepath.Join(dir, file))
	if err != nil {
		return time.Time{}, fmt.Errorf("look for secrets: %w", err)
	}
	return info.ModTime().UTC(), nil
}

func readMade(dir string) (map[string]time.Time, error) {
	made := map[string]time.Time{}
	content, err := os.ReadFile(filepath.Join(dir, madeFile))
	if errors.Is(err, fs.ErrNotExist) {
		return made, nil
	}
	if err == nil {
		err = json.Unmarshal(content, &made)
	}
	if err != nil {
		return nil, fmt.Errorf("read the ages of secrets: %s: %w", filepath.Join(dir, madeFile), err)
	}
	return made, nil
}
