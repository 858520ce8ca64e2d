package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// surface is what a caller can reach: the arguments of each function, by name.
type surface map[string][]string

// declared reads the module's own sources.
func declared(t *testing.T) surface {
	t.Helper()
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	all := surface{}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, ".gen.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || !f.Name.IsExported() || f.Recv == nil && f.Name.Name != "New" {
				continue
			}
			name := f.Name.Name
			if f.Recv == nil {
				name = "" // the constructor
			}
			all[name] = []string{}
			for _, field := range f.Type.Params.List {
				for _, param := range field.Names {
					if param.Name != "ctx" {
						all[name] = append(all[name], param.Name)
					}
				}
			}
		}
	}
	return all
}

// dispatched reads the dispatcher that Dagger's generator wrote.
func dispatched(t *testing.T) surface {
	t.Helper()
	content, err := os.ReadFile("dagger.gen.go")
	if err != nil {
		t.Fatal(err)
	}
	_, body, ok := strings.Cut(string(content), `case "Bookshelf":`)
	if !ok {
		t.Fatal("the generated code has no object Bookshelf")
	}
	all := surface{}
	name := regexp.MustCompile(`^\t\tcase "(\w*)":`)
	arg := regexp.MustCompile(`^\t\t\tif inputArgs\["(\w+)"\] != nil`)
	function := ""
	for line := range strings.Lines(body) {
		if m := name.FindStringSubmatch(line); m != nil {
			function = m[1]
			all[function] = []string{}
		}
		if m := arg.FindStringSubmatch(line); m != nil {
			all[function] = append(all[function], m[1])
		}
	}
	return all
}

// A function that was added or changed is not there for a caller before the code is generated anew. An engine does that for
// itself; who reads and tests without one would be misled.
func TestGeneratedCodeKnowsEveryFunction(t *testing.T) {
	t.Parallel()
	want, got := declared(t), dispatched(t)
	for _, d := range []surface{want, got} {
		for _, args := range d {
			slices.Sort(args)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("`dagger develop` was forgotten (-declared +generated):\n%s", diff)
	}
}
