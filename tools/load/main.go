// Command load compares two services under load, as package load does, where that has to be a program of its own: in a container of
// the pipeline.
//
//	load < PLAN > ROUNDS
//
// Both are JSON: a load.Plan on the standard input, a load.Batch on the standard output.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"bookshelf/tools/internal/command"
	"bookshelf/tools/internal/load"
)

func main() {
	command.Main("load", func(ctx context.Context, args []string, stdout, _ io.Writer) error {
		return run(ctx, args, os.Stdin, stdout)
	})
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q: the plan comes on the standard input", args[0])
	}
	var plan load.Plan
	decoder := json.NewDecoder(stdin)
	decoder.DisallowUnknownFields() // a name that nobody knows would measure something else than was asked for
	if err := decoder.Decode(&plan); err != nil {
		return fmt.Errorf("read the plan: %w", err)
	}
	batch, err := load.Compare(ctx, plan)
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(batch)
}
