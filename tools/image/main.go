// Command image builds the application's image, or one that supports it, with whatever builder there is and prints its ID and size.
//
//	GOWORK=off go run -C tools ./image [--support edge|postgres | --last] [--no-cache] [--tag NAME:TAG] [--id-file FILE] [--source DIR --version V]
//
// The application's image is tagged bookshelf:COMMIT, with -dirty when what goes into it differs from the commit, and its ID is
// written to .tools/image-id for the commands that follow. A supporting one is tagged bookshelf-edge:HASH, a hash of what goes
// into it, and built only when the engine has none of that name: a commit that leaves the edge alone leaves its image alone. Its
// ID is written to .tools/edge-image-id; and so for the others. With --last it is the application's image at the last release, for
// comparing; its ID is written to .tools/last-image-id.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"bookshelf/tools/internal/command"
	"bookshelf/tools/internal/docker"
	"bookshelf/tools/internal/pinned"
	"bookshelf/tools/internal/repo"
	"bookshelf/tools/internal/term"
)

func main() { command.Main("image", run) }

// run builds one image and prints it in one line: tag, ID, size, time.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var o options
	flags.StringVar(&o.support, "support", "", "build a supporting image instead of the application's: edge or postgres")
	flags.BoolVar(&o.last, "last", false, "build the application as it was at the last release: the newest tag v…, else the commit before")
	flags.BoolVar(&o.noCache, "no-cache", false, "build every step anew")
	flags.StringVar(&o.source, "source", "", "folder to build from (default the repository)")
	flags.StringVar(&o.version, "version", "", "version and revision to stamp; needed with --source, which may have no commit")
	flags.StringVar(&o.tag, "tag", "", "tag of the image (default bookshelf:COMMIT)")
	flags.StringVar(&o.idFile, "id-file", "", "where to write the image's ID (default .tools/image-id)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	root, err := repo.Root()
	if err != nil {
		return err
	}
	if o.last {
		dir, err := os.MkdirTemp("", "bookshelf-last-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		name, err := o.takeLast(ctx, root, dir)
		if err != nil {
			return err
		}
		fmt.Fprintln(stdout, "last release:", name)
	}
	if err := o.complete(ctx, root); err != nil {
		return err
	}
	began := time.Now()
	id, built, err := provide(ctx, root, o)
	if err != nil {
		return err
	}
	image, err := docker.InspectImage(ctx, id)
	if err != nil {
		return err
	}
	if image == nil {
		return fmt.Errorf("the builder made %s, but the engine does not have it", id)
	}
	how := "unchanged"
	if built {
		how = fmt.Sprintf("built in %.1f s", time.Since(began).Seconds())
	}
	fmt.Fprintf(stdout, "%s  %s  %.1f MB  %s\n", o.tag, id, float64(image.Size)/1e6, how)
	return nil
}

// options is what to build.
type options struct {
	source, tag, idFile string
	version, revision   string
	// support names a supporting image, "" for the application's.
	support       string
	noCache, last bool
}

// takeLast makes dir the source, with what was in it at the last release, and returns what that was.
func (o *options) takeLast(ctx context.Context, root, dir string) (name string, err error) {
	if o.support != "" || o.source != "" || o.version != "" {
		return "", errors.New("--last says what to build; --support, --source and --version do too")
	}
	name, o.revision, err = lastRelease(ctx, root)
	if err != nil {
		return "", err
	}
	o.source, o.version = dir, o.revision[:12]
	if o.idFile == "" {
		o.idFile = filepath.Join(root, ".tools", "last-image-id")
	}
	return name, extract(ctx, root, o.revision, dir)
}

// complete fills in what was not given.
func (o *options) complete(ctx context.Context, root string) error {
	if (o.source == "") != (o.version == "") {
		return errors.New("--source and --version go together")
	}
	if o.support != "" {
		return o.completeSupport(ctx, root)
	}
	if o.revision == "" {
		o.revision = o.version
	}
	if o.source == "" {
		o.source = root
		var err error
		if o.version, o.revision, err = describe(ctx, root); err != nil {
			return err
		}
	}
	if o.tag == "" {
		o.tag = "bookshelf:" + o.version
	}
	if o.idFile == "" {
		o.idFile = filepath.Join(root, ".tools", "image-id")
	}
	return nil
}

// inputs is everything that goes into the image.
var inputs = []string{"app", "Dockerfile", ".dockerignore"}

// describe returns the version to stamp, COMMIT or COMMIT-dirty, and the full commit.
func describe(ctx context.Context, root string) (version, revision string, err error) {
	revision, err = git(ctx, root, "rev-parse", "HEAD")
	if err != nil {
		return "", "", fmt.Errorf("find the commit to stamp into the image: %w", err)
	}
	version = revision[:12]
	changed, err := git(ctx, root, append([]string{"status", "--porcelain", "--"}, inputs...)...)
	if err != nil {
		return "", "", fmt.Errorf("compare the sources with the commit: %w", err)
	}
	if changed != "" {
		return version + "-dirty", revision + "-dirty", nil
	}
	return version, revision, nil
}

// provide returns the image's ID. The application's is always built; the builder's cache knows what is new. A supporting
// one's name says what is in it, so one that is there is the one.
func provide(ctx context.Context, root string, o options) (id string, built bool, err error) {
	if o.support != "" && !o.noCache {
		image, err := docker.InspectImage(ctx, o.tag)
		if err != nil {
			return "", false, err
		}
		if image != nil {
			return image.ID, false, keepID(o.idFile, image.ID)
		}
	}
	id, err = build(ctx, root, o)
	return id, true, err
}

// build runs the builder and returns the image's ID, which it also keeps in a file.
func build(ctx context.Context, root string, o options) (string, error) {
	builder, err := findBuilder(ctx, root)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(o.idFile), 0o755); err != nil {
		return "", fmt.Errorf("make the folder of the image ID: %w", err)
	}
	// Written beside and renamed, so that a failed build leaves the ID of the last good one.
	fresh := fmt.Sprintf("%s.%d", o.idFile, os.Getpid())
	defer os.Remove(fresh)

	args := append(builder[1:], "build", "--builder", currentContext(ctx), "--load", "--provenance=false",
		"--iidfile", fresh, "--tag", o.tag,
		"--build-arg", "VERSION="+o.version, "--build-arg", "REVISION="+o.revision)
	if o.noCache {
		args = append(args, "--no-cache")
	}
	network, err := networkArguments(ctx)
	if err != nil {
		return "", err
	}
	args = append(append(args, network...), o.source)
	if err := runBuilder(ctx, builder[0], args); err != nil {
		return "", err
	}
	id, err := os.ReadFile(fresh)
	if err != nil {
		return "", fmt.Errorf("read the image's ID: %w", err)
	}
	if err := os.Rename(fresh, o.idFile); err != nil {
		return "", fmt.Errorf("keep the image's ID: %w", err)
	}
	return strings.TrimSpace(string(id)), nil
}

// runBuilder shows the builder's own display on a terminal. A log gets a line now and then, and everything only when it failed.
func runBuilder(ctx context.Context, name string, args []string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 10 * time.Second
	if term.IsTerminal(os.Stderr) {
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("build the image: %w", err)
		}
		return nil
	}
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	p := term.Start(os.Stderr, "image: building")
	if err := cmd.Run(); err != nil {
		p.Done("failed")
		return fmt.Errorf("build the image: %w\n%s", err, strings.TrimSpace(output.String()))
	}
	p.Done("built")
	return nil
}

// findBuilder returns the command line of a builder: docker's plugin of any version, else the pinned one on its own.
func findBuilder(ctx context.Context, root string) ([]string, error) {
	if exec.CommandContext(ctx, "docker", "buildx", "version").Run() == nil {
		return []string{"docker", "buildx"}, nil
	}
	path, err := pinned.Install(ctx, root, "buildx")
	if err != nil {
		return nil, fmt.Errorf("docker has no buildx plugin, so the pinned one is needed: %w", err)
	}
	return []string{path}, nil
}

// currentContext names the builder that is the engine itself. Another one (a docker-container builder that somebody chose)
// could not see the base images that this engine holds.
func currentContext(ctx context.Context) string {
	name, err := docker.Output(ctx, "context", "show")
	if err != nil || name == "" {
		return "default" // clients before 23.0 have no such command
	}
	return name
}

// networkArguments tell the build how this host reaches modules: Go's settings, the proxies and the certificate authorities.
func networkArguments(ctx context.Context) ([]string, error) {
	var args []string
	settings := []string{"GOPROXY", "GONOPROXY", "GOSUMDB", "GONOSUMDB"}
	out, err := exec.CommandContext(ctx, "go", append([]string{"env", "-json"}, settings...)...).Output()
	if err != nil {
		return nil, fmt.Errorf("ask go where modules come from: %w", err)
	}
	var values map[string]string
	if err := json.Unmarshal(out, &values); err != nil {
		return nil, fmt.Errorf("read go env -json: %w", err)
	}
	for _, name := range settings {
		if values[name] != "" {
			args = append(args, "--build-arg", name+"="+values[name])
		}
	}
	// Known to every builder without being declared, and kept out of the image's history.
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"} {
		if os.Getenv(name) != "" {
			args = append(args, "--build-arg", name)
		}
	}
	if bundle := caBundle(os.Getenv); bundle != "" {
		args = append(args, "--secret", "id=ca,src="+bundle)
	}
	return args, nil
}

// caBundle returns the host's bundle of certificate authorities: where Go's crypto/x509 looks for it, or "".
func caBundle(getenv func(string) string) string {
	for _, path := range []string{
		getenv("SSL_CERT_FILE"),
		"/etc/ssl/certs/ca-certificates.crt", // Debian, Ubuntu, Arch
		"/etc/pki/tls/certs/ca-bundle.crt",   // Fedora, RHEL
		"/etc/ssl/ca-bundle.pem",             // openSUSE
		"/etc/ssl/cert.pem",                  // macOS, Alpine
	} {
		if path == "" {
			continue
		}
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return path
		}
	}
	return ""
}
