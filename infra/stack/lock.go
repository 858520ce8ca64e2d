package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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

// PID is the process that holds the lock, 0 where that is not known.
func (e *LockedError) PID() int { return e.holder.PID }

// Command is the command that the holder carries out.
func (e *LockedError) Command() string { return e.holder.Command }

// WaitUnlocked returns when nobody works on the environment any more.
func (l Layout) WaitUnlocked(ctx context.Context, name string) error {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		lock, err := l.Lock(name, "wait")
		if _, locked := errors.AsType[*LockedError](err); !locked {
			if err == nil {
				lock.Release()
			}
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}

// orphanWait is how long a new run waits for a Pulumi process that outlived the deliver that started it. It ends by itself when it
// notices, after what it is in the middle of.
const orphanWait = time.Minute

// Lock is the right to change an environment. Pulumi processes inherit it, so that it is held until the last of them has ended, even
// when the deliver that took it was killed. The kernel gives it back when they end, however they end: there is no stale lock to break.
type Lock struct{ file *os.File }

// Lock takes the environment's lock for a command, or returns a *LockedError.
func (l Layout) Lock(name, command string) (*Lock, error) {
	if err := os.MkdirAll(l.dir(name), 0o700); err != nil {
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	file, err := os.OpenFile(filepath.Join(l.dir(name), "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	if err := acquire(file, name); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	content, err := json.Marshal(holder{PID: os.Getpid(), Command: command, Since: time.Now().UTC().Truncate(time.Second)})
	if err == nil {
		err = file.Truncate(0)
	}
	if err == nil {
		_, err = file.WriteAt(content, 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", name, err), file.Close())
	}
	return &Lock{file: file}, nil
}

// Release gives the lock back.
func (l *Lock) Release() {
	_ = l.file.Truncate(0) // the next holder writes its own
	_ = l.file.Close()
}

// namelessWait is how long a lock may be held by somebody who has not written who it is: a holder that is about to, or a process that
// is being started, which has a copy of every descriptor, and with it a lock that was just given back, until it runs its program.
const namelessWait = time.Second

func acquire(file *os.File, name string) error {
	begun := time.Now()
	for deadline := begun.Add(orphanWait); ; time.Sleep(100 * time.Millisecond) {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("lock %s: %w", name, err)
		}
		locked := &LockedError{Environment: name}
		if content, err := os.ReadFile(file.Name()); err == nil {
			// Where the holder still has not written, the message just says less.
			_ = json.Unmarshal(content, &locked.holder)
		}
		if locked.holder.PID == 0 && time.Since(begun) < namelessWait {
			continue
		}
		if alive(locked.holder.PID) {
			return locked
		}
		if time.Now().After(deadline) {
			if !terminateHolders(file.Name()) {
				return locked
			}
			deadline = time.Now().Add(orphanWait)
		}
	}
}

// alive reports whether there is a process of that ID; of none, it is not known and so assumed.
func alive(pid int) bool {
	return pid <= 0 || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

// terminateHolders ends the processes that still have the lock file open although the deliver that started them is dead: a plugin whose
// Pulumi was killed never notices. It reports whether there were any; where there is no /proc it finds none.
func terminateHolders(path string) bool {
	want, err := os.Stat(path)
	if err != nil {
		return false
	}
	descriptors, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return false
	}
	found := false
	for _, descriptor := range descriptors {
		pid, err := strconv.Atoi(strings.Split(descriptor, "/")[2])
		if err != nil || pid == os.Getpid() {
			continue
		}
		if have, err := os.Stat(descriptor); err == nil && os.SameFile(want, have) {
			found = syscall.Kill(pid, syscall.SIGTERM) == nil || found
		}
	}
	return found
}
