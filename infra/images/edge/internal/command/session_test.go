package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// echo says what it was asked.
func echo(_ context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	input, err := io.ReadAll(stdin)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s < %s", strings.Join(args, " "), input)
	switch args[0] {
	case "wrong":
		return &usageError{"no such thing"}
	case "broken":
		return errors.New("it broke")
	}
	return nil
}

func TestASessionAnswersOneCommandAfterTheOther(t *testing.T) {
	t.Parallel()
	in, ask := io.Pipe()
	answers, out := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- session(t.Context(), echo, in, out) }()
	decoder := json.NewDecoder(answers)
	for question, want := range map[string]outcome{
		`{"arguments": ["slots", "set"], "input": "{}"}`: {Output: "slots set < {}"},
		`{"arguments": ["wrong"]}`:                       {Output: "wrong < ", Error: "no such thing", Code: 2},
		`{"arguments": ["broken"]}`:                      {Output: "broken < ", Error: "it broke", Code: 1},
	} {
		if _, err := io.WriteString(ask, question); err != nil {
			t.Fatal(err)
		}
		var got outcome
		if err := decoder.Decode(&got); err != nil || got != want {
			t.Errorf("%s: have %+v, %v", question, got, err)
		}
	}
	ask.Close()
	if err := <-ended; err != nil {
		t.Errorf("it ends with %v", err)
	}
}

func TestASessionEndsWithItsInputWhateverItIsDoing(t *testing.T) {
	t.Parallel()
	in, ask := io.Pipe()
	begun := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- session(t.Context(), func(ctx context.Context, _ []string, _ io.Reader, _ io.Writer) error {
			close(begun)
			<-ctx.Done()
			return ctx.Err()
		}, in, io.Discard)
	}()
	if _, err := io.WriteString(ask, `{"arguments": ["load"]}`); err != nil {
		t.Fatal(err)
	}
	<-begun
	ask.Close()
	if err := <-ended; err != nil {
		t.Errorf("it ends with %v", err)
	}
}

func TestWhatIsNoCommandEndsASessionWithUsage(t *testing.T) {
	t.Parallel()
	err := session(t.Context(), echo, strings.NewReader("slots please"), io.Discard)
	if ExitCode(err) != 2 {
		t.Errorf("have %v", err)
	}
}
