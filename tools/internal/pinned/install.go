package pinned

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"bookshelf/tools/internal/command"
	"bookshelf/tools/internal/filelock"
	"bookshelf/tools/internal/repo"
	"bookshelf/tools/internal/term"
)

// Install makes root/.tools/bin/NAME a link to the tool at its pinned version and returns the link's path. It says on
// standard error what it does and nothing when there is nothing to do. Two processes may install the same tool at once.
func Install(ctx context.Context, root, toolName string) (string, error) {
	cache, err := repo.Cache()
	if err != nil {
		return "", err
	}
	return install(ctx, root, cache, toolName)
}

// install is Install with a cache of the caller's choice.
func install(ctx context.Context, root, cache, toolName string) (string, error) {
	t, err := Load(ctx, root, toolName)
	if err != nil {
		return "", err
	}
	goVersion, err := exec.CommandContext(ctx, "go", "env", "GOVERSION").Output()
	if err != nil {
		return "", fmt.Errorf("ask go for its version: %w", err)
	}
	key, err := t.Key(strings.TrimSpace(string(goVersion)))
	if err != nil {
		return "", err
	}
	link := filepath.Join(root, ".tools", "bin", t.Name)
	binary := filepath.Join(cache, "tools", t.Name, key, t.Name)
	if !isFile(binary) {
		if official := t.findOfficial(ctx); official != "" {
			if now, err := os.Readlink(link); err != nil || now != official {
				fmt.Fprintf(os.Stderr, "%s %s: taking the installed %s\n", t.Name, t.Version, official)
			}
			return link, pointTo(link, official)
		}
		if err := t.build(ctx, binary); err != nil {
			return "", err
		}
	}
	return link, pointTo(link, binary)
}

// isFile follows links: a link to a binary that was removed from the cache is no file.
func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// build makes binary, under a lock and by renaming a finished file, so that no interruption leaves half of one.
func (t *Tool) build(ctx context.Context, binary string) error {
	home := filepath.Dir(filepath.Dir(binary))
	if err := os.MkdirAll(home, 0o755); err != nil {
		return fmt.Errorf("make the tool cache: %w", err)
	}
	release, err := filelock.Take(ctx, filepath.Join(home, "lock"), func() {
		fmt.Fprintf(os.Stderr, "%s: another process is building it; waiting\n", t.Name)
	})
	if err != nil {
		return err
	}
	defer release()
	if isFile(binary) {
		return nil
	}
	// Whoever holds the lock is alone here, so older leavings are of a build that was killed.
	leavings, err := filepath.Glob(filepath.Join(home, ".build-*"))
	if err != nil {
		return fmt.Errorf("look for leavings of %s: %w", t.Name, err)
	}
	for _, dir := range leavings {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove an unfinished build: %w", err)
		}
	}
	tmp, err := os.MkdirTemp(home, ".build-")
	if err != nil {
		return fmt.Errorf("make room for %s: %w", t.Name, err)
	}
	defer os.RemoveAll(tmp)

	p := term.Start(os.Stderr, fmt.Sprintf("%s %s: building it from source, %d min the first time", t.Name, t.Version, t.Minutes))
	unfinished := filepath.Join(tmp, t.Name)
	if err := persistently(ctx, func() error { return t.goBuild(ctx, unfinished) }); err != nil {
		p.Done("failed")
		return err
	}
	if err := t.verify(ctx, unfinished); err != nil {
		p.Done("failed")
		return fmt.Errorf("the %s just built is not %s: %w", t.Name, t.Version, err)
	}
	if err := os.MkdirAll(filepath.Dir(binary), 0o755); err != nil {
		return fmt.Errorf("make the tool cache: %w", err)
	}
	if err := os.Rename(unfinished, binary); err != nil {
		return fmt.Errorf("keep the built %s: %w", t.Name, err)
	}
	p.Done("built")
	return nil
}

// goBuild compiles the tool into out. Without cgo, so that the binary depends on nothing of this machine and needs no C
// compiler; read-only, because a build that edits go.mod would not be the pinned one.
func (t *Tool) goBuild(ctx context.Context, out string) error {
	ldflags := strings.ReplaceAll(t.Ldflags, "{{version}}", t.Version)
	cmd := exec.CommandContext(ctx, "go", "build", "-mod=readonly", "-trimpath", "-buildvcs=false",
		"-ldflags", strings.TrimSpace("-s -w "+ldflags), "-o", out, t.Package)
	cmd.Dir = t.Dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	if t.Experiment != "" {
		cmd.Env = append(cmd.Env, "GOEXPERIMENT="+t.Experiment)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stopGently(cmd)
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("build %s %s in tools/%s: %w\n%s", t.Name, t.Version, t.Name, err, lastLines(stderr.String(), 20))
	}
	return nil
}

// stopGently lets the go command end its compilers and remove its work folder when the context is done.
func stopGently(cmd *exec.Cmd) {
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 10 * time.Second
}

// lastLines keeps the end of what a command said, without the downloads that come before every first build.
func lastLines(s string, n int) string {
	var kept strings.Builder
	for line := range strings.Lines(s) {
		if !strings.HasPrefix(line, "go: downloading ") {
			kept.WriteString(line)
		}
	}
	return command.Tail(kept.String(), n)
}

// findOfficial returns the path of an installed official binary of exactly the pinned version, or "".
func (t *Tool) findOfficial(ctx context.Context) string {
	for _, candidate := range t.Official {
		path, ok := t.locate(candidate)
		if !ok {
			continue
		}
		if strings.HasSuffix(filepath.Dir(path), "v"+t.Version) || t.verify(ctx, path) == nil {
			return path
		}
	}
	return ""
}

// locate turns an entry of Official into the absolute path of an existing file.
func (t *Tool) locate(candidate string) (string, bool) {
	if !strings.ContainsRune(candidate, '/') {
		path, err := exec.LookPath(candidate)
		if err != nil {
			return "", false
		}
		path, err = filepath.Abs(path)
		return path, err == nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", false
	}
	path := os.Expand(candidate, func(variable string) string {
		switch variable {
		case "HOME":
			return home
		case "VERSION":
			return t.Version
		case "PULUMI_HOME":
			if dir := os.Getenv("PULUMI_HOME"); dir != "" {
				return dir
			}
			return filepath.Join(home, ".pulumi")
		default:
			return "$" + variable
		}
	})
	return path, filepath.IsAbs(path) && isFile(path)
}

// verify asks the binary at path its version and returns an error unless it is the pinned one.
func (t *Tool) verify(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, t.VersionArgs...)
	// A version question must not become a look for updates on the network.
	cmd.Env = append(os.Environ(), "PULUMI_SKIP_UPDATE_CHECK=true")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", path, strings.Join(t.VersionArgs, " "), err, lastLines(string(out), 3))
	}
	if !says(string(out), t.Version) {
		return fmt.Errorf("%s %s says %q", path, strings.Join(t.VersionArgs, " "), lastLines(string(out), 3))
	}
	return nil
}

// says tells whether text names exactly version: 3.2.0 is neither 13.2.0 nor 3.2.0-rc.1.
func says(text, version string) bool {
	exact := regexp.MustCompile(`(?:^|[^0-9A-Za-z.+-])v?` + regexp.QuoteMeta(version) + `(?:$|[^0-9A-Za-z.+-])`)
	return exact.MatchString(text)
}

// pointTo makes link a symbolic link to target in one step: a reader sees the old one or the new one, never none.
func pointTo(link, target string) error {
	if now, err := os.Readlink(link); err == nil && now == target {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return fmt.Errorf("make the folder of %s: %w", filepath.Base(link), err)
	}
	tmp := fmt.Sprintf("%s.%d", link, os.Getpid())
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("link %s: %w", filepath.Base(link), err)
	}
	if err := os.Symlink(target, tmp); err != nil {
		return fmt.Errorf("link %s: %w", filepath.Base(link), err)
	}
	if err := os.Rename(tmp, link); err != nil {
		return errors.Join(fmt.Errorf("link %s: %w", filepath.Base(link), err), os.Remove(tmp))
	}
	return nil
}
