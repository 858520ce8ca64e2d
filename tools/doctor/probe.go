package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"bookshelf/tools/internal/apt"
	"bookshelf/tools/internal/docker"
	"bookshelf/tools/internal/repo"
)

// probe looks at the machine and draws no conclusions.
type probe struct {
	root     string
	port     string
	ownLabel string
}

// gather asks everything. A question that cannot be answered is a fact of its own where that means something (no engine),
// and an error where it means that this check itself is broken (no go.work).
func (p probe) gather(ctx context.Context) (facts, error) {
	f := facts{
		git:           has("git"),
		cCompiler:     has("cc"),
		dockerCommand: has("docker"),
		engineAddress: os.Getenv("DOCKER_HOST"),
		mmdebstrap:    has("mmdebstrap"),
		port:          p.port,
		apt:           apt.Available(),
		root:          os.Geteuid() == 0,
	}
	var err error
	if f.goWanted, err = wantedGo(filepath.Join(p.root, "go.work")); err != nil {
		return facts{}, err
	}
	version, err := exec.CommandContext(ctx, "go", "env", "GOVERSION").Output()
	if err != nil {
		return facts{}, fmt.Errorf("ask go for its version: %w", err)
	}
	f.goVersion = strings.TrimPrefix(strings.TrimSpace(string(version)), "go")
	if f.dockerCommand {
		p.askEngine(ctx, &f)
	}
	if f.diskFree, err = leastFree(ctx, p.root, f.engineAPI != ""); err != nil {
		return facts{}, err
	}
	if p.port != "" {
		if err := p.askPort(ctx, &f); err != nil {
			return facts{}, err
		}
	}
	f.newestFile = aheadOfNow(ctx, p.root)
	f.clockSkew = clockSkew(ctx)
	return f, ctx.Err()
}

// has tells whether a command is on the PATH.
func has(command string) bool {
	_, err := exec.LookPath(command)
	return err == nil
}

// wantedGo reads the go line of go.work.
func wantedGo(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("find the wanted Go version: %w", err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if version, ok := strings.CutPrefix(lines.Text(), "go "); ok {
			return strings.TrimSpace(version), nil
		}
	}
	return "", errors.New("go.work has no go line")
}

// askEngine fills in what the engine and its client tell of themselves.
func (p probe) askEngine(ctx context.Context, f *facts) {
	// An engine that is starting, or a DOCKER_HOST that nobody answers, must not hang a check.
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	api, err := docker.Output(ctx, "version", "--format", "{{.Server.APIVersion}}")
	if err != nil {
		f.engineError = strings.TrimPrefix(err.Error(), "docker version: ")
		return
	}
	f.engineAPI = api
	f.buildxPlugin = exec.CommandContext(ctx, "docker", "buildx", "version").Run() == nil
	_, err = os.Stat(filepath.Join(p.root, ".tools", "bin", "buildx"))
	f.buildxBuilt = err == nil
	check := exec.CommandContext(ctx, "go", "run", "./bases", "--check")
	check.Dir = filepath.Join(p.root, "tools")
	check.Env = append(os.Environ(), "GOWORK=off")
	// Only asked where it matters: with mmdebstrap, missing images can be built.
	f.basesThere = f.mmdebstrap || check.Run() == nil
}

// leastFree returns the free space, in bytes, of the fullest file system that this repository's commands write to.
func leastFree(ctx context.Context, root string, engine bool) (int64, error) {
	dirs := []string{root}
	if cache, err := repo.Cache(); err == nil {
		dirs = append(dirs, cache)
	}
	if out, err := exec.CommandContext(ctx, "go", "env", "GOCACHE").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	if engine {
		// A remote engine's folder is usually not here; then its disk is not ours to judge.
		if dir, err := docker.Output(ctx, "info", "--format", "{{.DockerRootDir}}"); err == nil {
			dirs = append(dirs, dir)
		}
	}
	least := int64(-1)
	for _, dir := range dirs {
		var s syscall.Statfs_t
		err := syscall.Statfs(dir, &s)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("ask for the free space of %s: %w", dir, err)
		}
		//nolint:unconvert // the fields' types differ between operating systems
		if free := int64(s.Bavail) * int64(s.Bsize); least < 0 || free < least {
			least = free
		}
	}
	return least, nil
}

// askPort tries to listen where the environment will. Only trying tells: a list of listening sockets does not know of
// reserved ports or missing rights.
func (p probe) askPort(ctx context.Context, f *facts) error {
	host, port, err := net.SplitHostPort(p.port)
	if err != nil {
		return fmt.Errorf("--port: %w", err)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("--port %s: %q is not a port", p.port, port)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err == nil {
		return l.Close()
	}
	f.portError = "it cannot be listened on"
	if errors.Is(err, syscall.EADDRINUSE) {
		f.portError = "it is in use"
	} else if errors.Is(err, fs.ErrPermission) {
		f.portError = "only root may listen there"
	}
	if p.ownLabel != "" && f.engineAPI != "" {
		ours, err := docker.Output(ctx, "ps", "--quiet", "--filter", "publish="+port, "--filter", "label="+p.ownLabel)
		if err != nil {
			return err
		}
		f.portOurs = ours != ""
	}
	return nil
}

// aheadOfNow tells how far the newest commit or the newest of a few files lies in the future; 0 when none does.
func aheadOfNow(ctx context.Context, root string) time.Duration {
	newest := time.Time{}
	for _, name := range []string{"go.work", "Makefile", "app/go.mod"} {
		if info, err := os.Stat(filepath.Join(root, name)); err == nil && info.ModTime().After(newest) {
			newest = info.ModTime()
		}
	}
	cmd := exec.CommandContext(ctx, "git", "log", "-1", "--format=%ct")
	cmd.Dir = root
	if out, err := cmd.Output(); err == nil {
		if seconds, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64); err == nil && time.Unix(seconds, 0).After(newest) {
			newest = time.Unix(seconds, 0)
		}
	}
	return max(0, time.Until(newest))
}

// clockSkew compares the clock with the Date header of the first module proxy that Go is set to use. Anything but an
// answer within two seconds means not knowing, which is no finding.
func clockSkew(ctx context.Context) time.Duration {
	out, err := exec.CommandContext(ctx, "go", "env", "GOPROXY").Output()
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(strings.ReplaceAll(strings.TrimSpace(string(out)), "|", ","), ",")
	address, err := url.Parse(first)
	if err != nil || (address.Scheme != "https" && address.Scheme != "http") {
		return 0
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, address.String(), nil)
	if err != nil {
		return 0
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	date, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil {
		return 0
	}
	return time.Since(date)
}
