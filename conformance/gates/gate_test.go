package gates

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// needGates passes the test over where nobody asked for every gate.
func needGates(t *testing.T) {
	t.Helper()
	if os.Getenv("REQUIRE_GATES") != "1" {
		t.Skip("it takes tools that are minutes in the making: `make e2e-gates` runs it")
	}
}

// needScanner passes the test over where neither all services nor every gate were asked for. It is for the short form of the
// scan's proof, which `make test` runs.
func needScanner(t *testing.T) {
	t.Helper()
	if os.Getenv("REQUIRE_SERVICES") != "1" {
		needGates(t)
	}
}

// root is the repository.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	must(t, err)
	return dir
}

// tool returns the path of a pinned tool.
func tool(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(root(t), ".tools", "bin", name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is not built: `GOWORK=off go run -C tools ./install %s`", name, name)
	}
	return path
}

var gateBinary struct {
	sync.Once
	content []byte
	err     error
}

// checkout is a small repository with the gate's command in it, and a cache of its own.
type checkout struct {
	dir, gate, cache string
}

// newCheckout makes a repository of the files, by path, in which the gate can be run: committed, with links to the pinned tools.
func newCheckout(t *testing.T, files map[string]string) *checkout {
	t.Helper()
	dir := t.TempDir()
	c := &checkout{dir: dir, gate: filepath.Join(t.TempDir(), "gate"), cache: t.TempDir()}
	gateBinary.Do(func() {
		cmd := exec.CommandContext(t.Context(), "go", "build", "-o", c.gate, "./cmd/gate")
		cmd.Dir, cmd.Env = filepath.Join(root(t), "ci"), append(os.Environ(), "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			gateBinary.err = errors.New(string(out))
			return
		}
		gateBinary.content, gateBinary.err = os.ReadFile(c.gate)
	})
	must(t, gateBinary.err)
	must(t, os.WriteFile(c.gate, gateBinary.content, 0o700))
	c.write(t, "go.work", "go 1.26.0\n")
	c.write(t, ".gitignore", "/reports/\n/.tools/\n")
	c.write(t, "ci/scanignore.yaml", "ignore: []\n")
	for name, content := range files {
		c.write(t, name, content)
	}
	must(t, os.MkdirAll(filepath.Join(dir, ".tools"), 0o700))
	must(t, os.Symlink(filepath.Join(root(t), ".tools", "bin"), filepath.Join(dir, ".tools", "bin")))
	for _, args := range [][]string{
		{"init", "--quiet"}, {"add", "."},
		{"-c", "user.name=Test", "-c", "user.email=test@example.org", "commit", "--quiet", "--message", "Seed"},
	} {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
	return c
}

func (c *checkout) write(t *testing.T, name, content string) {
	t.Helper()
	path := filepath.Join(c.dir, name)
	must(t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(t, os.WriteFile(path, []byte(content), 0o600))
}

// run runs the gate and returns its exit code and everything it said.
func (c *checkout) run(t *testing.T, args ...string) (code int, said string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), c.gate, args...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "BOOKSHELF_CACHE="+c.cache, "COSIGN_PASSWORD=", "TRIVY_SEVERITY=LOW")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if exit, ran := errors.AsType[*exec.ExitError](err); ran {
		return exit.ExitCode(), out.String()
	}
	must(t, err)
	return 0, out.String()
}

// want fails the test unless the gate ended with the code and said each of the texts.
func (c *checkout) want(t *testing.T, code int, texts []string, args ...string) {
	t.Helper()
	have, said := c.run(t, args...)
	if have != code {
		t.Errorf("gate %v ended with %d, want %d:\n%s", args, have, code, said)
	}
	for _, text := range texts {
		if !strings.Contains(said, text) {
			t.Errorf("gate %v does not say %q but:\n%s", args, text, said)
		}
	}
}
