package command

import (
	"debug/buildinfo"
	"fmt"
	"syscall"
)

// Server is the path of the program that serves.
type Server string

// become replaces this process by the server. It returns only when that is not possible.
func (s Server) become(environ []string) error {
	return fmt.Errorf("start %s: %w", s, syscall.Exec(string(s), []string{string(s)}, environ))
}

// version is the one of the server's Caddy and of the Go that built it, read from the file.
func (s Server) version() (string, error) {
	build, err := buildinfo.ReadFile(string(s))
	if err != nil {
		return "", fmt.Errorf("look for the server's version: %w", err)
	}
	caddy := "of an unknown version"
	for _, module := range build.Deps {
		if module.Path == "github.com/caddyserver/caddy/v2" {
			caddy = module.Version
		}
	}
	return fmt.Sprintf("edge with Caddy %s (%s)", caddy, build.GoVersion), nil
}
