package main

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os/exec"
	"path"
	"strings"
)

const (
	// standInLabel marks an image that was built here instead of pulled.
	standInLabel = "org.bookshelf.stand-in"
	// recipeLabel holds what a stand-in was made of, so that a changed recipe replaces it.
	recipeLabel = "org.bookshelf.stand-in.recipe"

	// suite is the Debian release that every tag below names.
	suite = "trixie"

	systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// base is a base image and how to make its stand-in.
type base struct {
	name     string
	packages []string // beside Debian's required ones
	// hooks are shell commands for mmdebstrap, run with the new root as $1.
	essentialHooks, customizeHooks []string
	// drop lists path patterns (path.Match, or a folder with everything below it when it ends in a slash).
	drop []string
	// goToolchain adds the host's Go in /usr/local/go.
	goToolchain bool
	files       []file
	run         runConfig
	// tool is the pinned tool, of the repository at root, that is all of the image, as program; own says that no registry has the image.
	tool, program, root string
	own                 bool
}

// runConfig is how containers of the image start: the part of the image specification that the table needs, spelled as in
// https://github.com/opencontainers/image-spec/blob/main/config.md.
type runConfig struct {
	Env          []string            `json:",omitempty"`
	Entrypoint   []string            `json:",omitempty"`
	Cmd          []string            `json:",omitempty"`
	WorkingDir   string              `json:",omitempty"`
	Volumes      map[string]struct{} `json:",omitempty"`
	ExposedPorts map[string]struct{} `json:",omitempty"`
	StopSignal   string              `json:",omitempty"`
	Labels       map[string]string   `json:",omitempty"`
}

// file is something this repository adds to a stand-in; a directory when content is nil.
type file struct {
	path     string
	mode     int64
	uid, gid int
	content  []byte
}

//go:embed postgres/docker-entrypoint.sh
var postgresEntrypoint []byte

// postgresID is the numeric user and group of the official image. Volumes made by either image must fit the other.
const postgresID = 999

// table is the one list of base images. A tag here is a tag in the Dockerfile, in docker-compose.yml and in infra.
var table = []base{
	{
		name: "debian:trixie-slim",
		run: runConfig{
			Env: []string{"PATH=" + systemPath},
			Cmd: []string{"bash"},
		},
	},
	{
		name:        "golang:1.26-trixie",
		packages:    []string{"ca-certificates", "gcc", "git", "libc6-dev", "make", "pkg-config"},
		goToolchain: true,
		files: []file{
			{path: "go/", mode: 0o1777},
			{path: "go/bin/", mode: 0o1777},
			{path: "go/src/", mode: 0o1777},
		},
		// Link-time optimisation: a tenth of the image, and cgo never asks for it.
		drop: []string{"usr/libexec/gcc/*/*/lto1", "usr/bin/*-lto-dump-*"},
		run: runConfig{
			Env:        []string{"GOTOOLCHAIN=local", "GOPATH=/go", "PATH=/go/bin:/usr/local/go/bin:" + systemPath},
			Cmd:        []string{"bash"},
			WorkingDir: "/go",
		},
	},
	{
		name: "postgres:17-trixie",
		// locales and libnss-wrapper as in the official image: its default locale is en_US.utf8, and any --user may run it.
		packages: []string{"libnss-wrapper", "locales", "postgresql-17"},
		essentialHooks: []string{
			fmt.Sprintf(`echo 'postgres:x:%d:' >>"$1/etc/group"`, postgresID),
			fmt.Sprintf(`echo 'postgres:x:%d:%d::/var/lib/postgresql:/bin/bash' >>"$1/etc/passwd"`, postgresID, postgresID),
		},
		customizeHooks: []string{
			`chroot "$1" localedef -i en_US -c -f UTF-8 -A /usr/share/locale/locale.alias en_US.UTF-8`,
			// Containers are reached over their network.
			`sed -ri "s/^#?(listen_addresses)\s*=.*/\1 = '*'/" "$1/usr/share/postgresql/17/postgresql.conf.sample"`,
		},
		drop: []string{
			// The cluster that the Debian package makes on installation.
			"etc/postgresql/17/", "var/lib/postgresql/17/", "etc/ssl/private/*", "etc/ssl/certs/ssl-cert-snakeoil.pem",
			// Just-in-time compilation is two thirds of the installation, and the server does without when it is not there.
			"usr/lib/*/libLLVM*", "usr/lib/llvm-*/", "usr/lib/postgresql/17/lib/llvmjit*", "usr/lib/postgresql/17/lib/bitcode/",
			"usr/share/i18n/",
		},
		files: []file{
			{path: "usr/local/bin/docker-entrypoint.sh", mode: 0o755, content: postgresEntrypoint},
			{path: "docker-entrypoint-initdb.d/", mode: 0o755},
			{path: "var/lib/postgresql/", mode: 0o1777, uid: postgresID, gid: postgresID},
			{path: "var/lib/postgresql/data/", mode: 0o1777, uid: postgresID, gid: postgresID},
			{path: "run/postgresql/", mode: 0o3777, uid: postgresID, gid: postgresID},
		},
		run: runConfig{
			Env: []string{
				"LANG=en_US.utf8", "PG_MAJOR=17", "PGDATA=/var/lib/postgresql/data",
				"PATH=" + systemPath + ":/usr/lib/postgresql/17/bin",
			},
			Entrypoint:   []string{"docker-entrypoint.sh"},
			Cmd:          []string{"postgres"},
			Volumes:      map[string]struct{}{"/var/lib/postgresql/data": {}},
			ExposedPorts: map[string]struct{}{"5432/tcp": {}},
			StopSignal:   "SIGINT", // "fast shutdown": do not wait for clients to leave
		},
	},
}

// dropAlways is what no image needs: device files (the engine makes its own), the host's name servers and apt settings,
// caches and logs.
var dropAlways = []string{
	"dev/", "etc/hostname", "etc/resolv.conf", "etc/apt/apt.conf.d/99mmdebstrap", "var/cache/apt/", "var/cache/debconf/*-old",
	"var/cache/ldconfig/aux-cache", "var/lib/apt/lists/", "var/lib/dpkg/*-old", "var/log/", "etc/*-",
}

// drops tells whether the entry called name, without a leading slash, stays out of the image.
func (b base) drops(name string) bool {
	for _, f := range b.files {
		// Ours takes its place: the engine refuses a layer that names a path twice.
		if strings.TrimSuffix(f.path, "/") == name {
			return true
		}
	}
	for _, list := range [][]string{dropAlways, b.drop} {
		for _, pattern := range list {
			if folder, ok := strings.CutSuffix(pattern, "/"); ok {
				// The folder itself stays: something may be mounted on it or written into it.
				depth := strings.Count(pattern, "/")
				parts := strings.Split(name, "/")
				if len(parts) > depth && matches(folder, strings.Join(parts[:depth], "/")) {
					return true
				}
			} else if matches(pattern, name) {
				return true
			}
		}
	}
	return false
}

// matches is path.Match for patterns that are constants of this file, where a malformed one is a mistake that the first
// image shows.
func matches(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return err == nil && ok
}

// recipe identifies what a stand-in is made of: the table's entry and, where Go goes into it, Go's version.
func (b base) recipe(ctx context.Context) (string, error) {
	sum := sha256.New()
	write := func(v any) error { return json.NewEncoder(sum).Encode(v) }
	parts := []any{b.name, b.packages, b.essentialHooks, b.customizeHooks, b.drop, dropAlways, b.run, dpkgOptions}
	for _, f := range b.files {
		parts = append(parts, f.path, f.mode, f.uid, f.gid, f.content)
	}
	if b.goToolchain {
		version, err := goVersion(ctx)
		if err != nil {
			return "", err
		}
		parts = append(parts, version)
	}
	if b.tool != "" {
		tool, err := b.toolRecipe(ctx)
		if err != nil {
			return "", err
		}
		parts = append(parts, tool)
	}
	for _, part := range parts {
		if err := write(part); err != nil {
			return "", fmt.Errorf("compute the recipe of %s: %w", b.name, err)
		}
	}
	return hex.EncodeToString(sum.Sum(nil))[:16], nil
}

// goVersion is the host's Go without its go prefix: 1.26.8.
func goVersion(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOVERSION").Output()
	if err != nil {
		return "", fmt.Errorf("ask go for its version: %w", err)
	}
	return strings.TrimPrefix(strings.TrimSpace(string(out)), "go"), nil
}
