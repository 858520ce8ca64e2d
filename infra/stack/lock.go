package stack

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// holder is what the lock file says of the process that has it.
type holder struct {
	PID     int       `json:"pid"`
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
}

// LockedError says who works on the environment.
type LockedError struct {
	Environment string
	holder      holder
}

func (e *LockedError) Error() string {
	if e.holder.PID == 0 {
		return e.Environment + " is locked by another deliver"
	}
	return fmt.Sprintf("%s is locked by process %d (deliver %s) since %s", e.Environment, e.holder.PID, e.holder.Command, e.holder.Since.Format(time.RFC3339))
}

// Lock takes the environment's lock for a command, or returns a *LockedError at once. The kernel gives the lock back when the process
// ends, however it ends, so there is no stale lock to break.
func (l Layout) Lock(name, command string) (release func(), err error) {
	if err := os.MkdirAll(l.dir(name), 0o700); err != nil {
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	file, err := os.OpenFile(filepath.Join(l.dir(name), "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer file.Close() //nolint:errcheck // only read from
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
		locked := &LockedError{Environment: name}
		// The holder may not have written yet; then the message just says less.
		_ = json.NewDecoder(file).Decode(&locked.holder)
		return nil, locked
	}
	content, err := json.Marshal(holder{PID: os.Getpid(), Command: command, Since: time.Now().UTC().Truncate(time.Second)})
	if err == nil {
		err = errors.Join(file.Truncate(0), writeAt(file, content))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", name, err), file.Close())
	}
	return func() {
		_ = file.Truncate(0) // the next holder writes its own
		_ = file.Close()
	}, nil
}

func writeAt(file *os.File, content []byte) error {
	_, err := file.WriteAt(content, 0)
	return err
}
