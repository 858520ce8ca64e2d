package docker

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/network"
)

// NetworkExists looks for a network by name.
func (e *Engine) NetworkExists(ctx context.Context, name string) (bool, error) {
	_, err := e.api.NetworkInspect(ctx, name, network.InspectOptions{})
	return exists("network", name, err)
}

// VolumeExists looks for a volume by name.
func (e *Engine) VolumeExists(ctx context.Context, name string) (bool, error) {
	_, err := e.api.VolumeInspect(ctx, name)
	return exists("volume", name, err)
}

// RemoveVolume removes a volume and what is on it.
func (e *Engine) RemoveVolume(ctx context.Context, name string) error {
	if err := e.api.VolumeRemove(ctx, name, false); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove volume %s: %w", name, err)
	}
	return nil
}

// ImageID resolves a reference to a local image's ID.
func (e *Engine) ImageID(ctx context.Context, reference string) (string, error) {
	image, err := e.api.ImageInspect(ctx, reference)
	if err != nil {
		return "", wrapNotFound("image "+reference, err)
	}
	return image.ID, nil
}

// prefixWriter writes whole lines, each with a prefix, through a lock that writers share: lines of several streams don't mix.
type prefixWriter struct {
	lock   *sync.Mutex
	prefix string
	to     io.Writer
	rest   []byte
}

func (w *prefixWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		line, rest, found := bytes.Cut(w.rest, []byte{'\n'})
		if !found {
			return len(p), nil
		}
		if err := w.line(line); err != nil {
			return 0, err
		}
		w.rest = rest
	}
}

// Flush writes what is left of a last line without an end.
func (w *prefixWriter) Flush() {
	if len(w.rest) > 0 {
		_ = w.line(w.rest) // the stream has ended and so has the chance to complain
		w.rest = nil
	}
}

func (w *prefixWriter) line(line []byte) error {
	w.lock.Lock()
	defer w.lock.Unlock()
	_, err := fmt.Fprintf(w.to, "%s%s\n", w.prefix, line)
	return err
}
