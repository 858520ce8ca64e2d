package backup

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bookshelf/infra/runtime"
)

// platform has one backup container, whose agent prints what it is to and ends with a code.
type platform struct {
	runtime.Platform
	state             runtime.State
	stdout, complaint string
	code              int
	command           []string
}

func (p *platform) Instances(context.Context, runtime.Environment) ([]runtime.Instance, error) {
	return []runtime.Instance{{ID: "db", Component: "postgres", State: runtime.StateHealthy}, {ID: "backup", Component: Component, State: p.state}}, nil
}

func (p *platform) Exec(_ context.Context, id string, command []string, _ io.Reader, stdout, stderr io.Writer) (int, error) {
	p.command = append([]string{id}, command...)
	fmt.Fprint(stdout, p.stdout)
	fmt.Fprint(stderr, p.complaint)
	return p.code, nil
}

func client(p *platform) *Client {
	return New(p, runtime.Environment{Project: "bookshelf", Name: "dev"}, nil)
}

func TestTheAgentIsAskedInTheBackupContainer(t *testing.T) {
	t.Parallel()
	p := &platform{state: runtime.StateHealthy, stdout: `{"label": "20260308-120000F", "type": "full", "marker": {"name": "m", "system": "7", "tables": [{"name": "public.books", "rows": 3}, {"name": "public.x", "rows": 4}]}}`}
	b, err := client(p).Take(t.Context(), Full)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"backup", "pgbackrest-agent", "backup", "full"}, p.command); diff != "" {
		t.Error(diff)
	}
	if b.Label != "20260308-120000F" || b.Marker == nil || b.Marker.System != "7" || b.Marker.Rows() != 7 || b.Marker.Newest() != nil {
		t.Errorf("read %+v", b)
	}
}

func TestAFailureIsToldInTheAgentsLastWords(t *testing.T) {
	t.Parallel()
	p := &platform{state: runtime.StateHealthy, code: 1, complaint: strings.Repeat("before\n", 1000) + "pgbackrest-agent: no space\n  left"}
	err := client(p).Check(t.Context())
	if err == nil || !strings.HasPrefix(err.Error(), "check failed: ") || !strings.HasSuffix(err.Error(), "no space left") || len(err.Error()) > 2000 {
		t.Errorf("error %v", err)
	}
}

func TestWithoutABackupContainerTheErrorSaysWhatStartsIt(t *testing.T) {
	t.Parallel()
	if _, err := client(&platform{state: runtime.StateStopped}).Status(t.Context()); err == nil || !strings.Contains(err.Error(), "deliver up -e dev") {
		t.Errorf("error %v", err)
	}
}

func TestAnAnswerThatIsNoneIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := client(&platform{state: runtime.StateHealthy, stdout: "hello"}).Point(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "read the answer to point") {
		t.Errorf("error %v", err)
	}
}
