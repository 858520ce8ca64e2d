package edge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"bookshelf/infra/runtime"
)

// talking is a platform whose edge has a session, and counts how often it was begun.
type talking struct {
	platform

	begun int
	// after is after how many answers a session breaks off, 0 for never.
	after int
	// silent makes it answer nothing.
	silent bool
}

func (p *talking) Exec(ctx context.Context, id string, command []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	if command[1] != "session" {
		return p.platform.Exec(ctx, id, command, stdin, stdout, stderr)
	}
	p.begun++
	for decoder, n := json.NewDecoder(stdin), 0; ; n++ {
		var c call
		if err := decoder.Decode(&c); errors.Is(err, io.EOF) {
			return 0, nil
		} else if err != nil {
			return 0, err
		}
		if p.after > 0 && n == p.after {
			return 137, nil
		}
		if p.silent {
			<-ctx.Done()
			return 0, ctx.Err()
		}
		var a answer
		var err error
		if a.Code, a.Output, a.Error, err = p.command(id, strings.Join(c.Arguments, " "), c.Input); err != nil {
			return 0, err
		}
		if err := json.NewEncoder(stdout).Encode(a); err != nil {
			return 0, err
		}
	}
}

func kept(t *testing.T, p *talking) *Client {
	t.Helper()
	n := 0
	p.instances = []runtime.Instance{running("1")}
	p.command = func(_, _, stdin string) (int, string, string, error) {
		if strings.Contains(stdin, `"red"`) {
			return 2, "", "no red", nil
		}
		n++
		return 0, fmt.Sprintf(`{"generation":%d}`, n), "", nil
	}
	client := New(p, runtime.Environment{Name: "dev"})
	client.Keep()
	t.Cleanup(client.Close)
	return client
}

func TestACommandIsRunOnceForAllCallsThatAreKeptTogether(t *testing.T) {
	t.Parallel()
	p := &talking{}
	client := kept(t, p)
	for n := range 5 {
		if state, err := client.State(t.Context()); err != nil || state.Generation != uint64(n+1) {
			t.Errorf("state %d, %v", state.Generation, err)
		}
	}
	_, err := client.Set(t.Context(), Change{Slots: map[string]Share{"red": {}}})
	if refused, ok := errors.AsType[*RefusedError](err); !ok || refused.Reason != "no red" {
		t.Errorf("have %v", err)
	}
	if p.begun != 1 {
		t.Errorf("begun %d times", p.begun)
	}
}

func TestASessionThatBrokeOffIsBegunAnew(t *testing.T) {
	t.Parallel()
	p := &talking{after: 2}
	client := kept(t, p)
	for n := range 6 {
		if state, err := client.State(t.Context()); err != nil || state.Generation != uint64(n+1) {
			t.Errorf("state %d, %v", state.Generation, err)
		}
	}
	if p.begun != 3 {
		t.Errorf("begun %d times", p.begun)
	}
}

func TestACallThatIsNotAnsweredEndsWithItsContextAndTheNextOneBeginsAnew(t *testing.T) {
	t.Parallel()
	p := &talking{silent: true}
	client := kept(t, p)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := client.State(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("have %v", err)
	}
	p.silent = false
	if state, err := client.State(t.Context()); err != nil || state.Generation != 1 || p.begun != 2 {
		t.Errorf("state %d, %v, begun %d times", state.Generation, err, p.begun)
	}
}

func TestAnEdgeThatHasNoSessionIsSaid(t *testing.T) {
	t.Parallel()
	p := &platform{instances: []runtime.Instance{running("1")}}
	client := New(refusing{p}, runtime.Environment{Name: "dev"})
	client.Keep()
	defer client.Close()
	if _, err := client.State(t.Context()); err == nil || !strings.Contains(err.Error(), `broke off: it has ended with exit code 2: edge: "session" is no command`) {
		t.Errorf("have %v", err)
	}
}

// refusing is an edge that knows no session.
type refusing struct{ *platform }

func (refusing) Exec(_ context.Context, _ string, _ []string, _ io.Reader, _, stderr io.Writer) (int, error) {
	fmt.Fprintln(stderr, `edge: "session" is no command`)
	return 2, nil
}
