package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"time"

	"bookshelf/infra/environment"
	watch "bookshelf/infra/observability/stack"
	"bookshelf/infra/runtime"
)

// watchTimeout is how long what watches an environment may take to answer. Loki and Prometheus read what they kept before they do.
const watchTimeout = 2 * time.Minute

// chooseWatching turns the images of what watches the environment into what the engine runs.
func (s *session) chooseWatching(ctx context.Context) error {
	images, err := watch.Image(s.config.Watching.Level)
	if err != nil {
		return err
	}
	chosen := map[string]string{}
	for part, image := range images {
		if own := s.config.Watching.Images[part]; own != "" {
			image = own
		}
		if chosen[part], err = s.resolve(ctx, image, "make observability-images ENV="+s.name); err != nil {
			return err
		}
	}
	if len(chosen) == 0 {
		return nil
	}
	content, err := json.Marshal(chosen)
	s.settings["observabilityImages"] = string(content)
	return err
}

// Page is one address of what watches an environment. Its JSON form is what `deliver open --json` prints.
type Page struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	// Answers says that it does, just now.
	Answers bool `json:"answers"`
}

// Pages lists what there is to look at in an environment: the service itself, and the pages of what watches it.
func (o *Operator) Pages(ctx context.Context, name string) ([]Page, error) {
	config, parts, err := o.watching(ctx, name)
	if err != nil {
		return nil, err
	}
	pages := []Page{{Name: "service", Address: config.URL + "/docs", Answers: answers(ctx, config.URL+"/readyz") == nil}}
	for _, part := range parts {
		if part.Page != "" {
			pages = append(pages, Page{Name: part.Name, Address: address(part, part.Page), Answers: answers(ctx, address(part, part.Ready)) == nil})
		}
	}
	return pages, nil
}

// watching reads an environment's configuration and what should watch it.
func (o *Operator) watching(ctx context.Context, name string) (environment.Config, []watch.Part, error) {
	settings, err := o.reach(ctx, name)
	if err != nil {
		return environment.Config{}, nil, err
	}
	config, err := load(name, settings)
	if err != nil {
		return environment.Config{}, nil, err
	}
	slots, err := environment.ReadSlots(o.Layout.State, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return environment.Config{}, nil, err
	}
	parts, err := config.Watch(slots)
	return config, parts, err
}

// address is where a part is found from this machine.
func address(part watch.Part, path string) string {
	return fmt.Sprintf("http://127.0.0.1:%d%s", part.Published, path)
}

// answers asks once; nil is a 200.
func answers(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20)); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", address, response.Status)
	}
	return nil
}

// waitWatching returns once everything that watches the environment answers.
func (s *session) waitWatching(ctx context.Context) error {
	if s.remote() {
		return nil // its loopback is not ours
	}
	parts, err := s.config.Watch(s.slots)
	if err != nil {
		return err
	}
	parts = slices.DeleteFunc(parts, func(p watch.Part) bool { return p.Published == 0 })
	ctx, cancel := context.WithTimeoutCause(ctx, watchTimeout, fmt.Errorf("not within %s", watchTimeout))
	defer cancel()
	for _, part := range parts {
		for {
			err := answers(ctx, address(part, part.Ready))
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s does not answer: %w (%w)", s.env.Part(watch.Prefix+part.Name), context.Cause(ctx), err)
			case <-time.After(250 * time.Millisecond):
			}
		}
	}
	return nil
}

// remote reports whether the engine is on another machine.
func (s *session) remote() bool {
	host, ok := s.Platform.(interface{ Local() bool })
	return ok && !host.Local()
}

// LogQuery says which lines of the store are wanted, beside what every platform understands.
type LogQuery struct {
	runtime.LogOptions
	// Trace is a trace's ID, Level the least severity, Text what the line contains; "" for any.
	Trace, Level, Text string
}

// stored reports whether something is asked that only the store can answer.
func (q LogQuery) stored() bool { return q.Trace != "" || q.Level != "" || q.Text != "" }

// Query writes an environment's log lines: those of the store, oldest first, and where there is no store or it does not answer, those
// that Docker has. The error says so where Docker cannot answer the question.
func (o *Operator) Query(ctx context.Context, name string, query LogQuery, stdout, stderr io.Writer) error {
	_, parts, err := o.watching(ctx, name)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(parts, func(p watch.Part) bool { return p.Name == watch.Logs })
	switch {
	case query.Slot != "", !query.stored() && (query.Tail > 0 || at < 0):
		// The last lines of each container, or no store: Docker knows.
	case at < 0:
		return &UsageError{Problem: fmt.Sprintf("%s keeps no logs that can be searched: set bookshelf:observability to lean or full", name)}
	default:
		store := watch.LogStore{Address: address(parts[at], "")}
		err := store.Write(ctx, watch.LogSearch{
			Service: query.Component, Trace: query.Trace, Level: query.Level, Text: query.Text, Since: query.Since, Follow: query.Follow,
		}, stdout)
		if malformed, ok := errors.AsType[*watch.MalformedError](err); ok {
			return &UsageError{Problem: malformed.Error()}
		}
		if _, unreachable := errors.AsType[*watch.UnreachableError](err); !unreachable {
			return err
		}
		if query.stored() {
			return fmt.Errorf("the store of logs does not answer, and Docker cannot search: %w; mend it with `deliver up -e %s`", err, name)
		}
		fmt.Fprintln(stderr, "the store of logs does not answer; these are Docker's lines")
	}
	return o.Logs(ctx, name, query.LogOptions, stdout, stderr)
}

// Trace returns one trace of an environment.
func (o *Operator) Trace(ctx context.Context, name, id string) (watch.Trace, error) {
	_, parts, err := o.watching(ctx, name)
	if err != nil {
		return watch.Trace{}, err
	}
	at := slices.IndexFunc(parts, func(p watch.Part) bool { return p.Name == watch.Traces })
	if at < 0 {
		return watch.Trace{}, &UsageError{Problem: fmt.Sprintf("%s keeps no traces: set bookshelf:observability to full", name)}
	}
	trace, err := watch.TraceStore{Address: address(parts[at], "")}.Get(ctx, id)
	if malformed, ok := errors.AsType[*watch.MalformedError](err); ok {
		return trace, &UsageError{Problem: malformed.Error()}
	}
	return trace, err
}
