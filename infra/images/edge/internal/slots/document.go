package slots

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// document is the state that outlives the process.
type document struct {
	Generation uint64          `json:"generation"`
	Slots      map[string]Spec `json:"slots"`
	Lease      *Lease          `json:"lease,omitempty"`
}

// Lease says what the weights become, and when.
type Lease struct {
	Expires  time.Time      `json:"expires"` // UTC, RFC 3339
	Fallback map[string]int `json:"fallback"`
}

// document is what the request makes of a state of the given generation.
func (r Request) document(generation uint64, now time.Time) document {
	doc := document{Generation: generation + 1, Slots: r.Slots}
	if r.LeaseSeconds != nil {
		expires := now.UTC().Add(time.Duration(*r.LeaseSeconds) * time.Second)
		doc.Lease = &Lease{Expires: expires, Fallback: r.Fallback}
	}
	return doc
}

// fallenBack is the state after the lease has run out: the same replicas, other weights, no lease.
func (d document) fallenBack() document {
	next := document{Generation: d.Generation + 1, Slots: map[string]Spec{}}
	for name, spec := range d.Slots {
		weight := d.Lease.Fallback[name] // none is 0
		next.Slots[name] = Spec{Weight: &weight, Replicas: spec.Replicas}
	}
	return next
}

// store keeps the document in one file.
type store struct{ path string }

// load returns the document; the zero one when there was never any. A file that is there and says nothing sensible is an
// error: whoever reads it must know that the weights are lost.
func (s store) load() (document, error) {
	text, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return document{}, nil
	}
	if err != nil {
		return document{}, err
	}
	var doc document
	if err := decode(text, &doc); err != nil {
		return document{}, fmt.Errorf("read %s: %w", s.path, err)
	}
	req := Request{Slots: doc.Slots}
	if doc.Lease != nil {
		whole := 1 // the moment is absolute by now
		req.LeaseSeconds, req.Fallback = &whole, doc.Lease.Fallback
	}
	if problems := req.problems(); len(problems) > 0 {
		return document{}, fmt.Errorf("read %s: %w", s.path, &InvalidError{problems})
	}
	return doc, nil
}

// save replaces the file. It has reached the disk when save returns, and no crash leaves half of it.
func (s store) save(doc document) error {
	text, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("write %s: %w", s.path, err)
	}
	dir := filepath.Dir(s.path)
	f, err := os.CreateTemp(dir, ".slots-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // nothing is left of it after the rename
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", s.path, err)
	}
	if err := os.Rename(f.Name(), s.path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a rename in dir outlive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// removeLeavings removes what a save left that was killed before its rename.
func (s store) removeLeavings() {
	leavings, _ := filepath.Glob(filepath.Join(filepath.Dir(s.path), ".slots-*"))
	for path := range slices.Values(leavings) {
		os.Remove(path)
	}
}
