package main

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"os"
	"runtime"
	"strings"
	"time"

	"bookshelf/tools/internal/docker"
)

// layer is an image layer in a file, hashed while it is written: a tar header needs its size, the configuration its digest.
type layer struct {
	file *os.File
	sum  hash.Hash
	size int64
}

// newLayer makes an empty layer in a new file of dir. The file and not the memory holds it: the one with Go has half a
// gigabyte.
func newLayer(dir string) (*layer, error) {
	f, err := os.CreateTemp(dir, "layer-*.tar")
	if err != nil {
		return nil, fmt.Errorf("make room for the layer: %w", err)
	}
	return &layer{file: f, sum: sha256.New()}, nil
}

// Write implements io.Writer.
func (l *layer) Write(p []byte) (int, error) {
	n, err := l.file.Write(p)
	l.sum.Write(p[:n])
	l.size += int64(n)
	return n, err
}

// digest is the layer's SHA-256 in hexadecimal. With no compression it is also the diff ID of the image specification.
func (l *layer) digest() string { return hex.EncodeToString(l.sum.Sum(nil)) }

// remove gives the space back. Its folder is removed as a whole at the end, so failing here loses nothing.
func (l *layer) remove() {
	_ = l.file.Close()
	_ = os.Remove(l.file.Name())
}

// imageConfig is an image's configuration file.
type imageConfig struct {
	Architecture string    `json:"architecture"`
	OS           string    `json:"os"`
	Created      time.Time `json:"created"`
	Config       runConfig `json:"config"`
	RootFS       struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
	History []history `json:"history"`
}

// history is what `docker history` shows of a layer.
type history struct {
	Created   time.Time `json:"created"`
	CreatedBy string    `json:"created_by"`
}

// config is the stand-in's configuration, but for its layer.
func (b base) config(ctx context.Context, recipe string) (imageConfig, error) {
	now := time.Now().UTC()
	c := imageConfig{
		Architecture: runtime.GOARCH,
		OS:           runtime.GOOS,
		Created:      now,
		Config:       b.run,
		History:      []history{{Created: now, CreatedBy: "bookshelf tools/bases: " + b.origin()}},
	}
	c.Config.Labels = map[string]string{recipeLabel: recipe}
	if !b.own {
		c.Config.Labels[standInLabel] = "true"
	}
	maps.Copy(c.Config.Labels, b.run.Labels)
	if b.goToolchain {
		version, err := goVersion(ctx)
		if err != nil {
			return imageConfig{}, err
		}
		c.Config.Env = append([]string{"GOLANG_VERSION=" + version}, b.run.Env...)
	}
	return c, nil
}

// origin says what an image was made of.
func (b base) origin() string {
	if b.tool != "" {
		return "built from the Go module of tools/" + b.tool
	}
	return "a stand-in built from Debian " + suite + " packages"
}

// load gives the engine the image. docker load rather than docker import, because only a whole configuration can hold a
// stop signal on older engines. The engine names the image when the stream has ended well, so an interruption leaves none.
func load(ctx context.Context, name string, config imageConfig, l *layer) error {
	config.RootFS.Type = "layers"
	config.RootFS.DiffIDs = []string{"sha256:" + l.digest()}
	configJSON, err := json.Marshal(config)
	if err != nil {
		return fmt.Errorf("write the image's configuration: %w", err)
	}
	configName := fmt.Sprintf("%x.json", sha256.Sum256(configJSON))
	layerName := l.digest() + "/layer.tar"
	manifest, err := json.Marshal([]map[string]any{{
		"Config": configName, "RepoTags": []string{name}, "Layers": []string{layerName},
	}})
	if err != nil {
		return fmt.Errorf("write the image's manifest: %w", err)
	}
	if _, err := l.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read the layer: %w", err)
	}

	cmd := docker.Command(ctx, "load", "--quiet")
	var complaint strings.Builder
	cmd.Stderr = &complaint
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("docker load: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("docker load: %w", err)
	}
	out := tar.NewWriter(stdin)
	written := errors.Join(
		addFile(out, file{path: configName, mode: 0o644, content: configJSON}),
		addLayer(out, layerName, l),
		addFile(out, file{path: "manifest.json", mode: 0o644, content: manifest}),
		out.Close(),
		stdin.Close(),
	)
	if err := cmd.Wait(); err != nil {
		return docker.Explain("load", err, complaint.String())
	}
	return written
}

// addLayer copies the layer from its file's current position.
func addLayer(out *tar.Writer, name string, l *layer) error {
	if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: l.size, Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	_, err := io.Copy(out, l.file)
	return err
}
