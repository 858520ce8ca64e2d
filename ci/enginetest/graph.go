package enginetest

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

var update = flag.Bool("update", false, "write the golden graphs instead of comparing with them")

// expanded is the request with everything that it refers to, in one line: what an answer can be about.
func (r *Recorder) expanded(c *chain) string {
	return r.render(c, " ", func(id string) string {
		return "(" + r.expanded(r.known[id]) + ")"
	})
}

// render writes a chain, its arguments in the order of their names, for the client's is random.
func (r *Recorder) render(c *chain, between string, resolve func(id string) string) string {
	var b strings.Builder
	b.WriteString(c.name)
	if c.from != "" {
		b.WriteString(resolve(c.from))
	}
	for i, s := range c.steps {
		if i > 0 || c.from != "" {
			b.WriteString(between + ".")
		}
		b.WriteString(s.field)
		if len(s.args) == 0 {
			continue
		}
		b.WriteByte('(')
		for j, a := range s.sorted() {
			if j > 0 {
				b.WriteString(", ")
			}
			b.WriteString(a.name + ": " + r.value(a.value, resolve))
		}
		b.WriteByte(')')
	}
	return b.String()
}

func (s step) sorted() []argument {
	return slices.SortedFunc(slices.Values(s.args), func(a, b argument) int { return cmp.Compare(a.name, b.name) })
}

func (r *Recorder) value(v *ast.Value, resolve func(id string) string) string {
	switch v.Kind {
	case ast.StringValue, ast.BlockValue:
		if _, ok := r.known[v.Raw]; ok {
			return resolve(v.Raw)
		}
		return strconv.Quote(v.Raw)
	case ast.ListValue:
		var items []string
		for _, child := range v.Children {
			items = append(items, r.value(child.Value, resolve))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case ast.ObjectValue:
		var members []string
		for _, child := range v.Children {
			members = append(members, child.Name+": "+r.value(child.Value, resolve))
		}
		slices.Sort(members)
		return "{" + strings.Join(members, ", ") + "}"
	default:
		return v.String()
	}
}

// Graph writes down what was asked of the engine. Things that requests refer to by ID are numbered, and come before their
// first use. Requests stand in the order in which they came, or sorted where steps run side by side.
func (r *Recorder) Graph(sideBySide bool) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := slices.Clone(r.calls)
	if sideBySide {
		slices.SortStableFunc(calls, func(a, b request) int { return cmp.Compare(r.expanded(a.chain), r.expanded(b.chain)) })
	}
	w := &writer{recorder: r, names: map[string]string{}, counts: map[string]int{}}
	for _, c := range calls {
		w.ask(c.chain)
	}
	return strings.TrimRight(w.out.String(), "\n") + "\n"
}

type writer struct {
	recorder *Recorder
	out      strings.Builder
	names    map[string]string // by ID
	counts   map[string]int    // by kind
}

// ask writes down a request. What was asked to be done, and not to be told, has a name that later requests start from.
func (w *writer) ask(c *chain) {
	last := c.steps[len(c.steps)-1].field
	if last == "sync" || last == "start" || last == "stop" {
		id := c.from
		if len(c.steps) > 1 {
			id = identify(w.recorder.expanded(&chain{from: c.from, steps: c.steps[:len(c.steps)-1]}))
		}
		w.define(id)
		c = &chain{from: id, steps: c.steps[len(c.steps)-1:]}
	}
	w.defineParts(c)
	separator := "\n  "
	if len(c.steps) == 1 {
		separator = ""
	}
	fmt.Fprintf(&w.out, "ask %s\n\n", w.text(c, separator))
}

// define writes down what an ID stands for, unless it has a name already.
func (w *writer) define(id string) {
	if w.names[id] != "" {
		return
	}
	origin := w.recorder.known[id]
	if origin.name != "" {
		w.names[id] = origin.name // a thing of the test's own needs no definition
		return
	}
	w.defineParts(origin)
	kind := origin.steps[0].field
	if origin.from != "" {
		kind = strings.TrimRight(strings.TrimPrefix(w.names[origin.from], "$"), "0123456789")
	}
	w.counts[kind]++
	w.names[id] = fmt.Sprintf("$%s%d", kind, w.counts[kind])
	fmt.Fprintf(&w.out, "%s = %s\n\n", w.names[id], w.text(origin, "\n  "))
}

// defineParts writes down everything that a chain refers to.
func (w *writer) defineParts(c *chain) {
	if c.from != "" {
		w.define(c.from)
	}
	for _, s := range c.steps {
		for _, a := range s.sorted() {
			w.defineValue(a.value)
		}
	}
}

func (w *writer) defineValue(v *ast.Value) {
	for _, child := range v.Children {
		w.defineValue(child.Value)
	}
	if v.Kind == ast.StringValue && w.recorder.known[v.Raw] != nil {
		w.define(v.Raw)
	}
}

func (w *writer) text(c *chain, between string) string {
	return w.recorder.render(c, between, func(id string) string { return w.names[id] })
}

// Golden compares the graph with testdata/NAME.graph, or writes that file when the tests run with -update.
func (r *Recorder) Golden(name string, sideBySide bool) {
	r.t.Helper()
	graph := r.Graph(sideBySide)
	path := filepath.Join("testdata", name+".graph")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(graph), 0o644); err != nil {
			r.t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatalf("%v (the tests write it with -update)", err)
	}
	if !bytes.Equal(want, []byte(graph)) {
		r.t.Errorf("%s no longer is what is asked of the engine; if that is meant, run the tests with -update and review the difference\n%s",
			path, difference(string(want), graph))
	}
}

// difference shows the first lines that differ, with some before them.
func difference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	from := max(0, i-3)
	return fmt.Sprintf("from line %d\n--- want\n%s\n--- got\n%s", from+1,
		strings.Join(a[from:min(len(a), i+4)], "\n"), strings.Join(b[from:min(len(b), i+4)], "\n"))
}

// Asked tells whether a request that contains about reached the engine.
func (r *Recorder) Asked(about string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.calls, func(c request) bool { return strings.Contains(r.expanded(c.chain), about) })
}
