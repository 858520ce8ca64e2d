package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// schemaVariable names the file with the schema that an engine answers a code generator with (`codegen introspect` writes it). It is
// the engine's and not in this repository.
const schemaVariable = "DAGGER_SCHEMA"

// generatedFiles are what Dagger's code generator writes into ci/.
var generatedFiles = []string{"dagger.gen.go", filepath.Join("internal", "dagger", "dagger.gen.go")}

// generated writes the pipeline's generated code anew and compares it with what is committed.
func (c checker) generated(ctx context.Context) (string, error) {
	schema, err := filepath.Abs(os.Getenv(schemaVariable))
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(schema); err != nil {
		return "", fmt.Errorf("%s: %w", schemaVariable, err)
	}
	scratch, err := os.MkdirTemp("", "bookshelf-generated-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(scratch)
	generator := filepath.Join(scratch, "codegen")
	alone := append(slices.Clip(os.Environ()), "GOWORK=off")
	complaint, err := output(ctx, filepath.Join(c.root, "tools", "dagger-codegen"), alone,
		"go", "build", "-o", generator, "github.com/dagger/dagger/cmd/codegen")
	if err != nil || complaint != "" {
		return complaint, err
	}
	module := filepath.Join(scratch, "module")
	if err := c.copyModule(ctx, module); err != nil {
		return "", err
	}
	version, err := engineVersion(filepath.Join(c.root, "dagger.json"))
	if err != nil {
		return "", err
	}
	// As an engine runs it: beside dagger.json, where no workspace is, with the go command's usual settings.
	usual := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GOWORK=") })
	complaint, err = output(ctx, module, usual, generator, "generate-module", "--output", ".", "--module-source-path", filepath.Join(module, "ci"),
		"--module-name", "bookshelf", "--introspection-json-path", schema, "--lib-version", version)
	if err != nil || complaint != "" {
		return complaint, err
	}
	return c.compareGenerated(filepath.Join(module, "ci"))
}

// engineVersion is the version of Dagger that the pipeline is written for.
func engineVersion(file string) (string, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	var module struct {
		EngineVersion string `json:"engineVersion"`
	}
	if err := json.Unmarshal(content, &module); err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	if module.EngineVersion == "" {
		return "", fmt.Errorf("%s names no engineVersion", file)
	}
	return module.EngineVersion, nil
}

// copyModule copies dagger.json and ci/, as git has them, to a folder.
func (c checker) copyModule(ctx context.Context, to string) error {
	files, err := c.files(ctx, "dagger.json", "ci")
	if err != nil {
		return err
	}
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join(c.root, file))
		target := filepath.Join(to, file)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(target), 0o755)
		}
		if err == nil {
			err = os.WriteFile(target, content, 0o644)
		}
		if err != nil {
			return fmt.Errorf("copy the pipeline's module: %w", err)
		}
	}
	return nil
}

func (c checker) compareGenerated(fresh string) (string, error) {
	var complaint strings.Builder
	for _, file := range generatedFiles {
		same, err := sameContent(filepath.Join(fresh, file), filepath.Join(c.root, "ci", file))
		if err != nil {
			return "", err
		}
		if !same {
			fmt.Fprintf(&complaint, "ci/%s is not what the generator writes: run `dagger develop`\n", file)
		}
	}
	return complaint.String(), nil
}

// sameContent compares two files, which must both be there.
func sameContent(one, other string) (bool, error) {
	a, errA := os.ReadFile(one)
	b, errB := os.ReadFile(other)
	return bytes.Equal(a, b), errors.Join(errA, errB)
}
