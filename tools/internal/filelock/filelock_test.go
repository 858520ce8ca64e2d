package filelock

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
)

func TestASecondTakerWaitsUntilTheFirstLetsGo(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "lock")
	release, err := Take(t.Context(), file, func() { t.Error("the first taker waits") })
	if err != nil {
		t.Fatal(err)
	}
	waits := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		release, err := Take(t.Context(), file, func() { close(waits) })
		if err == nil {
			release()
		}
		done <- err
	}()
	<-waits
	select {
	case err := <-done:
		t.Fatalf("the second taker did not wait (%v)", err)
	default:
	}
	release()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "lock")
	release, err := Take(t.Context(), file, func() {})
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := Take(ctx, file, cancel); !errors.Is(err, context.Canceled) {
		t.Errorf("Take: %v, want the end of the context", err)
	}
}
