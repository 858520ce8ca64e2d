package provenance

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

// Record says what was verified of an image. Its JSON form is what is kept in the environment's state folder and what
// `deliver status --json` shows.
type Record struct {
	Image      string    `json:"image"`
	Digest     string    `json:"digest"`
	VerifiedAt time.Time `json:"verified_at"`
	Mode       string    `json:"mode"`
	// Signer is whom the policy trusted: "key sha256:…" or "IDENTITY by ISSUER".
	Signer     string `json:"signer"`
	Signatures int    `json:"signatures"`
	// Components is how many parts the SBOM lists.
	Components int `json:"sbom_components"`
}

// Satisfies tells whether the policy of today would have asked for the same signer.
func (r Record) Satisfies(policy Policy) bool {
	signer, err := policy.signer()
	return err == nil && r.Mode == policy.Mode && r.Signer == signer
}

// Store keeps one record per digest in a folder.
type Store struct{ Dir string }

func (s Store) file(digest string) string {
	return filepath.Join(s.Dir, strings.ReplaceAll(digest, ":", "-")+".json")
}

// Save keeps a record in the place of an older one of the same digest.
func (s Store) Save(r Record) error {
	content, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = os.MkdirAll(s.Dir, 0o700)
	}
	if err == nil {
		err = atomicwriter.WriteFile(s.file(r.Digest), append(content, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("record what was verified: %w", err)
	}
	return nil
}

// Find returns the record of a digest, and false where there is none.
func (s Store) Find(digest string) (Record, bool, error) {
	content, err := os.ReadFile(s.file(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, false, nil
	}
	if err != nil {
		return Record{}, false, fmt.Errorf("read what was verified: %w", err)
	}
	var r Record
	if err := json.Unmarshal(content, &r); err != nil {
		return Record{}, false, fmt.Errorf("read what was verified: %s: %w", s.file(digest), err)
	}
	return r, true, nil
}

// All returns every record.
func (s Store) All() ([]Record, error) {
	files, err := filepath.Glob(filepath.Join(s.Dir, "sha256-*.json"))
	if err != nil {
		return nil, fmt.Errorf("list what was verified: %w", err)
	}
	var all []Record
	for _, file := range files {
		digest := strings.Replace(strings.TrimSuffix(filepath.Base(file), ".json"), "-", ":", 1)
		r, found, err := s.Find(digest)
		if err != nil {
			return nil, err
		}
		if found {
			all = append(all, r)
		}
	}
	return all, nil
}
