package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// call is a command of a session.
type call struct {
	Arguments []string `json:"arguments"`
	Input     string   `json:"input"`
}

// outcome is what a command of a session would have printed, and its exit code.
type outcome struct {
	Output string `json:"output"`
	Error  string `json:"error"`
	Code   int    `json:"code"`
}

// session carries out commands that come in as JSON, one after the other, and prints what became of each as a line of JSON. It ends with
// its input, and so with whoever holds the other end; what is being done then is cut short.
func session(ctx context.Context, run func(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error, stdin io.Reader, stdout io.Writer) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	calls, ended := make(chan call), make(chan error, 1)
	go func() {
		defer end()
		for decoder := json.NewDecoder(stdin); ; {
			var c call
			if err := decoder.Decode(&c); err != nil {
				ended <- err
				return
			}
			select {
			case calls <- c:
			case <-ctx.Done():
				return
			}
		}
	}()
	answers := json.NewEncoder(stdout)
	for {
		select {
		case <-ctx.Done():
			select {
			case err := <-ended:
				if !errors.Is(err, io.EOF) {
					return &usageError{fmt.Sprintf("not a call as JSON: %v", err)}
				}
			default:
			}
			return nil
		case c := <-calls:
			var output bytes.Buffer
			err := run(ctx, c.Arguments, bytes.NewReader([]byte(c.Input)), &output)
			o := outcome{Output: output.String(), Code: ExitCode(err)}
			if err != nil {
				o.Error = err.Error()
			}
			if err := answers.Encode(o); err != nil {
				return fmt.Errorf("answer: %w", err)
			}
		}
	}
}
