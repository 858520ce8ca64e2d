// Package modules lists the Go modules of the repository.
package modules

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Module is one Go module of the repository.
type Module struct {
	Name      string // app, infra, …: its folder below the root
	Dir       string // absolute
	Workspace bool   // listed in go.work

	// For a module as it is under a build tag: the tag, and the packages that it changes. Otherwise empty.
	Tag      string
	Packages []string
}

// List returns the modules of go.work, in its order, and then those that stand alone: every other folder of which git has, or would
// add, a go.mod. Nobody has to be told of a new one. The pinned tools below tools/ are somebody else's code and not in the list.
func List(ctx context.Context, root string) ([]Module, error) {
	workspace, err := lines(ctx, root, "go", "list", "-m", "-f", "{{.Dir}}")
	if err != nil {
		return nil, fmt.Errorf("list the modules of go.work: %w", err)
	}
	var list []Module
	for _, dir := range workspace {
		name, err := filepath.Rel(root, dir)
		if err != nil {
			return nil, fmt.Errorf("list the modules of go.work: %w", err)
		}
		list = append(list, Module{Name: filepath.ToSlash(name), Dir: dir, Workspace: true})
	}
	files, err := lines(ctx, root, "git", "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", "--", "go.mod", "**/go.mod")
	if err != nil {
		return nil, fmt.Errorf("list the modules beside go.work: %w", err)
	}
	for _, file := range files {
		name := path.Dir(file)
		known := slices.ContainsFunc(list, func(m Module) bool { return m.Name == name })
		if known || strings.HasPrefix(name, "tools/") {
			continue
		}
		// A deleted file is listed until the deletion is committed.
		if _, err := os.Stat(filepath.Join(root, file)); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		list = append(list, Module{Name: name, Dir: filepath.Join(root, name)})
	}
	return list, nil
}

// lines runs a command in root and returns what it prints, by line.
func lines(ctx context.Context, root, command string, args ...string) ([]string, error) {
	cmd := exec.CommandContext(ctx, command, args...)
	cmd.Dir = root
	// GOWORK=off is how this command itself was started; the workspace is what is asked about.
	cmd.Env = append(os.Environ(), "GOWORK="+filepath.Join(root, "go.work"))
	out, err := cmd.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%s: %w: %s", command, err, strings.TrimSpace(string(exit.Stderr)))
		}
		return nil, err
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == '\n' || r == '\r' }), nil
}

// Tagged returns the modules that have code under a build tag, as they are under it. List has them without.
func Tagged(root string) []Module {
	return []Module{{
		Name: "app+faults", Dir: filepath.Join(root, "app"), Workspace: true,
		Tag: "faults", Packages: []string{"./internal/faults", "./internal/bookd"},
	}}
}

// Env is the environment in which the go command sees the module as its users do: in the workspace, or alone; and under its tag,
// which joins the flags that base has.
func (m Module) Env(base []string) []string {
	workspace := "off"
	if m.Workspace {
		workspace = ""
	}
	env := append(slices.Clip(base), "GOWORK="+workspace)
	if m.Tag == "" {
		return env
	}
	flags := "-tags=" + m.Tag
	for _, variable := range base {
		if given, ok := strings.CutPrefix(variable, "GOFLAGS="); ok {
			flags = strings.TrimSpace(given + " -tags=" + m.Tag)
		}
	}
	return append(env, "GOFLAGS="+flags)
}

// Tested are the patterns of the packages whose tests are the module's.
func (m Module) Tested() []string {
	if m.Tag == "" {
		return []string{"./..."}
	}
	return m.Packages
}
