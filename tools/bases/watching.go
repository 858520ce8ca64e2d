package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"bookshelf/tools/internal/pinned"
)

// watchingTable is the one list of the images that watch an environment; infra reads it too.
const watchingTable = "infra/observability/stack/images.json"

// watchingImage is an entry of that list.
type watchingImage struct {
	Part string `json:"part"`
	// Levels are the values of bookshelf:observability that need it.
	Levels []string `json:"levels"`
	Image  string   `json:"image"`
	// Own says that no registry has it: it is made here, and is no stand-in.
	Own bool `json:"own"`
	// Tool is the pinned tool that its program is; otherwise Packages are the Debian packages that bring it, under the name Installed.
	Tool      string   `json:"tool"`
	Packages  []string `json:"packages"`
	Installed string   `json:"installed"`
	// Program is its absolute path in the official image, and so in the stand-in.
	Program string `json:"program"`
}

// watching returns the images that a level needs.
func watching(root, level string) ([]base, error) {
	content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(watchingTable)))
	if err != nil {
		return nil, fmt.Errorf("read the list of images: %w", err)
	}
	var all []watchingImage
	if err := json.Unmarshal(content, &all); err != nil {
		return nil, fmt.Errorf("%s: %w", watchingTable, err)
	}
	var images []base
	for _, image := range all {
		if slices.Contains(image.Levels, level) {
			images = append(images, image.base(root))
		}
	}
	if len(images) == 0 {
		return nil, fmt.Errorf("--observability %q: want lean or full", level)
	}
	return images, nil
}

// base is how its stand-in is made.
func (i watchingImage) base(root string) base {
	b := base{
		name: i.Image, packages: i.Packages, own: i.Own, root: root, tool: i.Tool, program: i.Program,
		run: runConfig{Env: []string{"PATH=" + systemPath}, Entrypoint: []string{i.Program}},
	}
	if i.Installed != "" && i.Installed != path.Base(i.Program) {
		b.customizeHooks = []string{fmt.Sprintf(`ln -s %s "$1/usr/bin/%s"`, i.Installed, path.Base(i.Program))}
	}
	return b
}

// certificates are the public authorities, which an image with one program has no package for: alerts go out over TLS.
const certificates = "/etc/ssl/certs/ca-certificates.crt"

// packProgram writes an image that has the pinned tool and what a program expects around it, and nothing else: no shell, no package.
func (b base) packProgram(ctx context.Context, l *layer) error {
	link, err := pinned.Install(ctx, b.root, b.tool)
	if err != nil {
		return err
	}
	program, err := os.ReadFile(link)
	if err != nil {
		return fmt.Errorf("read %s: %w", b.tool, err)
	}
	files := []file{
		{path: "etc/passwd", mode: 0o644, content: []byte("root:x:0:0::/:/sbin/nologin\nnonroot:x:65532:65532::/:/sbin/nologin\n")},
		{path: "etc/group", mode: 0o644, content: []byte("root:x:0:\nnonroot:x:65532:\n")},
		{path: "tmp/", mode: 0o1777},
		{path: strings.TrimPrefix(b.program, "/"), mode: 0o755, content: program},
	}
	if bundle, err := os.ReadFile(certificates); err == nil { // a host without has nothing to trust either
		files = append(files, file{path: strings.TrimPrefix(certificates, "/"), mode: 0o644, content: bundle})
	}
	out := tar.NewWriter(l)
	for _, f := range files {
		if err := addFile(out, f); err != nil {
			return fmt.Errorf("pack %s: %w", f.path, err)
		}
	}
	return out.Close()
}

// toolRecipe identifies the tool that goes into an image.
func (b base) toolRecipe(ctx context.Context) (string, error) {
	tool, err := pinned.Load(ctx, b.root, b.tool)
	if err != nil {
		return "", err
	}
	version, err := goVersion(ctx)
	if err != nil {
		return "", err
	}
	key, err := tool.Key("go" + version)
	return string(bytes.Join([][]byte{[]byte(key), []byte(b.program)}, []byte(" "))), err
}
