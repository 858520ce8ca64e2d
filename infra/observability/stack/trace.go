package stack

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// TraceStore is a Jaeger; only its HTTP API of version 1 is used (https://www.jaegertracing.io/docs/1.76/apis/).
type TraceStore struct{ Address string }

// Trace is one request's way, its spans in the order in which they begin. Its JSON form is what `deliver trace --json` prints.
type Trace struct {
	ID    string `json:"id"`
	Spans []Span `json:"spans"`
}

// Span is one piece of work.
type Span struct {
	ID      string    `json:"id"`
	Parent  string    `json:"parent,omitempty"`
	Name    string    `json:"name"`
	Service string    `json:"service"`
	Begun   time.Time `json:"begun"`
	// Seconds is how long it took.
	Seconds float64 `json:"seconds"`
	Failed  bool    `json:"failed,omitempty"`
}

// jaegerTrace is the answer; times are microseconds.
type jaegerTrace struct {
	Data []struct {
		TraceID string
		Spans   []struct {
			SpanID, OperationName, ProcessID string
			References                       []struct{ RefType, SpanID string }
			StartTime, Duration              int64
			Tags                             []struct {
				Key   string
				Value any
			}
		}
		Processes map[string]struct{ ServiceName string }
	}
}

// Get returns a trace. The error is ErrNotFound where the store has none of that ID, which is so for the share that is not kept, a
// MalformedError for what is no ID, an UnreachableError where the store does not answer.
func (s TraceStore) Get(ctx context.Context, id string) (Trace, error) {
	if !traceID.MatchString(id) {
		return Trace{}, &MalformedError{fmt.Sprintf("trace %q: want 32 hexadecimal digits", id)}
	}
	body, err := open(ctx, s.Address+"/api/traces/"+strings.ToLower(id))
	if err != nil {
		return Trace{}, fmt.Errorf("trace %s: %w", id, err)
	}
	defer body.Close()
	var answer jaegerTrace
	if err := json.NewDecoder(body).Decode(&answer); err != nil {
		return Trace{}, fmt.Errorf("read the trace: %w", err)
	}
	if len(answer.Data) == 0 {
		return Trace{}, fmt.Errorf("trace %s: %w", id, ErrNotFound)
	}
	trace := Trace{ID: answer.Data[0].TraceID}
	for _, s := range answer.Data[0].Spans {
		span := Span{
			ID: s.SpanID, Name: s.OperationName, Service: answer.Data[0].Processes[s.ProcessID].ServiceName,
			Begun: time.UnixMicro(s.StartTime).UTC(), Seconds: float64(s.Duration) / 1e6,
		}
		for _, reference := range s.References {
			if reference.RefType == "CHILD_OF" {
				span.Parent = reference.SpanID
			}
		}
		for _, tag := range s.Tags {
			if tag.Key == "error" && fmt.Sprint(tag.Value) == "true" {
				span.Failed = true
			}
		}
		trace.Spans = append(trace.Spans, span)
	}
	slices.SortStableFunc(trace.Spans, func(a, b Span) int { return a.Begun.Compare(b.Begun) })
	return trace, nil
}

// width is how many characters the time line of a waterfall takes.
const width = 40

// Waterfall draws the spans below each other, each below the one that it is part of, against the time that all of it took.
func (t Trace) Waterfall(to io.Writer) {
	if len(t.Spans) == 0 {
		return
	}
	begun, end := t.Spans[0].Begun, t.Spans[0].Begun
	known := map[string]bool{}
	for _, s := range t.Spans {
		known[s.ID] = true
		if e := s.end(); e.After(end) {
			end = e
		}
	}
	fmt.Fprintf(to, "trace %s  %s  %s\n", t.ID, begun.Format(time.RFC3339Nano), end.Sub(begun).Round(time.Microsecond))
	scale := func(at time.Time) int {
		if whole := end.Sub(begun); whole > 0 {
			return int(int64(width) * int64(at.Sub(begun)) / int64(whole))
		}
		return 0
	}
	var draw func(parent string, depth int)
	shown := map[string]bool{}
	draw = func(parent string, depth int) {
		for _, s := range t.Spans {
			root := s.Parent == "" || !known[s.Parent] // what called may be none of ours
			if shown[s.ID] || parent == "" && !root || parent != "" && s.Parent != parent {
				continue
			}
			shown[s.ID] = true
			from := min(scale(s.Begun), width-1)
			bar := strings.Repeat(" ", from) + strings.Repeat("=", max(1, min(scale(s.end()), width)-from))
			failed := ""
			if s.Failed {
				failed = "  failed"
			}
			fmt.Fprintf(to, "|%-*s| %10s  %s%s: %s%s\n", width, bar, s.duration(), strings.Repeat("  ", depth), s.Service, s.Name, failed)
			draw(s.ID, depth+1)
		}
	}
	draw("", 0)
}

func (s Span) duration() time.Duration {
	return time.Duration(s.Seconds * float64(time.Second)).Round(time.Microsecond)
}

func (s Span) end() time.Time { return s.Begun.Add(s.duration()) }
