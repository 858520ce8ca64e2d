package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"bookshelf/tools/internal/apt"
	"bookshelf/tools/internal/command"
	"bookshelf/tools/internal/docker"
	"bookshelf/tools/internal/term"
)

// dpkgOptions keep manuals and translations out of the image, now and when somebody installs a package in it. Debian's own
// slim image does the same; licences stay.
var dpkgOptions = []string{
	"path-exclude=/usr/share/doc/*",
	"path-include=/usr/share/doc/*/copyright",
	"path-exclude=/usr/share/man/*",
	"path-exclude=/usr/share/info/*",
	"path-exclude=/usr/share/groff/*",
	"path-exclude=/usr/share/lintian/*",
	"path-exclude=/usr/share/linda/*",
	"path-exclude=/usr/share/locale/*",
	"path-include=/usr/share/locale/locale.alias",
}

// prepareHost makes sure that stand-ins can be built, which may install mmdebstrap, and returns where packages come from.
func prepareHost(ctx context.Context) (apt.Mirrors, error) {
	engine, err := docker.Output(ctx, "version", "--format", "{{.Server.Os}}/{{.Server.Arch}}")
	if err != nil {
		return apt.Mirrors{}, err
	}
	if host := runtime.GOOS + "/" + runtime.GOARCH; engine != host {
		return apt.Mirrors{}, fmt.Errorf("the engine runs %s containers and this host is %s", engine, host)
	}
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		if !apt.Available() {
			return apt.Mirrors{}, errors.New("mmdebstrap is needed and this is not Debian or Ubuntu; pull the images where a registry answers and bring them here with docker save and docker load")
		}
		if !term.Confirm("No registry answers. Install mmdebstrap, to build the base images from Debian packages?") {
			return apt.Mirrors{}, fmt.Errorf("mmdebstrap is missing: %s (or set YES=1)", apt.InstallCommand("mmdebstrap"))
		}
		p := term.Start(os.Stderr, "mmdebstrap: installing")
		if err := apt.Install(ctx, "mmdebstrap", "debian-archive-keyring"); err != nil {
			p.Done("failed")
			return apt.Mirrors{}, err
		}
		p.Done("installed")
	}
	if !apt.Available() {
		return apt.Mirrors{}, nil
	}
	return apt.HostMirrors(ctx)
}

// debianSources are the arguments that tell mmdebstrap where packages come from: the host's own mirrors. Where the host
// has none (Ubuntu), none are given and mmdebstrap takes Debian's.
func debianSources(m apt.Mirrors) []string {
	if m.Debian == "" {
		return nil
	}
	sources := []string{
		"deb " + m.Debian + " " + suite + " main",
		"deb " + m.Debian + " " + suite + "-updates main",
	}
	if m.Security != "" {
		sources = append(sources, "deb "+m.Security+" "+suite+"-security main")
	}
	return sources
}

// buildStandIn makes a new Debian root with mmdebstrap, filters it on its way into a file, and hands that to docker load.
func buildStandIn(ctx context.Context, b base, mirrors apt.Mirrors, spool string, stderr io.Writer) error {
	recipe, err := b.recipe(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	fmt.Fprintf(stderr, "%s: building %s …\n", b.name, b.kind())
	l, err := newLayer(spool)
	if err != nil {
		return fmt.Errorf("%s: %w", b.name, err)
	}
	defer l.remove()
	fill := func() error { return b.bootstrap(ctx, mirrors, l) }
	if b.tool != "" {
		fill = func() error { return b.packProgram(ctx, l) }
	}
	if err := fill(); err != nil {
		return fmt.Errorf("%s: %w", b.name, err)
	}
	config, err := b.config(ctx, recipe)
	if err != nil {
		return fmt.Errorf("%s: %w", b.name, err)
	}
	if err := load(ctx, b.name, config, l); err != nil {
		return fmt.Errorf("%s: %w", b.name, err)
	}
	if b.own {
		fmt.Fprintf(stderr, "%s: built in %.0f s\n", b.name, time.Since(began).Seconds())
		return nil
	}
	fmt.Fprintf(stderr, "%s: stand-in built in %.0f s (not the official image; `docker rmi` it to pull that one)\n",
		b.name, time.Since(began).Seconds())
	return nil
}

// bootstrap writes the image's one layer.
func (b base) bootstrap(ctx context.Context, mirrors apt.Mirrors, l *layer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := mmdebstrap(ctx, b, mirrors)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	root, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("mmdebstrap: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("mmdebstrap: %w", err)
	}
	out := tar.NewWriter(l)
	packed := pack(ctx, b, root, out)
	if packed != nil {
		cancel() // mmdebstrap would wait for its reader for ever
	}
	err = cmd.Wait()
	switch {
	case packed != nil:
		return packed
	case err != nil:
		return fmt.Errorf("mmdebstrap: %w\n%s", err, command.Tail(complaint.String(), 8))
	}
	return out.Close()
}

// mmdebstrap is the command that writes a Debian root as a tar stream to its standard output. As root it works in a plain
// folder, as anybody else in a user namespace: it chooses itself.
func mmdebstrap(ctx context.Context, b base, mirrors apt.Mirrors) *exec.Cmd {
	args := []string{"--variant=minbase", "--format=tar"}
	if len(b.packages) > 0 {
		args = append(args, "--include="+strings.Join(b.packages, ","))
	}
	for _, o := range dpkgOptions {
		args = append(args, "--dpkgopt="+o)
	}
	for _, o := range mirrors.Options {
		args = append(args, "--aptopt="+o)
	}
	for _, h := range b.essentialHooks {
		args = append(args, "--essential-hook="+h)
	}
	for _, h := range b.customizeHooks {
		args = append(args, "--customize-hook="+h)
	}
	args = append(append(args, suite, "-"), debianSources(mirrors)...)
	cmd := exec.CommandContext(ctx, "mmdebstrap", args...)
	// A group of its own, because a failing mmdebstrap signals its whole group, us included. It removes its folder when it
	// is asked to stop, and cannot when it is killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 15 * time.Second
	return cmd
}

// pack copies the tar stream root to out without what the image does not need, and adds what it does.
func pack(ctx context.Context, b base, root io.Reader, out *tar.Writer) error {
	in := tar.NewReader(root)
	for {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read the new root: %w", err)
		}
		name := strings.TrimPrefix(header.Name, "./")
		if name == "" || b.drops(strings.TrimSuffix(name, "/")) {
			continue
		}
		header.Name = name
		if err := out.WriteHeader(header); err != nil {
			return fmt.Errorf("pack %s: %w", name, err)
		}
		if _, err := io.Copy(out, in); err != nil {
			return fmt.Errorf("pack %s: %w", name, err)
		}
	}
	for _, f := range b.files {
		if err := addFile(out, f); err != nil {
			return fmt.Errorf("pack %s: %w", f.path, err)
		}
	}
	if b.goToolchain {
		if err := addGo(ctx, out); err != nil {
			return fmt.Errorf("pack the host's Go: %w", err)
		}
	}
	// mmdebstrap pads its stream; it must be able to end.
	_, err := io.Copy(io.Discard, root)
	return err
}

// addFile writes a file of the table, or a directory. Times are left at zero: they would change the layer for nothing.
func addFile(out *tar.Writer, f file) error {
	header := &tar.Header{Name: f.path, Mode: f.mode, Uid: f.uid, Gid: f.gid, Size: int64(len(f.content)), Typeflag: tar.TypeReg}
	if strings.HasSuffix(f.path, "/") {
		header.Typeflag = tar.TypeDir
	}
	if err := out.WriteHeader(header); err != nil {
		return err
	}
	_, err := out.Write(f.content)
	return err
}

// goParts is what of a Go installation compiles programs; the rest is documentation and Go's own tests.
var goParts = []string{"VERSION", "LICENSE", "go.env", "bin", "lib", "pkg/include", "pkg/tool", "src"}

// addGo adds the host's Go as /usr/local/go.
func addGo(ctx context.Context, out *tar.Writer) error {
	goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("ask go for its root: %w", err)
	}
	for _, part := range goParts {
		top := filepath.Join(strings.TrimSpace(string(goroot)), part)
		// Distributions make some of these links to /usr/share; what they lead to is meant.
		real, err := filepath.EvalSymlinks(top)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		err = filepath.WalkDir(real, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(real, path)
			if err != nil {
				return err
			}
			if d.IsDir() && d.Name() == "testdata" {
				return filepath.SkipDir
			}
			if d.IsDir() || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			return addGoFile(out, path, filepath.ToSlash(filepath.Join("usr/local/go", part, rel)))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// addGoFile writes one file of the Go installation, owned by root and readable by all, whatever it is on the host: a
// toolchain in a module cache is read-only and somebody's own.
func addGoFile(out *tar.Writer, path, name string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	mode := int64(0o644)
	if info.Mode()&0o100 != 0 {
		mode = 0o755
	}
	// The time matters: the go command takes newer sources than its archives for a change.
	header := &tar.Header{Name: strings.TrimSuffix(name, "/."), Mode: mode, Size: info.Size(), ModTime: info.ModTime(), Typeflag: tar.TypeReg}
	if err := out.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(out, f)
	return err
}

// kind says what is built here.
func (b base) kind() string {
	if b.own {
		return "it"
	}
	return "a stand-in"
}
