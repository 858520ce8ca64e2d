package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
)

// Rerun copies the files into the stopped container, readable by its root alone, and starts it again.
func (e *Engine) Rerun(ctx context.Context, id string, files map[string][]byte) error {
	archive, err := pack(files)
	if err != nil {
		return err
	}
	if err := e.api.CopyToContainer(ctx, id, "/", archive, container.CopyToContainerOptions{}); err != nil {
		return wrapNotFound("give a task its files", err)
	}
	// Waited for from before the start: it may end before the next question.
	ended, failed := e.api.ContainerWait(ctx, id, container.WaitConditionNextExit)
	if err := e.api.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		return wrapNotFound("run a task again", err)
	}
	select {
	case err := <-failed:
		return fmt.Errorf("wait for a task: %w", err)
	case end := <-ended:
		if end.StatusCode != 0 {
			return fmt.Errorf("a task that was run again ended with exit code %d", end.StatusCode)
		}
		return nil
	}
}

// pack writes files as a tar archive, in a constant order.
func pack(files map[string][]byte) (*bytes.Buffer, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, path := range slices.Sorted(maps.Keys(files)) {
		header := &tar.Header{Name: strings.TrimPrefix(path, "/"), Mode: 0o400, Size: int64(len(files[path])), Format: tar.FormatPAX}
		if err := w.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("pack %s: %w", path, err)
		}
		if _, err := w.Write(files[path]); err != nil {
			return nil, fmt.Errorf("pack %s: %w", path, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack files: %w", err)
	}
	return &archive, nil
}
