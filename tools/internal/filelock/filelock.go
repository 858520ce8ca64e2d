// Package filelock keeps two processes of one machine from doing the same work at once.
package filelock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// Take takes the exclusive lock of file, which it creates, and returns what releases it. waiting is called once when
// somebody else holds it. The kernel drops the lock with the process, so a killed build never blocks the next one.
func Take(ctx context.Context, file string, waiting func()) (release func(), err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("take a lock: %w", err)
	}
	told := false
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			_ = f.Close()
			return nil, fmt.Errorf("take the lock %s: %w", file, err)
		}
		if !told {
			told = true
			waiting()
		}
		// A blocking flock would not notice Ctrl-C.
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, context.Cause(ctx)
		case <-time.After(200 * time.Millisecond):
		}
	}
}
