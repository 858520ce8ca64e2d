// Package bundle moves what is needed to operate an environment from one machine to another: its secrets, Pulumi's passphrase and state,
// and what deliver remembers, in one file that age (https://age-encryption.org) has encrypted.
package bundle

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/moby/sys/atomicwriter"
)

// manifestName is the first entry of a bundle.
const manifestName = "manifest.json"

// format is written into every bundle; another one cannot be read.
const format = 1

// mostBytes bounds what is read of a bundle: the state of the largest environment takes a fraction of it.
const mostBytes = 64 << 20

// Manifest says what a bundle holds.
type Manifest struct {
	Format      int       `json:"format"`
	Environment string    `json:"environment"`
	Made        time.Time `json:"made"`
	// Files are the SHA-256 of each file, by its path below the state folder.
	Files map[string]string `json:"files"`
}

// Last is the file that Write names last and Install writes last: while it is not there, an environment counts as one that was
// never deployed from here, so that half of an import is none.
func Last(environment string) string {
	return path.Join(environment, "workspace", "Pulumi."+environment+".yaml")
}

// patterns are the files of an environment below the state folder, project being Pulumi's.
func patterns(project, environment string) []string {
	return []string{
		path.Join(environment, "secrets", "*"), path.Join(environment, "slots.json"), path.Join(environment, "last-good.json"),
		path.Join(environment, "data.json"), // which volume holds the data, where that was restored
		path.Join(environment, "verified", "*"), path.Join(environment, "workspace", "Pulumi.yaml"), Last(environment),
		"pulumi/.pulumi/meta.yaml", path.Join("pulumi/.pulumi/stacks", project, environment+".json*"),
	}
}

// collect reads them.
func collect(state, project, environment string) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, pattern := range patterns(project, environment) {
		found, err := filepath.Glob(filepath.Join(state, filepath.FromSlash(pattern)))
		if err != nil {
			return nil, err
		}
		for _, name := range found {
			content, err := os.ReadFile(name)
			if err != nil {
				return nil, fmt.Errorf("read what is to be exported: %w", err)
			}
			below, err := filepath.Rel(state, name)
			if err != nil {
				return nil, err
			}
			files[filepath.ToSlash(below)] = content
		}
	}
	if _, there := files[Last(environment)]; !there {
		return nil, fmt.Errorf("%s was never deployed from %s: there is nothing to export", environment, state)
	}
	return files, nil
}

// Export writes an environment into a new file of mode 0600, which appears whole or not at all. A file that is there is not touched.
func Export(state, project, environment, to string, recipients ...age.Recipient) (Manifest, error) {
	if _, err := os.Lstat(to); err == nil {
		return Manifest{}, fmt.Errorf("%s exists: name another file, or remove it first", to)
	}
	files, err := collect(state, project, environment)
	if err != nil {
		return Manifest{}, err
	}
	m := Manifest{Format: format, Environment: environment, Made: time.Now().UTC().Truncate(time.Second), Files: map[string]string{}}
	for name, content := range files {
		m.Files[name] = sum(content)
	}
	fresh, err := os.CreateTemp(filepath.Dir(to), ".export-*") // of mode 0600
	if err != nil {
		return Manifest{}, fmt.Errorf("write the export: %w", err)
	}
	defer os.Remove(fresh.Name())
	err = encrypt(fresh, m, files, recipients)
	if err = errors.Join(err, fresh.Sync(), fresh.Close()); err != nil {
		return Manifest{}, fmt.Errorf("write the export: %w", err)
	}
	// A link, unlike a rename, replaces nothing.
	if err := os.Link(fresh.Name(), to); err != nil {
		return Manifest{}, fmt.Errorf("write the export: %w", err)
	}
	return m, nil
}

func encrypt(to io.Writer, m Manifest, files map[string][]byte, recipients []age.Recipient) error {
	sealed, err := age.Encrypt(to, recipients...)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(sealed)
	listed, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := entry(archive, manifestName, listed); err != nil {
		return err
	}
	for _, name := range sorted(files) {
		if err := entry(archive, name, files[name]); err != nil {
			return err
		}
	}
	return errors.Join(archive.Close(), sealed.Close())
}

func entry(archive *tar.Writer, name string, content []byte) error {
	header := &tar.Header{Name: name, Mode: 0o600, Size: int64(len(content)), Format: tar.FormatPAX}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err := archive.Write(content)
	return err
}

// Bundle is one that was read, whole and unaltered.
type Bundle struct {
	Manifest

	files map[string][]byte
}

// Open reads a bundle. It fails unless all of it is there, as it was written, and nothing else.
func Open(from string, identities ...age.Identity) (*Bundle, error) {
	file, err := os.Open(from)
	if err != nil {
		return nil, fmt.Errorf("read the export: %w", err)
	}
	defer file.Close()
	plain, err := age.Decrypt(file, identities...)
	if _, wrong := errors.AsType[*age.NoIdentityMatchError](err); wrong {
		return nil, fmt.Errorf("%s was encrypted for somebody else, or with another passphrase", from)
	}
	if err != nil {
		return nil, fmt.Errorf("%s is no export: %w", from, err)
	}
	b := &Bundle{files: map[string][]byte{}}
	if err := b.read(tar.NewReader(io.LimitReader(plain, mostBytes))); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", from, err)
	}
	return b, nil
}

func (b *Bundle) read(archive *tar.Reader) error {
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			return err
		}
		b.files[header.Name] = content
	}
	if err := json.Unmarshal(b.files[manifestName], &b.Manifest); err != nil {
		return fmt.Errorf("its list of files: %w", err)
	}
	delete(b.files, manifestName)
	if b.Format != format {
		return fmt.Errorf("it is of format %d, and this program knows %d", b.Format, format)
	}
	if len(b.files) != len(b.Files) {
		return fmt.Errorf("it holds %d files and lists %d", len(b.files), len(b.Files))
	}
	for name, content := range b.files {
		if b.Files[name] != sum(content) {
			return fmt.Errorf("%s is not what it was", name)
		}
		if !filepath.IsLocal(filepath.FromSlash(name)) || !b.belongs(name) {
			return fmt.Errorf("%s is no file of %s", name, b.Environment)
		}
	}
	if _, there := b.files[Last(b.Environment)]; !there {
		return fmt.Errorf("it has no %s", Last(b.Environment))
	}
	return nil
}

// belongs reports whether a path is one of the environment's, or of Pulumi's state.
func (b *Bundle) belongs(name string) bool {
	for _, pattern := range patterns("*", b.Environment) {
		if matched, err := path.Match(pattern, name); err == nil && matched {
			return true
		}
	}
	return false
}

// Install writes what the bundle holds below a state folder. Where any of its files is there already with another content, it names
// them all and touches none. Cut short and run again, it completes.
func (b *Bundle) Install(state string) error {
	var others []string
	for _, name := range sorted(b.files) {
		have, err := os.ReadFile(filepath.Join(state, filepath.FromSlash(name)))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return fmt.Errorf("look for what is there: %w", err)
		case !bytes.Equal(have, b.files[name]) && !strings.HasPrefix(name, "pulumi/.pulumi/meta"):
			others = append(others, name)
		}
	}
	if len(others) > 0 {
		return fmt.Errorf("%s holds another %s already (%s): nothing was touched; work from a state folder without it (BOOKSHELF_STATE)",
			state, b.Environment, strings.Join(others, ", "))
	}
	names := slices.DeleteFunc(sorted(b.files), func(name string) bool { return name == Last(b.Environment) })
	for _, name := range append(names, Last(b.Environment)) {
		target := filepath.Join(state, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			return fmt.Errorf("write what was exported: %w", err)
		}
		if err := atomicwriter.WriteFile(target, b.files[name], 0o600); err != nil {
			return fmt.Errorf("write what was exported: %w", err)
		}
	}
	return nil
}

func sum(content []byte) string {
	digest := sha256.Sum256(content)
	return hex.EncodeToString(digest[:])
}

func sorted(files map[string][]byte) []string {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
