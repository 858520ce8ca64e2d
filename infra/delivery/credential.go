package delivery

import (
	"bytes"
	"context"
	"fmt"
	"strings"
)

// issue has the service that serves issue what the probe shows with its requests, "" where the service wants nothing. The caller must
// call withdraw, which has it revoked; it would expire by itself if this process were killed.
func (s *session) issue(ctx context.Context, run string) (bearer string, withdraw func(context.Context) error, err error) {
	credential := s.config.Service.Credential
	if credential == nil {
		return "", func(context.Context) error { return nil }, nil
	}
	said, err := s.ask(ctx, credential.Issue, run)
	if err == nil && said == "" {
		err = fmt.Errorf("the service printed nothing on %s", strings.Join(credential.Issue, " "))
	}
	if err != nil {
		return "", nil, fmt.Errorf("a credential for the probe: %w", err)
	}
	return said, func(ctx context.Context) error {
		if _, err := s.ask(ctx, credential.Revoke, run); err != nil {
			return fmt.Errorf("revoke the credential of the probe: %w", err)
		}
		return nil
	}, nil
}

// ask runs a command of the service and returns what it printed.
func (s *session) ask(ctx context.Context, command []string, run string) (string, error) {
	arguments := make([]string, len(command))
	for i, argument := range command {
		arguments[i] = strings.ReplaceAll(argument, "{{run}}", run)
	}
	var stdout, stderr bytes.Buffer
	code, err := s.Exec(ctx, s.name, arguments, strings.NewReader(""), &stdout, &stderr)
	if err == nil && code != 0 {
		err = fmt.Errorf("exit code %d of %s: %s", code, strings.Join(arguments, " "), strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(stdout.String()), err
}
