package release

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/moby/sys/atomicwriter"
)

// Record is how far a release has come. It is written down before each transition, so that whoever comes after a kill knows at most
// one thing less than what was done: everything that a transition does can be done again.
type Record struct {
	ID          string  `json:"id"`
	Environment string  `json:"environment"`
	From        Version `json:"from"`
	To          Version `json:"to"`
	Phase       Phase   `json:"phase"`
	Percent     int     `json:"percent"`
	// Since is when the phase began.
	Since time.Time `json:"since"`
	// RestorePoint says how to return to the data as they were.
	RestorePoint string  `json:"restore_point,omitempty"`
	Profile      Profile `json:"profile"`
}

// Forward reports whether the release is past the point from which it only goes forward.
func (r Record) Forward() bool { return r.Phase == PhaseCommit || r.Phase == PhaseRetire }

// untouched reports whether nothing has been changed yet.
func (r Record) untouched() bool { return r.Phase == PhasePreflight || r.Phase == PhaseRestore }

// Journal keeps the record of an environment's release while there is one. The caller holds the environment's lock.
type Journal interface {
	// Save returns when the record outlives a loss of power.
	Save(record Record) error
	// Load returns false when there is none.
	Load() (Record, bool, error)
	// Clear removes the record; that there is none is no error.
	Clear() error
}

// FileJournal is a Journal in a file. The folder it is in must exist.
type FileJournal string

// Save replaces the file in one piece.
func (f FileJournal) Save(record Record) error {
	content, err := json.MarshalIndent(record, "", "  ")
	if err == nil {
		err = atomicwriter.WriteFile(string(f), append(content, '\n'), 0o600)
	}
	if err == nil {
		err = f.syncFolder()
	}
	if err != nil {
		return fmt.Errorf("write the release's journal: %w", err)
	}
	return nil
}

// Load takes nothing that it does not understand whole: half a record would let a release be carried on in the wrong direction.
func (f FileJournal) Load() (Record, bool, error) {
	content, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, false, nil
	}
	var record Record
	if err == nil {
		decoder := json.NewDecoder(bytes.NewReader(content))
		decoder.DisallowUnknownFields()
		err = decoder.Decode(&record)
	}
	if err == nil {
		err = record.check()
	}
	if err != nil {
		return Record{}, false, fmt.Errorf("read the release's journal %s: %w", f, err)
	}
	return record, true, nil
}

// Clear removes the file.
func (f FileJournal) Clear() error {
	err := os.Remove(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = f.syncFolder()
	}
	if err != nil {
		return fmt.Errorf("remove the release's journal: %w", err)
	}
	return nil
}

// syncFolder makes the file's name as lasting as its content.
func (f FileJournal) syncFolder() error {
	folder, err := os.Open(filepath.Dir(string(f)))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// check returns what a record lacks to be acted on.
func (r Record) check() error {
	switch r.Phase {
	case PhasePreflight, PhaseRestore, PhaseStart, PhaseSmoke, PhaseLoad, PhaseCanary, PhaseBake, PhaseCommit, PhaseRetire, PhaseRollback:
	default:
		return fmt.Errorf("%q is no phase to carry on from", r.Phase)
	}
	if r.From.Slot == "" || r.To.Slot == "" || r.From.Slot == r.To.Slot {
		return fmt.Errorf("from slot %q to slot %q: want two different ones", r.From.Slot, r.To.Slot)
	}
	return r.Profile.Validate()
}
