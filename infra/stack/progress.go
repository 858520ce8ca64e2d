package stack

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

// Phase is where a step is.
type Phase int

// Phases of a step. A preview has planned steps only.
const (
	Planned Phase = iota
	Begun
	Ended
)

// Step is one change of one resource, as it happens.
type Step struct {
	// Operation is create, update, delete or replace; Resource the name in the program; Kind container, network, volume or task.
	Operation, Resource, Kind string
	Phase                     Phase
	// Took is how long a step that has ended was.
	Took time.Duration
	// Because names the properties that differ, for an update or a replacement.
	Because []string
	Err     string
}

// Progress is told of each step. Nil means that nobody is interested.
type Progress func(Step)

// watcher turns the engine's events into steps, counts and error messages.
type watcher struct {
	events   chan events.EngineEvent
	progress Progress
	planning bool
	done     chan struct{}

	started  map[string]time.Time
	failures []string
	changes  map[string]int
}

func newWatcher(progress Progress, planning bool) *watcher {
	if progress == nil {
		progress = func(Step) {}
	}
	w := &watcher{
		events: make(chan events.EngineEvent), progress: progress, planning: planning,
		done: make(chan struct{}), started: map[string]time.Time{}, changes: map[string]int{},
	}
	go func() {
		defer close(w.done)
		for event := range w.events {
			w.observe(event)
		}
	}()
	return w
}

// shown are the operations that change something, by the name that a person knows them by. A replacement is shown as what it consists
// of: the old one deleted, the new one created.
var shown = map[apitype.OpType]string{
	apitype.OpCreate:            "create",
	apitype.OpCreateReplacement: "create",
	apitype.OpUpdate:            "update",
	apitype.OpDelete:            "delete",
	apitype.OpDeleteReplaced:    "delete",
}

func (w *watcher) observe(event events.EngineEvent) {
	switch {
	case event.ResourcePreEvent != nil:
		w.begin(event.ResourcePreEvent.Metadata)
	case event.ResOutputsEvent != nil:
		w.end(event.ResOutputsEvent.Metadata, "")
	case event.ResOpFailedEvent != nil:
		w.end(event.ResOpFailedEvent.Metadata, "failed")
	case event.DiagnosticEvent != nil:
		if d := event.DiagnosticEvent; d.Severity == "error" {
			if text := clean(d.Message); text != "" && !slices.Contains(w.failures, text) {
				w.failures = append(w.failures, text)
			}
		}
	case event.SummaryEvent != nil:
		for operation, count := range event.SummaryEvent.ResourceChanges {
			if operation != apitype.OpSame && count > 0 {
				w.changes[string(operation)] += count
			}
		}
	}
}

func (w *watcher) begin(m apitype.StepEventMetadata) {
	step, ok := stepOf(m)
	if !ok {
		return
	}
	if !w.planning {
		step.Phase = Begun
		w.started[m.URN+step.Operation] = time.Now()
	}
	w.progress(step)
}

func (w *watcher) end(m apitype.StepEventMetadata, problem string) {
	step, ok := stepOf(m)
	if !ok || w.planning {
		return
	}
	step.Phase, step.Err = Ended, problem
	if begun, ok := w.started[m.URN+step.Operation]; ok {
		step.Took = time.Since(begun)
	}
	w.progress(step)
}

func stepOf(m apitype.StepEventMetadata) (Step, bool) {
	operation, ok := shown[m.Op]
	kind, docker := strings.CutPrefix(m.Type, "docker:index/")
	if !ok || !docker {
		return Step{}, false
	}
	kind, _, _ = strings.Cut(kind, ":")
	return Step{Operation: operation, Resource: m.URN[strings.LastIndex(m.URN, "::")+2:], Kind: kind, Because: m.Diffs}, true
}

// finish waits for the last event and makes the operation's error one that a person can read: the engine's own messages instead of
// the whole output of the CLI.
func (w *watcher) finish(err error) (Outcome, error) {
	// The Automation API closes the channel when the operation ends; when it never began, nobody does.
	select {
	case <-w.done:
	case <-time.After(eventGrace):
	}
	outcome := Outcome{Changes: maps.Clone(w.changes)}
	if err == nil {
		return outcome, nil
	}
	if len(w.failures) > 0 {
		return outcome, &DeployError{Problems: w.failures, cause: err}
	}
	return outcome, err
}

// eventGrace is how long the last events may lag behind the end of the operation.
const eventGrace = 5 * time.Second

// DeployError is a deployment that Pulumi could not complete.
type DeployError struct {
	Problems []string
	cause    error
}

func (e *DeployError) Error() string { return strings.Join(e.Problems, "\n") }

// Unwrap returns what the Automation API said.
func (e *DeployError) Unwrap() error { return e.cause }

// wrappers are what the SDK puts before a program's own error.
var wrappers = []string{"an unhandled error occurred: ", "waiting for RPCs: ", "resolving options: ", "program failed: "}

// clean takes an engine message's colour codes, empty lines and wrapping away.
func clean(message string) string {
	for {
		start := strings.Index(message, "<{%")
		end := strings.Index(message, "%}>")
		if start < 0 || end < start {
			break
		}
		message = message[:start] + message[end+len("%}>"):]
	}
	lines := strings.Split(message, "\n")
	lines = slices.DeleteFunc(lines, func(line string) bool { return strings.TrimSpace(line) == "" })
	message = strings.Join(lines, "\n")
	for _, wrapper := range wrappers {
		message = strings.TrimPrefix(message, wrapper)
	}
	return message
}

// String is the line a person reads.
func (s Step) String() string {
	what := fmt.Sprintf("%s %s %s", s.Operation, s.Kind, s.Resource)
	if len(s.Because) > 0 {
		what += " (" + strings.Join(s.Because, ", ") + ")"
	}
	switch {
	case s.Phase == Planned:
		return "would " + what
	case s.Phase == Begun:
		return what + " …"
	case s.Err != "":
		return fmt.Sprintf("%s: %s (%.1f s)", what, s.Err, s.Took.Seconds())
	default:
		return fmt.Sprintf("%s: done (%.1f s)", what, s.Took.Seconds())
	}
}
