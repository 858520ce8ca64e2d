package stack

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// LogStore is a VictoriaLogs (https://docs.victoriametrics.com/victorialogs/querying/).
type LogStore struct{ Address string }

// LogSearch says which lines are wanted; what is empty leaves the choice open.
type LogSearch struct {
	Service, Trace, Text string
	// Level is the least severity: debug, info, warn, error.
	Level  string
	Since  time.Duration
	Follow bool
}

// UnreachableError says that a store does not answer.
type UnreachableError struct{ Cause error }

func (e *UnreachableError) Error() string { return e.Cause.Error() }

// Unwrap returns why.
func (e *UnreachableError) Unwrap() error { return e.Cause }

// MalformedError is a question that no store can answer.
type MalformedError struct{ Problem string }

func (e *MalformedError) Error() string { return e.Problem }

// severities are the levels, the least first, as they are written.
var severities = []string{"DEBUG", "INFO", "WARN", "ERROR"}

// Query is the search in LogsQL. Whatever was typed is quoted, and so is a text and never a part of the query.
func (s LogSearch) Query() (string, error) {
	var filters []string
	add := func(field, value string) {
		if value != "" {
			filters = append(filters, strconv.Quote(field)+":="+strconv.Quote(value))
		}
	}
	add("service.name", s.Service)
	add("trace_id", strings.ToLower(s.Trace))
	if s.Trace != "" && !traceID.MatchString(s.Trace) {
		return "", &MalformedError{fmt.Sprintf("trace %q: want 32 hexadecimal digits", s.Trace)}
	}
	if s.Level != "" {
		at := slices.Index(severities, strings.ToUpper(s.Level))
		if at < 0 {
			return "", &MalformedError{fmt.Sprintf("level %q: want debug, info, warn or error", s.Level)}
		}
		var quoted []string
		for _, level := range severities[at:] {
			quoted = append(quoted, strconv.Quote(level))
		}
		filters = append(filters, "level:in("+strings.Join(quoted, ",")+")")
	}
	if s.Text != "" {
		filters = append(filters, "~"+strconv.Quote(regexp.QuoteMeta(s.Text)))
	}
	if s.Since > 0 && !s.Follow {
		filters = append(filters, "_time:"+strconv.FormatFloat(s.Since.Seconds(), 'f', -1, 64)+"s")
	}
	if len(filters) == 0 {
		filters = append(filters, "*")
	}
	query := strings.Join(filters, " ")
	if !s.Follow {
		query += " | sort by (_time)"
	}
	return query, nil
}

var traceID = regexp.MustCompile(`^[0-9A-Fa-f]{32}$`)

// Write writes the lines that are found, one each. The error is an UnreachableError where the store does not answer, and a
// MalformedError for a search that means nothing.
func (s LogStore) Write(ctx context.Context, search LogSearch, to io.Writer) error {
	query, err := search.Query()
	if err != nil {
		return err
	}
	path := "/select/logsql/query"
	values := url.Values{"query": {query}}
	if search.Follow {
		path = "/select/logsql/tail"
		if search.Since > 0 {
			values.Set("start_offset", strconv.FormatFloat(search.Since.Seconds(), 'f', -1, 64)+"s")
		}
	}
	body, err := open(ctx, s.Address+path+"?"+values.Encode())
	if err != nil {
		return err
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var fields map[string]string
		if err := json.Unmarshal(lines.Bytes(), &fields); err != nil {
			return fmt.Errorf("read what the store of logs answers: %w", err)
		}
		if _, err := fmt.Fprintln(to, line(fields)); err != nil {
			return err
		}
	}
	if search.Follow && ctx.Err() != nil {
		return nil
	}
	return lines.Err()
}

// open asks a store a question.
func open(ctx context.Context, address string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, &UnreachableError{err}
	}
	if response.StatusCode == http.StatusOK {
		return response.Body, nil
	}
	said, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	err = fmt.Errorf("%s: %s", response.Status, strings.TrimSpace(string(said))+errorText(errors.Join(err, response.Body.Close())))
	switch response.StatusCode {
	case http.StatusNotFound:
		return nil, fmt.Errorf("%w: %w", ErrNotFound, err)
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return nil, &UnreachableError{err}
	default:
		return nil, err
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return " (" + err.Error() + ")"
}

// ErrNotFound is returned for what a store does not have.
var ErrNotFound = errors.New("not found")

// line shows an entry as a person reads it: time, instance, message, and the other fields by name.
func line(fields map[string]string) string {
	rest := maps.Clone(fields)
	for _, shown := range []string{"_time", "_msg", "_stream", "_stream_id", "service.name", "service.instance.id", "deployment.environment.name", "time", "severity", "log.file.name", "stream"} {
		delete(rest, shown)
	}
	parts := []string{fields["_time"], fields["service.instance.id"], "|", fields["_msg"]}
	for _, name := range slices.Sorted(maps.Keys(rest)) {
		if value := rest[name]; value != "" {
			parts = append(parts, name+"="+value)
		}
	}
	return strings.Join(parts, " ")
}
