package httpapi

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/bookimport"
	"bookshelf/app/internal/buildinfo"
	"bookshelf/app/internal/httpapi/guard"
	"bookshelf/app/internal/httpapi/transfer"
	"bookshelf/app/internal/idempotency"
	"bookshelf/app/internal/postgres"
)

var update = flag.Bool("update", false, "rewrite the golden files with what the tests got")

// now is the time of every test.
var now = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// fakeStore keeps books in memory, ordered by ID. A hook, when set, replaces what a method would do.
type fakeStore struct {
	mu    sync.Mutex
	books []book.Book

	responses map[string]answered // by scope and key

	hook      func(ctx context.Context) error // before every operation on books
	exportEnd func(ctx context.Context) error // after the last book of an export
	ready     func(ctx context.Context) error
}

// answered is a request with a key, and its response.
type answered struct {
	request  idempotency.Request
	response idempotency.Response
}

func (s *fakeStore) enter(ctx context.Context) error {
	if s.hook == nil {
		return nil
	}
	return s.hook(ctx)
}

func (s *fakeStore) Create(ctx context.Context, d book.Draft) (book.Book, error) {
	if err := s.enter(ctx); err != nil {
		return book.Book{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.conflict(d.ISBN, 0); err != nil {
		return book.Book{}, err
	}
	id := int64(1)
	if n := len(s.books); n > 0 {
		id = s.books[n-1].ID + 1
	}
	b := fill(book.Book{ID: id, Version: 1, CreatedAt: now, UpdatedAt: now}, d)
	s.books = append(s.books, b)
	return b, nil
}

// CreateOnce remembers responses for ever, and takes the key "busy" for one in flight.
func (s *fakeStore) CreateOnce(
	ctx context.Context, d book.Draft, r idempotency.Request, respond func(book.Book) (idempotency.Response, error),
) (response idempotency.Response, replayed bool, err error) {
	if r.Key == "busy" {
		return idempotency.Response{}, false, idempotency.ErrInFlight
	}
	s.mu.Lock()
	first, there := s.responses[r.Scope+"\n"+r.Key]
	s.mu.Unlock()
	switch {
	case there && first.request.Fingerprint != r.Fingerprint:
		return idempotency.Response{}, false, idempotency.ErrReused
	case there:
		return first.response, true, nil
	}
	created, err := s.Create(ctx, d)
	if err != nil {
		return idempotency.Response{}, false, err
	}
	response, err = respond(created)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.responses == nil {
		s.responses = map[string]answered{}
	}
	s.responses[r.Scope+"\n"+r.Key] = answered{r, response}
	return response, false, err
}

func (s *fakeStore) conflict(isbn string, except int64) error {
	for _, b := range s.books {
		if isbn != "" && b.ISBN13 == isbn && b.ID != except {
			return &book.ConflictError{Field: "isbn13", Value: isbn}
		}
	}
	return nil
}

func fill(b book.Book, d book.Draft) book.Book {
	b.Title, b.Authors, b.ISBN13 = d.Title, d.Authors, d.ISBN
	b.PublishedYear, b.Language, b.Description = d.PublishedYear, d.Language, d.Description
	return b
}

func (s *fakeStore) find(id int64) (int, error) {
	i, ok := slices.BinarySearchFunc(s.books, id, func(b book.Book, id int64) int { return cmp.Compare(b.ID, id) })
	if !ok {
		return 0, book.ErrNotFound
	}
	return i, nil
}

func (s *fakeStore) Get(ctx context.Context, id int64) (book.Book, error) {
	if err := s.enter(ctx); err != nil {
		return book.Book{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i, err := s.find(id)
	if err != nil {
		return book.Book{}, err
	}
	return s.books[i], nil
}

// List pages by ID and filters by exact title only: what the real store does with a query is tested there.
func (s *fakeStore) List(ctx context.Context, q book.Query) ([]book.Book, *book.Position, error) {
	if err := s.enter(ctx); err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var page []book.Book
	for _, b := range s.books {
		if q.After != nil && b.ID <= q.After.ID || q.Title != "" && b.Title != q.Title {
			continue
		}
		if len(page) == q.Limit {
			return page, &book.Position{ID: page[len(page)-1].ID}, nil
		}
		page = append(page, b)
	}
	return page, nil, nil
}

func (s *fakeStore) Replace(
	ctx context.Context, id int64, d book.Draft, c book.Condition,
) (book.Book, error) {
	if err := s.enter(ctx); err != nil {
		return book.Book{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i, err := s.find(id)
	if err != nil {
		return book.Book{}, err
	}
	if !c.Allows(s.books[i].Version) {
		return book.Book{}, book.ErrStale
	}
	if err := s.conflict(d.ISBN, id); err != nil {
		return book.Book{}, err
	}
	s.books[i] = fill(s.books[i], d)
	s.books[i].Version++
	return s.books[i], nil
}

// Export fails after its books when there is an error to fail with.
func (s *fakeStore) Export(ctx context.Context, yield func(book.Book) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	for _, b := range s.books {
		if err := yield(b); err != nil {
			return err
		}
	}
	if s.exportEnd != nil {
		return s.exportEnd(ctx)
	}
	return nil
}

func (s *fakeStore) Modify(
	ctx context.Context, id int64, c book.Condition, change func(book.Book) (book.Draft, error),
) (book.Book, error) {
	stored, err := s.Get(ctx, id)
	if err != nil {
		return book.Book{}, err
	}
	if !c.Allows(stored.Version) {
		return book.Book{}, book.ErrStale
	}
	d, err := change(stored)
	if err != nil {
		return book.Book{}, err
	}
	return s.Replace(ctx, id, d, book.Condition{Match: &book.Versions{List: []int64{stored.Version}}})
}

func (s *fakeStore) Delete(ctx context.Context, id int64, c book.Condition) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i, err := s.find(id)
	if err != nil {
		return err
	}
	if !c.Allows(s.books[i].Version) {
		return book.ErrStale
	}
	s.books = slices.Delete(s.books, i, i+1)
	return nil
}

// History makes every book look as if it had been changed as often as its version says. What the real store keeps is
// tested there.
func (s *fakeStore) History(ctx context.Context, id, before int64, limit int) ([]book.Event, bool, error) {
	b, err := s.Get(ctx, id)
	if err != nil {
		return nil, false, err
	}
	if before == 0 {
		before = b.Version + 1
	}
	var events []book.Event
	for v := before - 1; v > 0 && len(events) < limit; v-- {
		e := book.Event{ID: v, Action: "update", At: now, Actor: "anonymous", Version: v, After: json.RawMessage(`{}`)}
		if v == 1 {
			e.Action = "create"
		} else {
			e.Before = json.RawMessage(`{}`)
		}
		events = append(events, e)
	}
	return events, before-1 > int64(limit), nil
}

func (s *fakeStore) Ready(ctx context.Context) error {
	if s.ready == nil {
		return nil
	}
	return s.ready(ctx)
}

// fakeImporter reads the whole input and remembers with what options.
type fakeImporter struct {
	opts   bookimport.Options
	read   string
	report bookimport.Report
	err    error
}

func (i *fakeImporter) Import(_ context.Context, opts bookimport.Options, in io.Reader) (bookimport.Report, error) {
	content, err := io.ReadAll(in)
	i.opts, i.read = opts, string(content)
	if err != nil {
		return bookimport.Report{}, &bookimport.InputError{Name: opts.Name, Err: err}
	}
	report := i.report
	report.Format, report.OnConflict = opts.Format, cmp.Or(opts.OnConflict, postgres.Skip)
	report.Reasons, report.Repairs = map[bookimport.Reason]int64{}, map[bookimport.Reason]int64{}
	report.Findings = []bookimport.Finding{}
	return report, i.err
}

// fakeMetrics remembers what was counted.
type fakeMetrics struct {
	mu       sync.Mutex
	active   int
	done     []counted
	outcomes []string
}

type counted struct {
	Route, Method string
	Status        int
}

func (m *fakeMetrics) RequestStarted() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.active++
}

func (m *fakeMetrics) TokenChecked(outcome string) { m.happened("token " + outcome) }

func (m *fakeMetrics) LimitChecked(policy, outcome string) {
	m.happened("limit " + policy + " " + outcome)
}

func (m *fakeMetrics) KeyUsed(outcome string) { m.happened("key " + outcome) }

func (m *fakeMetrics) happened(outcome string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.outcomes = append(m.outcomes, outcome)
}

func (m *fakeMetrics) RequestDone(route, method string, status int, _ time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.active--
	m.done = append(m.done, counted{route, method, status})
}

// logBuffer collects log lines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// lines parses every line, each of which has to be one JSON object.
func (l *logBuffer) lines(t *testing.T) []map[string]any {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []map[string]any
	for line := range strings.Lines(l.b.String()) {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Fatalf("log line %q is not a JSON object: %v", line, err)
		}
		out = append(out, object)
	}
	return out
}

// bundle is an API over a fake store, and what it did.
type bundle struct {
	api     *API
	store   *fakeStore
	metrics *fakeMetrics
	logs    *logBuffer

	importer *fakeImporter
}

func setup(t *testing.T, changes ...func(*Options)) *bundle {
	t.Helper()
	b := &bundle{store: &fakeStore{}, metrics: &fakeMetrics{}, logs: &logBuffer{}, importer: &fakeImporter{}}
	options := Options{
		Store:          b.store,
		Auth:           AuthOff,
		Metrics:        b.metrics,
		Logger:         slog.New(slog.NewJSONHandler(b.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Build:          buildinfo.Info{Version: "v1.2.3", Revision: "0123abc"},
		Now:            func() time.Time { return now },
		RequestTimeout: time.Minute,
		ReadyTimeout:   time.Minute,
		MaxBodyBytes:   4096,
		Retention:      time.Hour,

		Guard: guard.Options{MaxConnections: 100, MaxInFlight: 100, MaxBodyBytesInFlight: 1 << 20},
		Transfers: transfer.Options{
			Importer:       b.importer,
			MaxImportBytes: 4096,
			Max:            1,
			Timeout:        time.Minute,
			ReadTimeout:    time.Minute,
			WriteTimeout:   time.Minute,
		},
	}
	for _, change := range changes {
		change(&options)
	}
	b.api = New(options)
	return b
}

const minimalBook = `{"title": "Dune", "authors": ["Frank Herbert"]}`

// request is one call; the zero value of a field leaves it out.
type request struct {
	method, target string
	header         http.Header
	body           string
}

// do sends a request with a JSON content type if it has a body, and the request ID "test". The answer must be one that the
// description of the API has.
func (b *bundle) do(t *testing.T, req request) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), req.method, req.target, strings.NewReader(req.body))
	if req.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("X-Request-ID", "test")
	maps.Copy(r.Header, req.header)
	w := httptest.NewRecorder()
	b.api.ServeHTTP(w, r)
	theContract(t).check(t, r, w)
	if got := w.Header().Get("X-Bookshelf-Version"); got != "v1.2.3" {
		t.Errorf("%s %s: X-Bookshelf-Version = %q, want it on every response", req.method, req.target, got)
	}
	return w
}

// add stores books with these titles.
func (b *bundle) add(t *testing.T, titles ...string) {
	t.Helper()
	for _, title := range titles {
		if _, err := b.store.Create(t.Context(), book.Draft{Title: title, Authors: []string{"Anon"}}); err != nil {
			t.Fatal(err)
		}
	}
}

// wantGolden compares got with testdata/name, or rewrites it.
func wantGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run the test with -update)", err)
	}
	if diff := gocmp.Diff(string(want), got); diff != "" {
		t.Errorf("differs from %s (-want +got):\n%s", path, diff)
	}
}

// dump writes the status, the headers that matter and the indented body.
func dump(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	res := w.Result()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	out.WriteString(res.Status + "\n")
	for _, name := range []string{
		"Allow", "Connection", "Content-Location", "Content-Type", "Etag", "Idempotency-Replayed", "Link",
		"Location", "Ratelimit", "Ratelimit-Policy", "Retry-After", "Www-Authenticate", "X-Request-Id",
	} {
		if values, ok := res.Header[name]; ok {
			out.WriteString(name + ": " + strings.Join(values, " | ") + "\n")
		}
	}
	out.WriteString("\n")
	if len(body) > 0 {
		if err := json.Indent(&out, body, "", "  "); err != nil {
			t.Fatalf("body %q is not JSON: %v", body, err)
		}
	}
	return out.String()
}
