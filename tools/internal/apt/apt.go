// Package apt knows how Debian and Ubuntu hosts get their packages.
package apt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Available tells whether this host has apt.
func Available() bool {
	_, err := exec.LookPath("apt-get")
	return err == nil
}

// InstallCommand is what a person would type to install packages.
func InstallCommand(packages ...string) string {
	return strings.Join(asRoot("apt-get", "install", "-y"), " ") + " " + strings.Join(packages, " ")
}

// Install installs packages, after a refresh of the package lists. The caller has asked the person.
func Install(ctx context.Context, packages ...string) error {
	// A third-party source that is out of reach fails the refresh, yet leaves Debian's own lists new: the installation
	// is the judge.
	refreshed := Update(ctx)
	args := asRoot(append([]string{"apt-get", "install", "-y", "-q"}, packages...)...)
	if err := quietly(ctx, args); err != nil {
		return errors.Join(err, refreshed)
	}
	return nil
}

// Update refreshes the package lists.
func Update(ctx context.Context) error { return quietly(ctx, asRoot("apt-get", "update", "-q")) }

// asRoot puts sudo before a command where it takes that.
func asRoot(args ...string) []string {
	if os.Geteuid() == 0 {
		return args
	}
	return append([]string{"sudo"}, args...)
}

// quietly runs a command whose hundred lines interest nobody unless it fails, and then the last one says why.
func quietly(ctx context.Context, args []string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	cmd.Stdin = os.Stdin // sudo may ask for a password
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		text := strings.TrimSpace(out.String())
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, text[strings.LastIndexByte(text, '\n')+1:])
	}
	return nil
}

// Mirrors are the archives that the host's own configuration names; "" where it names none.
type Mirrors struct {
	Debian   string // http://mirror.example/debian
	Security string
	Options  []string // apt settings for reaching them: Acquire::http::Proxy "…";
}

// HostMirrors reads the archives from the package lists that apt has downloaded. These tell who signed what, which the
// source files do not: a third-party archive is never taken for Debian's.
func HostMirrors(ctx context.Context) (Mirrors, error) {
	targets, err := exec.CommandContext(ctx, "apt-get", "indextargets",
		"--format", "$(ORIGIN)\t$(LABEL)\t$(COMPONENT)\t$(REPO_URI)", "Identifier: Packages").Output()
	if err != nil {
		return Mirrors{}, fmt.Errorf("ask apt-get for the host's mirrors: %w", err)
	}
	m := parseTargets(string(targets))
	config, err := exec.CommandContext(ctx, "apt-config", "dump").Output()
	if err != nil {
		return Mirrors{}, fmt.Errorf("ask apt-config for the host's proxy: %w", err)
	}
	m.Options = proxyOptions(string(config))
	return m, nil
}

// parseTargets reads lines of origin, label, component and address. The first archive of a kind wins, as it does for apt.
func parseTargets(text string) Mirrors {
	var m Mirrors
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) != 4 || f[0] != "Debian" || f[2] != "main" {
			continue
		}
		uri := strings.TrimSuffix(f[3], "/")
		switch {
		case f[1] == "Debian" && m.Debian == "":
			m.Debian = uri
		case f[1] == "Debian-Security" && m.Security == "":
			m.Security = uri
		}
	}
	return m
}

// proxyOptions picks the settings that say how to reach an archive. mmdebstrap starts from an empty configuration and would
// not know of a proxy.
func proxyOptions(config string) []string {
	var options []string
	for line := range strings.Lines(config) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "Acquire::http") && strings.Contains(strings.ToLower(line), "::proxy") &&
			!strings.HasSuffix(line, ` "";`) {
			options = append(options, line)
		}
	}
	return options
}
