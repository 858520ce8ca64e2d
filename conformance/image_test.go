package conformance

import (
	"archive/tar"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"bookshelf/conformance/internal/engine"
)

// sizeGoal is what the image should not exceed, in bytes: 12 MiB. It is a goal and not a limit: a dependency may be worth more.
const sizeGoal = 12 << 20

var hardening = engine.Hardening()

// database is a PostgreSQL on a network of its own, with the roles that docs/contract.md speaks of.
type database struct {
	network  string
	host     string
	password string // file with the password of both roles
}

func startDatabase(t *testing.T) database {
	t.Helper()
	needEngine(t)
	name := uniqueName()
	password := rand.Text()
	// Readable for any user in a container; on this host the folder is ours alone.
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password), 0o444); err != nil {
		t.Fatal(err)
	}
	d := database{network: name, host: name + "-postgres", password: file}
	docker(t, "network", "create", d.network)
	cleanUp(t, "network", "rm", d.network)
	docker(t, "run", "--detach", "--name", d.host, "--network", d.network, "--tmpfs", "/var/lib/postgresql/data",
		"--volume", file+":/run/secrets/password:ro", "--env", "POSTGRES_PASSWORD_FILE=/run/secrets/password",
		postgresImage, "-c", "fsync=off")
	cleanUp(t, "rm", "--force", "--volumes", d.host)
	eventually(t, "PostgreSQL answers", func() string {
		// By TCP: during the set-up it listens on its socket alone.
		out, err := tryDocker(t.Context(), "exec", d.host, "pg_isready", "--host=127.0.0.1")
		if err != nil {
			return out
		}
		return ""
	})
	for _, statement := range engine.Roles(password) {
		docker(t, "exec", "--user", "postgres", d.host, "psql", "--quiet", "--command", statement)
	}
	return d
}

// run returns the arguments of `docker run` for the service with this database, as role.
func (d database) run(role string, more ...string) []string {
	args := append([]string{"run", "--network", d.network}, hardening...)
	return append(append(args, "--volume", d.password+":/run/secrets/db_password:ro",
		"--env", "DB_HOST="+d.host, "--env", "DB_NAME=bookshelf", "--env", "DB_USER="+role,
		"--env", "DB_PASSWORD_FILE=/run/secrets/db_password", "--env", "DB_SSLMODE=disable",
		// These tests have no tokens; those of the service itself try them.
		"--env", "AUTH=off", "--env", "SHUTDOWN_GRACE=0s", "--env", "SHUTDOWN_TIMEOUT=9s"), more...)
}

func TestImageMigratesServesAndStops(t *testing.T) {
	t.Parallel()
	image := imageUnderTest(t)
	d := startDatabase(t)

	for range 2 { // safe to repeat
		docker(t, d.run("bookshelf_owner", "--rm", image, "migrate")...)
	}

	name := uniqueName()
	docker(t, d.run("bookshelf_app_a", "--detach", "--name", name, "--publish", "127.0.0.1::8080", image)...)
	cleanUp(t, "rm", "--force", "--volumes", name)
	waitHealthy(t, name)
	api{base: "http://" + address(t, name, "8080/tcp")}.exercise(t)

	docker(t, "stop", "--time", "30", name) // SIGTERM
	stopped := inspect(t, name)
	if stopped.State.ExitCode != 0 {
		t.Errorf("after SIGTERM it ended with %d, want 0:\n%s", stopped.State.ExitCode, docker(t, "logs", name))
	}
}

func TestImageSaysWhatItIs(t *testing.T) {
	t.Parallel()
	image := imageUnderTest(t)
	var images []struct {
		Size   int64
		Config struct {
			User         string
			Entrypoint   []string
			Cmd          []string
			Labels       map[string]string
			ExposedPorts map[string]struct{}
			Healthcheck  *struct{ Test []string }
		}
	}
	if err := json.Unmarshal([]byte(docker(t, "image", "inspect", image)), &images); err != nil {
		t.Fatal(err)
	}
	config := images[0].Config
	if config.User != "65532:65532" {
		t.Errorf("user is %q, want 65532:65532", config.User)
	}
	if len(config.Entrypoint) != 1 || !slices.Equal(config.Cmd, []string{"serve"}) {
		t.Errorf("entry point and command are %q %q, want one binary and serve", config.Entrypoint, config.Cmd)
	}
	if config.Healthcheck == nil || !slices.Equal(config.Healthcheck.Test, []string{"CMD", "/bookd", "healthcheck"}) {
		t.Errorf("health check is %+v, want the binary's own", config.Healthcheck)
	}
	for _, port := range []string{"8080/tcp", "9090/tcp"} {
		if _, ok := config.ExposedPorts[port]; !ok {
			t.Errorf("port %s is not exposed", port)
		}
	}
	version := config.Labels["org.opencontainers.image.version"]
	if out := docker(t, "run", "--rm", image, "version"); version == "" || !strings.Contains(out, version) {
		t.Errorf("`version` says %q, the label %q", out, version)
	}
	t.Logf("the image has %.2f MiB, the goal is %d MiB", float64(images[0].Size)/(1<<20), sizeGoal>>20)
	if over := images[0].Size - sizeGoal; over > 0 {
		t.Logf("that is %.2f MiB over the goal", float64(over)/(1<<20))
	}
}

func TestImageHoldsOneBinaryAndNoSecret(t *testing.T) {
	t.Parallel()
	image := imageUnderTest(t)
	var names []string
	eachFile(t, image, func(name string, _ io.Reader) {
		names = append(names, name)
	})
	// What the engine itself puts into every container.
	mounted := regexp.MustCompile(`^(dev|proc|sys)/|^\.dockerenv$|^etc/(hostname|hosts|resolv\.conf|mtab)$`)
	names = slices.DeleteFunc(names, mounted.MatchString)
	want := []string{"bookd", "etc/ssl/certs/ca-certificates.crt", "usr/share/zoneinfo.zip"}
	slices.Sort(names)
	if !slices.Equal(names, want) {
		t.Errorf("the image holds %q, want %q", names, want)
	}
}

func TestImageWithoutConfigurationSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	out, err := tryDocker(t.Context(), append(append([]string{"run", "--rm"}, hardening...), imageUnderTest(t))...)
	if _, ran := errors.AsType[*exec.ExitError](err); !ran {
		t.Fatalf("serving without a configuration: %v: %s", err, out)
	}
	for _, name := range []string{"DB_HOST", "DB_NAME", "DB_USER"} {
		if !strings.Contains(out, name) {
			t.Errorf("the complaint does not name %s: %s", name, out)
		}
	}
}

// TestImageIsReproducible builds the image twice, each time compiling everything anew.
func TestImageIsReproducible(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("compiles the application twice")
	}
	imageUnderTest(t)
	source := sourcesWithoutCompilerCache(t)
	var digests []string
	for range 2 {
		tag := uniqueName() + ":reproducible"
		build := exec.CommandContext(t.Context(), "go", "run", "./image", "--no-cache", "--source", source, "--version", "v0.0.0-test",
			"--tag", tag, "--id-file", filepath.Join(t.TempDir(), "id"))
		build.Dir = "../tools"
		build.Env = append(os.Environ(), "GOWORK=off")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build the image: %v\n%s", err, out)
		}
		cleanUp(t, "image", "rm", tag)
		digests = append(digests, binaryDigest(t, tag))
	}
	if digests[0] != digests[1] {
		t.Errorf("two builds of the same sources gave the binaries %s and %s", digests[0], digests[1])
	}
}

// sourcesWithoutCompilerCache copies what the image is built from, so that nobody edits it between two builds, with a
// Dockerfile that compiles everything: --no-cache forgets layers and keeps cache mounts.
func sourcesWithoutCompilerCache(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "app"), os.DirFS("../app")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Dockerfile", ".dockerignore"} {
		content, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "Dockerfile" {
			const cache = "--mount=type=cache,target=/root/.cache/go-build"
			if !bytes.Contains(content, []byte(cache)) {
				t.Fatalf("the Dockerfile has no %s, so this test would not know what it builds", cache)
			}
			content = bytes.ReplaceAll(content, []byte(cache), nil)
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func binaryDigest(t *testing.T, image string) string {
	t.Helper()
	digest := ""
	eachFile(t, image, func(name string, content io.Reader) {
		if name != "bookd" {
			return
		}
		sum := sha256.New()
		if _, err := io.Copy(sum, content); err != nil {
			t.Fatalf("read the binary: %v", err)
		}
		digest = fmt.Sprintf("%x", sum.Sum(nil))
	})
	if digest == "" {
		t.Fatalf("image %s has no /bookd", image)
	}
	return digest
}

// eachFile calls visit for every file of the image.
func eachFile(t *testing.T, image string, visit func(name string, content io.Reader)) {
	t.Helper()
	name := uniqueName()
	docker(t, "create", "--name", name, image)
	cleanUp(t, "rm", "--force", "--volumes", name)
	export := exec.CommandContext(t.Context(), "docker", "export", name)
	stdout, err := export.Output()
	if err != nil {
		t.Fatalf("docker export: %v", err)
	}
	files := tar.NewReader(bytes.NewReader(stdout))
	for {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("read docker export: %v", err)
		}
		if header.Typeflag != tar.TypeDir {
			visit(header.Name, files)
		}
	}
}
