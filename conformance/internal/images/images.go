// Package images makes images to release, in seconds and without a Dockerfile: versions of the product, versions of it that
// misbehave, and a service that has nothing in common with it but the contract.
//
// A binary is compiled on this host, once for each version of each kind, and put on top of the product's own image, so what is
// delivered differs from the product in that file, its labels and its fault, and in nothing else.
package images

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Product returns the ID of an image of the product that calls itself version. base is an image of the product, as `make image`
// builds it. The image is removed when the test ends, as are all that this package makes; so whatever runs it has to go before.
func Product(t testing.TB, base, version string) string {
	t.Helper()
	return commit(t, base, version, version, productBinary(t, version, ""))
}

// Faulty returns the ID of an image of the product that calls itself version and misbehaves: fault is what BOOKD_FAULT is set to
// (app/internal/faults lists them all), and settings are more variables, each as NAME=VALUE. The same version with another fault
// is the same binary.
func Faulty(t testing.TB, base, version, fault string, settings ...string) string {
	t.Helper()
	binary := productBinary(t, version, "faults")
	return commit(t, base, version, version+"-"+fault, binary, append([]string{"BOOKD_FAULT=" + fault}, settings...)...)
}

// Foreign returns the ID of an image of conformance/foreign that calls itself version.
func Foreign(t testing.TB, version string) string {
	t.Helper()
	binary := compile(t, build{module: "conformance", pkg: "./foreign", stamps: stamps("main.version", "main.revision", version)})
	var archive bytes.Buffer
	files := tar.NewWriter(&archive)
	err := files.WriteHeader(&tar.Header{Name: "foreign", Mode: 0o755, Size: int64(len(binary)), Format: tar.FormatPAX})
	if err == nil {
		_, err = files.Write(binary)
	}
	if err == nil {
		err = files.Close()
	}
	if err != nil {
		t.Fatalf("archive the foreign service: %v", err)
	}
	args := []string{"import"}
	for _, change := range []string{
		`ENTRYPOINT ["/foreign"]`, `CMD ["serve"]`, "USER 65532:65532", "EXPOSE 8080 9090",
		`HEALTHCHECK --interval=2s --timeout=3s --start-period=15s --retries=3 CMD ["/foreign", "healthcheck"]`,
		"LABEL org.opencontainers.image.version=" + version + " org.opencontainers.image.revision=" + version,
	} {
		args = append(args, "--change", change)
	}
	return keep(t, docker(t, &archive, append(args, "-", tag(version+"-foreign"))...))
}

// productBinary compiles the product as its Dockerfile does, under a build tag more if there is one.
func productBinary(t testing.TB, version, buildTag string) []byte {
	t.Helper()
	const info = "bookshelf/app/internal/buildinfo."
	return compile(t, build{
		module: "app", pkg: "./cmd/bookd", tags: strings.TrimSuffix("nethttpomithttp2,"+buildTag, ","),
		stamps: stamps(info+"Version", info+"Revision", version),
	})
}

// commit puts the binary into a container of base that never runs, and makes an image of it.
func commit(t testing.TB, base, version, name string, binary []byte, settings ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "bookd")
	if err := os.WriteFile(file, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	container := docker(t, nil, "create", "--name", unique(), base)
	defer docker(t, nil, "rm", "--force", "--volumes", container)
	docker(t, nil, "cp", file, container+":/bookd")
	args := []string{"commit", "--change",
		"LABEL org.opencontainers.image.version=" + version + " org.opencontainers.image.revision=" + version}
	for _, setting := range settings {
		args = append(args, "--change", "ENV "+setting)
	}
	return keep(t, docker(t, nil, append(args, container, tag(name))...))
}

// keep removes the image when the test has ended, and returns its ID.
func keep(t testing.TB, id string) string {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if out, err := exec.CommandContext(ctx, "docker", "image", "rm", "--force", id).CombinedOutput(); err != nil {
			t.Errorf("remove image %s: %v: %s", id, err, out)
		}
	})
	return id
}

// unique is a name in the engine under which the test run finds what an interrupted test leaves.
func unique() string {
	prefix := os.Getenv("BOOKSHELF_TEST_RUN")
	if prefix == "" {
		prefix = "bookshelf-test"
	}
	return prefix + "-" + strings.ToLower(rand.Text()[:8])
}

func tag(name string) string { return unique() + ":" + name }

// docker runs `docker args…` and returns what it printed.
func docker(t testing.TB, stdin io.Reader, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "docker", args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("docker %s: %v: %s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(stdout.String())
}

// build is one binary to compile: everything but the sources that its bytes depend on.
type build struct {
	module, pkg string // folder below the root, and package in it
	tags        string
	stamps      string // flags of the linker
}

// stamps sets both variables to the version, which is revision enough for an image of no commit.
func stamps(versionVariable, revisionVariable, version string) string {
	return fmt.Sprintf("-X %s=%s -X %s=%s", versionVariable, version, revisionVariable, version)
}

var compiled struct {
	sync.Mutex

	binaries map[build][]byte
}

// compile compiles a static binary, or returns the one of the last time.
func compile(t testing.TB, b build) []byte {
	t.Helper()
	compiled.Lock() // for all of them: the compiler uses every core for one
	defer compiled.Unlock()
	if binary, ok := compiled.binaries[b]; ok {
		return binary
	}
	arch := docker(t, nil, "version", "--format", "{{.Server.Arch}}")
	out := filepath.Join(t.TempDir(), "binary")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-C", filepath.Join(root(t), b.module), "-o", out, "-trimpath", "-buildvcs=false",
		"-tags", b.tags, "-ldflags", "-s -w -buildid= "+b.stamps, b.pkg)
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("compile %s/%s: %v: %s", b.module, b.pkg, err, said)
	}
	binary, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if compiled.binaries == nil {
		compiled.binaries = map[build][]byte{}
	}
	compiled.binaries[b] = binary
	return binary
}

// root is the folder of the repository: the one with go.work, at or above the test's own.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("there is no go.work above the test: it runs only inside of the repository")
		}
		dir = filepath.Dir(dir)
	}
}
