package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/version"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"bookshelf/tools/internal/modules"
	"bookshelf/tools/internal/pinned"
)

// checker carries out the checks of one repository.
type checker struct {
	root    string
	modules []modules.Module
	tagged  []modules.Module // the same ones, as they are under a build tag
}

// files lists what git has or would add, by patterns, relative to the root: build results and state are not ours to check.
func (c checker) files(ctx context.Context, patterns ...string) ([]string, error) {
	args := append([]string{"ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate", "--"}, patterns...)
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = c.root
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	var files []string
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		// A deleted file is listed until the deletion is committed.
		if _, err := os.Stat(filepath.Join(c.root, name)); name != "" && err == nil {
			files = append(files, name)
		}
	}
	return files, nil
}

// output runs a command in dir. A command that ran and disapproved gives its output; one that did not run, an error.
func output(ctx context.Context, dir string, env []string, name string, args ...string) (complaint string, err error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, env
	out, err := cmd.CombinedOutput()
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		if len(bytes.TrimSpace(out)) == 0 {
			return fmt.Sprintf("%s %s: %v", name, strings.Join(args, " "), err), nil
		}
		return string(out), nil
	}
	return "", err
}

// format lists files that gofmt would write differently. It mends nothing: a check that changes files hides what was
// committed.
func (c checker) format(ctx context.Context) (string, error) {
	files, err := c.files(ctx, "*.go")
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "gofmt", append([]string{"-l"}, files...)...)
	cmd.Dir = c.root
	out, err := cmd.CombinedOutput() // a list of names, or complaints about syntax
	if err == nil && len(out) > 0 {
		return "`make fmt` mends these:\n" + string(out), nil
	}
	return string(out), nil
}

// goLines: one Go version for everybody, or a module would build here and not there. A pinned tool's module may ask for
// more: its authors decide what it needs. So may a module beside the workspace: what it requires can ask for it.
func (c checker) goLines(context.Context) (string, error) {
	wanted, err := goLine(filepath.Join(c.root, "go.work"))
	if err != nil {
		return "", err
	}
	var complaint strings.Builder
	for _, m := range c.modules {
		line, err := goLine(filepath.Join(m.Dir, "go.mod"))
		if err != nil {
			return "", err
		}
		if line != wanted && (m.Workspace || version.Compare(goVersion(line), goVersion(wanted)) < 0) {
			fmt.Fprintf(&complaint, "%s/go.mod says %q and go.work %q\n", m.Name, line, wanted)
		}
	}
	return complaint.String(), nil
}

// goVersion is the version that a go line names, as package version writes it.
func goVersion(line string) string { return "go" + strings.TrimSpace(strings.TrimPrefix(line, "go ")) }

// goLine returns the go line of a go.mod or go.work, as it is written.
func goLine(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "go ") {
			return lines.Text(), nil
		}
	}
	return "no go line", lines.Err()
}

// replacements: a replacement in a module of ours is somebody's experiment. A pinned tool may need one. One by the very version
// that is required changes nothing, and says to Dagger's generator that this version is to stay.
func (c checker) replacements(ctx context.Context) (string, error) {
	var complaint strings.Builder
	for _, m := range c.modules {
		cmd := exec.CommandContext(ctx, "go", "mod", "edit", "-json")
		cmd.Dir, cmd.Env = m.Dir, m.Env(os.Environ())
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("read %s/go.mod: %w", m.Name, err)
		}
		var mod struct {
			Require []module
			Replace []struct{ Old, New module }
		}
		if err := json.Unmarshal(out, &mod); err != nil {
			return "", fmt.Errorf("read %s/go.mod: %w", m.Name, err)
		}
		for _, r := range mod.Replace {
			if r.Old.Path == r.New.Path && slices.Contains(mod.Require, r.New) {
				continue
			}
			fmt.Fprintf(&complaint, "%s/go.mod replaces %s with %s\n", m.Name, r.Old.Path, r.New.Path)
		}
	}
	return complaint.String(), nil
}

// module is one version of a module, as go mod edit -json names it.
type module struct{ Path, Version string }

// scripts parses every shell script, and asks shellcheck where it is installed.
func (c checker) scripts(ctx context.Context) (string, error) {
	files, err := c.files(ctx, "*.sh", ".ci/run")
	if err != nil || len(files) == 0 {
		return "", err
	}
	var complaint strings.Builder
	for _, file := range files {
		out, err := output(ctx, c.root, nil, "bash", "-n", file)
		if err != nil {
			return "", err
		}
		complaint.WriteString(out)
	}
	if shellcheck, err := exec.LookPath("shellcheck"); err == nil {
		out, err := output(ctx, c.root, nil, shellcheck, files...)
		if err != nil {
			return "", err
		}
		complaint.WriteString(out)
	}
	return complaint.String(), nil
}

// workflows asks actionlint about what GitHub would run. It looks at the scripts in them too where shellcheck is installed.
func (c checker) workflows(ctx context.Context) (string, error) {
	files, err := c.files(ctx, ".github/workflows/*.yml", ".github/workflows/*.yaml")
	if err != nil || len(files) == 0 {
		return "", err
	}
	linter, err := pinned.Install(ctx, c.root, "actionlint")
	if err != nil {
		return "", err
	}
	return output(ctx, c.root, nil, linter, append([]string{"-no-color"}, files...)...)
}

// vet comes before the linter although that vets as well: it also says when a module does not compile at all.
func (c checker) vet(ctx context.Context) (string, error) {
	return everywhere(ctx, slices.Concat(c.modules, c.tagged), modules.Module.Env, "go", "vet", "./...")
}

// tidy looks at each module alone, as its users get it.
func (c checker) tidy(ctx context.Context) (string, error) {
	alone := func(_ modules.Module, base []string) []string {
		return append(slices.Clip(base), "GOWORK=off")
	}
	return everywhere(ctx, c.modules, alone, "go", "mod", "tidy", "-diff")
}

// lint runs the pinned linter, so that a finding here is a finding for everybody.
func (c checker) lint(ctx context.Context) (string, error) {
	linter, err := pinned.Install(ctx, c.root, "golangci-lint")
	if err != nil {
		return "", err
	}
	return everywhere(ctx, slices.Concat(c.modules, c.tagged), modules.Module.Env,
		linter, "run", "--allow-serial-runners", "--config", filepath.Join(c.root, ".golangci.yml"), "./...")
}

// everywhere runs one command in each of the modules and joins what it complains of.
func everywhere(
	ctx context.Context, all []modules.Module, env func(modules.Module, []string) []string, name string, args ...string,
) (string, error) {
	var complaint strings.Builder
	for _, m := range all {
		out, err := output(ctx, m.Dir, env(m, os.Environ()), name, args...)
		if err != nil {
			return "", err
		}
		if out != "" {
			fmt.Fprintf(&complaint, "in %s:\n%s\n", m.Name, strings.TrimRight(out, "\n"))
		}
	}
	return complaint.String(), nil
}
