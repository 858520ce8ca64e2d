package docker

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/google/go-cmp/cmp"

	"bookshelf/infra/runtime"
)

func TestAContainersStateIsToldByKind(t *testing.T) {
	t.Parallel()
	health := func(status container.HealthStatus) *container.State {
		return &container.State{Running: true, Status: container.StateRunning, Health: &container.Health{Status: status}}
	}
	for name, test := range map[string]struct {
		kind  string
		state *container.State
		want  runtime.State
	}{
		"a healthy service":             {runtime.KindService, health(container.Healthy), runtime.StateHealthy},
		"a service that starts":         {runtime.KindService, health(container.Starting), runtime.StateStarting},
		"an unhealthy service":          {runtime.KindService, health(container.Unhealthy), runtime.StateUnhealthy},
		"one without a check":           {runtime.KindService, &container.State{Running: true}, runtime.StateRunning},
		"a paused one":                  {runtime.KindService, &container.State{Running: true, Paused: true}, runtime.StatePaused},
		"one that crashes again":        {runtime.KindService, &container.State{Running: true, Restarting: true}, runtime.StateUnhealthy},
		"a service that ended well":     {runtime.KindService, &container.State{Status: container.StateExited}, runtime.StateStopped},
		"a task that ended well":        {runtime.KindTask, &container.State{Status: container.StateExited}, runtime.StateCompleted},
		"a task that ended badly":       {runtime.KindTask, &container.State{Status: container.StateExited, ExitCode: 1}, runtime.StateFailed},
		"a task that was never started": {runtime.KindTask, &container.State{Status: container.StateCreated}, runtime.StateStopped},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := state(test.kind, test.state); got != test.want {
				t.Errorf("state = %s, want %s", got, test.want)
			}
		})
	}
}

func TestLinesOfSeveralStreamsDoNotMix(t *testing.T) {
	t.Parallel()
	var lock sync.Mutex
	var to bytes.Buffer
	one := &prefixWriter{lock: &lock, prefix: "one | ", to: &to}
	two := &prefixWriter{lock: &lock, prefix: "two | ", to: &to}
	for _, write := range []struct {
		w    *prefixWriter
		text string
	}{{one, "first ha"}, {two, "whole\n"}, {one, "lf\nsecond\nno end"}, {two, ""}} {
		if n, err := write.w.Write([]byte(write.text)); err != nil || n != len(write.text) {
			t.Fatalf("Write = %d, %v", n, err)
		}
	}
	one.Flush()
	two.Flush()
	want := "two | whole\none | first half\none | second\none | no end\n"
	if diff := cmp.Diff(want, to.String()); diff != "" {
		t.Error(diff)
	}
}

func TestFilesAreGivenToATaskForItsRootAlone(t *testing.T) {
	t.Parallel()
	archive, err := pack(map[string][]byte{"/uploads/b": []byte("two"), "/uploads/a": []byte("one")})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for r := tar.NewReader(archive); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %o %d %s", header.Name, header.Mode, header.Uid, content))
	}
	if diff := cmp.Diff([]string{"uploads/a 400 0 one", "uploads/b 400 0 two"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestTheDockerCommandsContextNamesTheEngine(t *testing.T) {
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	if got := ContextHost(t.Context()); got != "" {
		t.Errorf("without a docker command the host is %q, want none", got)
	}
	script := "#!/bin/sh\n[ \"$1 $2\" = 'context inspect' ] && echo tcp://127.0.0.1:2375\n"
	if err := os.WriteFile(filepath.Join(bin, "docker"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := ContextHost(t.Context()); got != "tcp://127.0.0.1:2375" {
		t.Errorf("the host is %q, want that of the context", got)
	}
}
