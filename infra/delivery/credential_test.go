package delivery

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bookshelf/infra/environment"
	"bookshelf/infra/runtime"
)

// issuing is a platform with one replica that serves, whose commands are noted down.
type issuing struct {
	untouchable

	ran          []string
	prints       string
	code         int
	complainedOf string
}

func (p *issuing) Instances(context.Context, runtime.Environment) ([]runtime.Instance, error) {
	return []runtime.Instance{{ID: "1", Component: "app", State: runtime.StateHealthy}}, nil
}

func (p *issuing) Entrypoint(context.Context, string) ([]string, error) {
	return []string{"/serve"}, nil
}

func (p *issuing) Exec(_ context.Context, _ string, command []string, _ io.Reader, stdout, stderr io.Writer) (int, error) {
	p.ran = append(p.ran, strings.Join(command, " "))
	fmt.Fprintln(stdout, p.prints)
	fmt.Fprintln(stderr, p.complainedOf)
	return p.code, nil
}

// wanting is a session of a service that wants to see a token, on a platform.
func wanting(t *testing.T, p *issuing) *session {
	t.Helper()
	o, _ := guarded(t, "exit 0")
	o.Platform = p
	return &session{Operator: o, name: "prod", config: environment.Config{Service: environment.Service{
		Credential: &environment.Credential{Issue: []string{"make", "probe-{{run}}"}, Revoke: []string{"end", "probe-{{run}}"}},
	}}}
}

func TestTheServiceItselfMakesAndEndsTheProbesCredential(t *testing.T) {
	t.Parallel()
	p := &issuing{prints: "secret"}
	bearer, withdraw, err := wanting(t, p).issue(t.Context(), "7")
	if err != nil || bearer != "secret" {
		t.Fatalf("have %q, %v", bearer, err)
	}
	if err := withdraw(t.Context()); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"/serve make probe-7", "/serve end probe-7"}, p.ran); diff != "" {
		t.Error(diff)
	}
}

func TestAServiceThatMakesNoCredentialKeepsTheReleaseFromBeginning(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		platform issuing
		want     string
	}{
		"a command that fails": {issuing{code: 1, complainedOf: "no such role"}, "exit code 1 of make probe-7: no such role"},
		"nothing printed":      {issuing{}, "printed nothing on make"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, _, err := wanting(t, &test.platform).issue(t.Context(), "7"); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("have %v, want %q in it", err, test.want)
			}
		})
	}
}
