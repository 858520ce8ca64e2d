package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"bookshelf/infra/runtime"
)

// session is one run of the edge's command `session`, which carries out one command after the other.
type session struct {
	calls   *json.Encoder
	answers chan answer
	// ended is closed when the run has ended; why says how.
	ended chan struct{}
	why   error
	end   context.CancelFunc
}

type call struct {
	Arguments []string `json:"arguments"`
	Input     string   `json:"input"`
}

type answer struct {
	Output string `json:"output"`
	Error  string `json:"error"`
	Code   int    `json:"code"`
}

// open starts a run. It lasts until end, whatever becomes of the context of one call.
func open(ctx context.Context, platform runtime.Platform, id string, program []string) *session {
	ctx, end := context.WithCancel(context.WithoutCancel(ctx))
	in, calls := io.Pipe()
	answers, out := io.Pipe()
	s := &session{calls: json.NewEncoder(calls), answers: make(chan answer), ended: make(chan struct{}), end: end}
	go func() {
		defer close(s.ended)
		var complaint bytes.Buffer
		code, err := platform.Exec(ctx, id, slices.Concat(program, []string{"session"}), in, out, &complaint)
		if err == nil {
			err = fmt.Errorf("it has ended with exit code %d: %s", code, strings.TrimSpace(complaint.String()))
		}
		s.why = err
		end()
		in.CloseWithError(err)
		out.CloseWithError(err)
	}()
	go func() {
		for decoder := json.NewDecoder(answers); ; {
			var a answer
			if err := decoder.Decode(&a); err != nil {
				answers.CloseWithError(err) // nothing that is no answer is waited for
				end()
				return
			}
			select {
			case s.answers <- a:
			case <-ctx.Done():
				return
			}
		}
	}()
	context.AfterFunc(ctx, func() { _ = calls.Close() }) // a pipe in memory
	return s
}

// errSession says that a session has not brought an answer; whether the command was carried out is not known.
var errSession = errors.New("the session with the edge broke off")

// ask has one command carried out. After an error the session is of no use any more.
func (s *session) ask(ctx context.Context, c call) (answer, error) {
	if err := s.calls.Encode(c); err != nil {
		return answer{}, s.broken()
	}
	select {
	case a := <-s.answers:
		return a, nil
	case <-s.ended:
		return answer{}, s.broken()
	case <-ctx.Done():
		return answer{}, context.Cause(ctx)
	}
}

// broken waits for the end of the run and says how it came.
func (s *session) broken() error {
	s.end()
	<-s.ended
	return fmt.Errorf("%w: %w", errSession, s.why)
}
