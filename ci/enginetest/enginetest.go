// Package enginetest stands in for a Dagger engine. It answers the generated client's GraphQL requests, records them, and
// writes them down as a graph that a person can read and a test can compare.
//
// It knows nothing of containers: what a file contains or how a command ends is what the test says. Each test has its own
// recording; the client's trace ID tells them apart, so tests run side by side.
package enginetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
	"go.opentelemetry.io/otel/trace"

	"dagger/bookshelf/enginetest/session"
)

// Recorder is one test's engine.
type Recorder struct {
	t testing.TB

	mu      sync.Mutex
	calls   []request // in the order in which they came
	known   map[string]*chain
	answers []answer
}

// request is something that the client wanted to know, or have done.
type request struct{ chain *chain }

// chain is a path through the API to what was asked for.
type chain struct {
	from  string // the ID where it starts; "" is the root
	name  string // of an object that the test has introduced; it has no steps
	steps []step
}

type step struct {
	field string
	args  []argument
}

type argument struct {
	name  string
	value *ast.Value
}

// answer is what a test has said about requests that match.
type answer struct {
	field, about string // the last field, and a text that the whole request contains
	value        any
	failure      *Failure
}

// Failure is a command that did not end well.
type Failure struct {
	Command        []string
	ExitCode       int
	Stdout, Stderr string
}

// New returns an engine that lives as long as the test.
func New(t testing.TB) *Recorder {
	t.Helper()
	server.start(t)
	r := &Recorder{t: t, known: map[string]*chain{}}
	id := traceID(t.Name())
	server.mu.Lock()
	defer server.mu.Unlock()
	if server.recorders[id] != nil {
		t.Fatalf("two engines for the test %s", t.Name())
	}
	server.recorders[id] = r
	t.Cleanup(func() {
		server.mu.Lock()
		defer server.mu.Unlock()
		delete(server.recorders, id)
	})
	return r
}

func traceID(name string) trace.TraceID {
	sum := sha256.Sum256([]byte(name))
	return trace.TraceID(sum[:16])
}

// Context is the context by which the client's requests reach this engine.
func (r *Recorder) Context() context.Context {
	return trace.ContextWithRemoteSpanContext(r.t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: traceID(r.t.Name()), SpanID: trace.SpanID{1}, TraceFlags: trace.FlagsSampled, Remote: true,
	}))
}

// Object introduces something that the functions under test are given, such as the checkout, and returns its ID. Graphs
// call it $name.
func (r *Recorder) Object(name string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := "object-" + name
	r.known[id] = &chain{name: "$" + name}
	return id
}

// Answer makes requests that end with field, and whose whole graph contains about, get value.
func (r *Recorder) Answer(field, about string, value any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers = append(r.answers, answer{field: field, about: about, value: value})
}

// Fail makes every request fail whose graph contains about: a step of it could not be done.
func (r *Recorder) Fail(about string, f Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers = append(r.answers, answer{about: about, failure: &f})
}

var server = &httpServer{recorders: map[trace.TraceID]*Recorder{}}

type httpServer struct {
	mu        sync.Mutex
	recorders map[trace.TraceID]*Recorder
	once      sync.Once
}

// start serves from the first test to the end of the process.
func (s *httpServer) start(t testing.TB) {
	t.Helper()
	if session.Err != nil {
		t.Fatalf("listen for the client: %v", session.Err)
	}
	s.once.Do(func() {
		go func() {
			_ = (&http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}).Serve(session.Listener)
		}()
	})
}

func (s *httpServer) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var body struct{ Query string }
	if err := json.NewDecoder(req.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	// traceparent: version-traceid-spanid-flags (W3C Trace Context)
	parts := strings.Split(req.Header.Get("Traceparent"), "-")
	if len(parts) != 4 {
		reply(w, nil, fmt.Errorf("a request outside of any test's context: %s", body.Query))
		return
	}
	id, err := trace.TraceIDFromHex(parts[1])
	if err != nil {
		reply(w, nil, err)
		return
	}
	s.mu.Lock()
	r := s.recorders[id]
	s.mu.Unlock()
	if r == nil {
		reply(w, nil, fmt.Errorf("a request of a test that has ended: %s", body.Query))
		return
	}
	data, err := r.serve(body.Query)
	reply(w, data, err)
}

// gqlError is an error as the engine sends it.
type gqlError struct {
	Message    string         `json:"message"`
	Extensions map[string]any `json:"extensions,omitempty"`
}

func (f *Failure) Error() string { return fmt.Sprintf("exit code: %d", f.ExitCode) }

func reply(w http.ResponseWriter, data any, err error) {
	response := map[string]any{"data": data}
	switch e := err.(type) { //nolint:errorlint // made by serve, never wrapped
	case nil:
	case *Failure:
		response["errors"] = []gqlError{{Message: e.Error(), Extensions: map[string]any{
			"_type": "EXEC_ERROR", "cmd": e.Command, "exitCode": e.ExitCode, "stdout": e.Stdout, "stderr": e.Stderr,
		}}}
	default:
		response["errors"] = []gqlError{{Message: err.Error()}}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(response)
}

// serve answers one request. The client only sends chains: every selection holds one field.
func (r *Recorder) serve(query string) (any, error) {
	document, err := parser.ParseQuery(&ast.Source{Input: query})
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", query, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &chain{}
	var path []string // of the answer's nesting, which fragments are not part of
	for set := document.Operations[0].SelectionSet; len(set) > 0; {
		switch s := set[0].(type) {
		case *ast.InlineFragment:
			set = s.SelectionSet
		case *ast.Field:
			path = append(path, s.Name)
			if err := r.follow(c, s); err != nil {
				return nil, err
			}
			set = s.SelectionSet
		default:
			return nil, fmt.Errorf("a selection of kind %T in %s", s, query)
		}
	}
	value, err := r.answer(c)
	if err != nil {
		return nil, err
	}
	for _, field := range slices.Backward(path) {
		value = map[string]any{field: value}
	}
	return value, nil
}

// follow takes one step. node(id:) is no step: it goes on where the ID was given out.
func (r *Recorder) follow(c *chain, f *ast.Field) error {
	if f.Name == "node" {
		id := f.Arguments.ForName("id").Value.Raw
		if r.known[id] == nil {
			return fmt.Errorf("nobody was given the ID %q", id)
		}
		c.from = id
		return nil
	}
	s := step{field: f.Name}
	for _, a := range f.Arguments {
		s.args = append(s.args, argument{a.Name, a.Value})
	}
	c.steps = append(c.steps, s)
	return nil
}

// answer finds what the test has said; else things that are asked for by ID get one, and everything else its zero.
func (r *Recorder) answer(c *chain) (any, error) {
	last := c.steps[len(c.steps)-1].field
	text := r.expanded(c)
	isID := last == "id" || last == "sync" || last == "start" || last == "stop"
	if last != "id" {
		r.calls = append(r.calls, request{c})
	}
	var value any
	// The last word counts, so that a test can say something general first.
	for _, a := range r.answers {
		if (a.field == "" || a.field == last) && strings.Contains(text, a.about) {
			if a.failure != nil && last != "id" {
				return nil, a.failure
			}
			if a.failure == nil {
				value = a.value
			}
		}
	}
	switch {
	case isID && len(c.steps) == 1:
		return c.from, nil // of what has one already
	case isID:
		made := &chain{from: c.from, steps: c.steps[:len(c.steps)-1]}
		id := identify(r.expanded(made))
		r.known[id] = made
		return id, nil
	case value != nil:
		return value, nil
	case last == "exitCode" || last == "size":
		return 0, nil
	default:
		return "", nil
	}
}

// identify makes an ID of what it stands for, so that the same thing asked for twice is one thing.
func identify(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "id-" + hex.EncodeToString(sum[:8])
}
