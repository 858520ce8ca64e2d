// Package pinned builds third-party tools at the version that this repository pins, once per machine.
//
// A tool is a folder tools/NAME with its own go.mod, which pins the version, and a tool.json, which says how to build it
// and what an official binary of it is called.
package pinned

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// Settings is tool.json: what go.mod cannot say about a tool.
type Settings struct {
	// Package is the main package to build; "." is the folder's own.
	Package string `json:"package"`
	// Version without its v. Only for Package ".": everything else takes it from go.mod.
	Version string `json:"version,omitempty"`
	// Ldflags for the linker; {{version}} stands for the version without its v.
	Ldflags string `json:"ldflags,omitempty"`
	// Experiment is GOEXPERIMENT while building.
	Experiment string `json:"experiment,omitempty"`
	// VersionArgs make the tool print its version.
	VersionArgs []string `json:"versionArgs"`
	// Official lists where a binary made by the tool's own authors may be: a name on the PATH or a path in which $HOME,
	// $PULUMI_HOME and $VERSION are replaced. A path that has v$VERSION as a folder's ending is believed without asking.
	Official []string `json:"official,omitempty"`
	// Minutes is how long a cold build takes on two cores, told before it starts.
	Minutes int `json:"minutes"`
}

// Tool is a pinned tool, read from its folder.
type Tool struct {
	Name    string
	Version string // without its v: 0.38.2
	Dir     string // tools/NAME, absolute
	Settings
}

// name is what a tool's folder may be called. A name becomes part of paths, so it must not lead anywhere else.
var name = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)

// Load reads the tool called toolName below root, the repository.
func Load(ctx context.Context, root, toolName string) (*Tool, error) {
	if !name.MatchString(toolName) {
		return nil, fmt.Errorf("%q is not a tool's name; there are: %s", toolName, strings.Join(Names(root), ", "))
	}
	t := &Tool{Name: toolName, Dir: filepath.Join(root, "tools", toolName)}
	file := filepath.Join(t.Dir, "tool.json")
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no tool %q (no tools/%s/tool.json); there are: %s",
			toolName, toolName, strings.Join(Names(root), ", "))
	}
	if err != nil {
		return nil, fmt.Errorf("read the settings of %s: %w", toolName, err)
	}
	if t.Settings, err = parse(data); err != nil {
		return nil, fmt.Errorf("tools/%s/tool.json: %w", toolName, err)
	}
	t.Version = t.Settings.Version
	if t.Package != "." {
		if t.Version, err = requiredVersion(ctx, t.Dir, t.Package); err != nil {
			return nil, fmt.Errorf("tools/%s/go.mod: %w", toolName, err)
		}
	}
	return t, nil
}

// Names lists every tool of the repository, in order.
func Names(root string) []string {
	files, err := filepath.Glob(filepath.Join(root, "tools", "*", "tool.json"))
	if err != nil {
		return nil // only a malformed pattern, and this one is constant
	}
	names := make([]string, 0, len(files))
	for _, f := range files {
		names = append(names, filepath.Base(filepath.Dir(f)))
	}
	slices.Sort(names)
	return names
}

// parse reads tool.json and reports everything that is wrong with it at once.
func parse(data []byte) (Settings, error) {
	var s Settings
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s); err != nil {
		return Settings{}, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Settings{}, errors.New("something follows the settings")
	}
	var problems []error
	if s.Package == "" {
		problems = append(problems, errors.New("package is missing"))
	}
	if (s.Package == ".") != (s.Version != "") {
		problems = append(problems, errors.New(`version belongs here when package is ".", and in go.mod otherwise`))
	}
	if strings.HasPrefix(s.Version, "v") {
		problems = append(problems, errors.New("version is written without its v"))
	}
	if len(s.VersionArgs) == 0 {
		problems = append(problems, errors.New("versionArgs is missing"))
	}
	if s.Minutes < 1 {
		problems = append(problems, errors.New("minutes must be at least 1"))
	}
	return s, errors.Join(problems...)
}

// requiredVersion returns the version of the module that provides pkg, without its v, as dir/go.mod requires it.
func requiredVersion(ctx context.Context, dir, pkg string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "edit", "-json")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return "", fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
		}
		return "", err
	}
	var mod struct {
		Require []struct{ Path, Version string }
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		return "", fmt.Errorf("read go mod edit -json: %w", err)
	}
	// The longest path wins: a repository may hold a module below another one.
	path, version := "", ""
	for _, r := range mod.Require {
		if (pkg == r.Path || strings.HasPrefix(pkg, r.Path+"/")) && len(r.Path) > len(path) {
			path, version = r.Path, r.Version
		}
	}
	if path == "" {
		return "", fmt.Errorf("no required module provides %s", pkg)
	}
	return strings.TrimPrefix(version, "v"), nil
}

// Key names one build of the tool: it changes with everything that goes into the binary, so that two clones with the
// same pins share one and a raised version never meets an old binary.
func (t *Tool) Key(goVersion string) (string, error) {
	sum := sha256.New()
	fmt.Fprintln(sum, goVersion, runtime.GOOS, runtime.GOARCH, os.Getenv("GOAMD64"), os.Getenv("GOARM64"))
	err := filepath.WalkDir(t.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		// Prose and tests are not in the binary.
		if !d.Type().IsRegular() || strings.HasSuffix(path, ".md") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(t.Dir, path)
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%s %d\n", rel, len(data))
		sum.Write(data)
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("compute the key of %s: %w", t.Name, err)
	}
	return hex.EncodeToString(sum.Sum(nil))[:16], nil
}
