package bookd

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.yaml.in/yaml/v4"

	"bookshelf/app/internal/postgres/pgtest"
)

// contract is what these tests read of contract.yaml; its head explains the fields.
type contract struct {
	Bounds  map[string]bound `yaml:"bounds"`
	Metrics []metricPromise  `yaml:"metrics"`
	Runtime []metricPromise  `yaml:"runtime"`
	Spans   []struct {
		Name       string         `yaml:"name"`
		Kind       string         `yaml:"kind"`
		Attributes []fieldPromise `yaml:"attributes"`
	} `yaml:"spans"`
	Logs []fieldPromise `yaml:"logs"`
}

type bound struct {
	Values  []string `yaml:"values"`
	Pattern string   `yaml:"pattern"`
	Max     int      `yaml:"max"`
}

type metricPromise struct {
	Name     string            `yaml:"name"`
	Type     string            `yaml:"type"`
	Help     string            `yaml:"help"`
	Labels   map[string]string `yaml:"labels"`
	Buckets  []float64         `yaml:"buckets"`
	Optional bool              `yaml:"optional"`
}

type fieldPromise struct {
	Name     string   `yaml:"name"`
	Type     string   `yaml:"type"`
	In       []string `yaml:"in"`
	Optional bool     `yaml:"optional"`
}

func readContract(t *testing.T) contract {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "telemetry", "contract.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var c contract
	if err := yaml.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// family is what was scraped of a metric.
type family struct {
	kind, help string
	series     int
	values     map[string]map[string]bool // by label, le aside
	buckets    []string
}

var (
	sampleLine = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? \S+$`)
	labelPair  = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"`)
)

// scrape reads a page in Prometheus' text format. The suffixes of histograms and summaries are taken off where known says so.
func scrape(t *testing.T, page string, known map[string]string) map[string]*family {
	t.Helper()
	families := map[string]*family{}
	get := func(name string) *family {
		if families[name] == nil {
			families[name] = &family{values: map[string]map[string]bool{}}
		}
		return families[name]
	}
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(rest, " ")
			get(name).kind = kind
			continue
		}
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			name, help, _ := strings.Cut(rest, " ")
			get(name).help = help
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("no line of the text format: %q", line)
		}
		name := m[1]
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base, cut := strings.CutSuffix(name, suffix); cut && (known[base] == "histogram" || known[base] == "summary") {
				name = base
			}
		}
		f := get(name)
		f.series++
		for _, pair := range labelPair.FindAllStringSubmatch(m[2], -1) {
			if pair[1] == "le" && known[name] == "histogram" {
				if !slices.Contains(f.buckets, pair[2]) {
					f.buckets = append(f.buckets, pair[2])
				}
				continue
			}
			if f.values[pair[1]] == nil {
				f.values[pair[1]] = map[string]bool{}
			}
			f.values[pair[1]][pair[2]] = true
		}
	}
	return families
}

// judge compares a page with the contract, both ways.
func (c contract) judge(t *testing.T, page string) {
	t.Helper()
	promised := map[string]metricPromise{}
	kinds := map[string]string{}
	for _, m := range slices.Concat(c.Metrics, c.Runtime) {
		promised[m.Name], kinds[m.Name] = m, m.Type
	}
	found := scrape(t, page, kinds)
	for name, f := range found {
		m, ok := promised[name]
		if !ok {
			t.Errorf("%s is exposed and not in the contract", name)
			continue
		}
		if slices.ContainsFunc(c.Metrics, func(own metricPromise) bool { return own.Name == name }) && (f.kind != m.Type || f.help != m.Help) {
			t.Errorf("%s is a %s, %q; the contract says %s, %q", name, f.kind, f.help, m.Type, m.Help)
		}
		for label, values := range f.values {
			c.judgeLabel(t, name, label, m.Labels[label], values)
		}
		for label := range m.Labels {
			if f.series > 0 && f.values[label] == nil {
				t.Errorf("%s has no label %s", name, label)
			}
		}
		if len(m.Buckets) > 0 && f.series > 0 {
			want := []string{}
			for _, b := range m.Buckets {
				want = append(want, fmt.Sprint(b))
			}
			if want = append(want, "+Inf"); !slices.Equal(f.buckets, want) {
				t.Errorf("%s has the buckets %v; the contract says %v", name, f.buckets, want)
			}
		}
	}
	for name, m := range promised {
		if f := found[name]; !m.Optional && (f == nil || f.series == 0) {
			t.Errorf("%s is in the contract and was not exposed", name)
		}
	}
}

// judgeLabel holds the values of a label to their bound.
func (c contract) judgeLabel(t *testing.T, name, label, boundName string, values map[string]bool) {
	t.Helper()
	b, ok := c.Bounds[boundName]
	if !ok {
		t.Errorf("%s has the label %s, which the contract does not have or not bound", name, label)
		return
	}
	pattern := regexp.MustCompile("^(?:" + b.Pattern + ")$")
	for value := range values {
		if len(b.Values) > 0 && !slices.Contains(b.Values, value) || len(b.Values) == 0 && !pattern.MatchString(value) {
			t.Errorf("%s has %s=%q, which is out of its bound %s", name, label, value, boundName)
		}
	}
	if b.Max > 0 && len(values) > b.Max {
		t.Errorf("%s has %d values of %s, and the bound is %d", name, len(values), label, b.Max)
	}
}

// send sends a request with headers, name and value in turn, and returns the status.
func send(t *testing.T, method, url, body string, headers ...string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	status, _, _ := exchange(t, req)
	return status
}

// drive makes every metric, span and log field appear that a client can make appear.
func drive(t *testing.T, p *process) {
	t.Helper()
	writer := "Bearer " + p.env.mustTokens(t, "create", "--scopes", "books:read,books:write", "writer")
	reader := "Bearer " + p.env.mustTokens(t, "create", "--scopes", "books:read", "reader")
	const dune = `{"title": "Dune", "authors": ["Frank Herbert"]}`
	books := p.api + "/api/v1/books"
	for _, one := range []struct {
		method, url, body string
		want              int
		headers           []string
	}{
		{"POST", books, dune, 201, []string{"Authorization", writer, "Idempotency-Key", "one"}},
		{"POST", books, dune, 201, []string{"Authorization", writer, "Idempotency-Key", "one"}},
		{"POST", books, `{"title": "Emma", "authors": ["Jane Austen"]}`, 422, []string{"Authorization", writer, "Idempotency-Key", "one"}},
		{"GET", books + "?q=dune", "", 200, []string{"Authorization", reader}},
		{"POST", books, dune, 403, []string{"Authorization", reader}},
		{"GET", books, "", 401, nil},
		{"GET", books + "/8", "", 401, []string{"Authorization", "Bearer nonsense"}},
		{"GET", books + "/999999999999", "", 404, []string{"Authorization", reader}},
		{"GET", p.api + "/nothing", "", 404, nil},
		{"GET", p.api + "/readyz", "", 200, nil},
	} {
		if status := send(t, one.method, one.url, one.body, one.headers...); status != one.want {
			t.Errorf("%s %s: %d, want %d", one.method, one.url, status, one.want)
		}
	}
}

func TestARunningServerExposesExactlyTheContract(t *testing.T) {
	t.Parallel()
	c := readContract(t)
	collector := newFakeCollector(t)
	p := startOnDatabase(t, environ{
		"AUTH": "required", "RATE_LIMIT_ADDRESS": "100000/1s", "RATE_LIMIT_TOKEN": "100000/1s",
		"OTEL_EXPORTER_OTLP_ENDPOINT": collector.URL, "TRUSTED_PROXIES": "127.0.0.0/8",
	})
	drive(t, p)
	_, _, page := call(t, "GET", p.admin+"/metrics", "")
	c.judge(t, page)
	p.stop()
	if err := p.wait(t); err != nil {
		t.Fatal(err)
	}
	c.judgeLogs(t, p.log.String())
	c.judgeSpans(t, collector)
}

// judgeLogs compares the fields of the lines with the contract, both ways.
func (c contract) judgeLogs(t *testing.T, log string) {
	t.Helper()
	types := map[string]func(any) bool{
		"string": func(v any) bool { _, ok := v.(string); return ok },
		"time":   func(v any) bool { s, ok := v.(string); return ok && strings.HasSuffix(s, "Z") },
		"int":    func(v any) bool { f, ok := v.(float64); return ok && f == float64(int64(f)) },
		"float":  func(v any) bool { _, ok := v.(float64); return ok },
		"bool":   func(v any) bool { _, ok := v.(bool); return ok },
		"object": func(v any) bool { _, ok := v.(map[string]any); return ok },
	}
	seen := map[string]bool{}
	for text := range strings.Lines(log) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("log line %q: %v", text, err)
		}
		for name, value := range line {
			at := slices.IndexFunc(c.Logs, func(f fieldPromise) bool { return f.Name == name })
			if at < 0 {
				t.Errorf("the log field %s is not in the contract: %s", name, text)
				continue
			}
			f := c.Logs[at]
			seen[name] = true
			if !types[f.Type](value) {
				t.Errorf("the log field %s is %v, no %s", name, value, f.Type)
			}
			if len(f.In) > 0 && !slices.Contains(f.In, line["msg"].(string)) {
				t.Errorf("the log field %s is in %q; the contract has it in %q", name, line["msg"], f.In)
			}
		}
	}
	for _, f := range c.Logs {
		if !f.Optional && !seen[f.Name] {
			t.Errorf("the log field %s is in the contract and in no line", f.Name)
		}
	}
}

// judgeSpans compares the attributes of spans with the contract, both ways.
func (c contract) judgeSpans(t *testing.T, collector *fakeCollector) {
	t.Helper()
	kinds := map[spans.Span_SpanKind]string{spans.Span_SPAN_KIND_SERVER: "server", spans.Span_SPAN_KIND_CLIENT: "client"}
	for _, promise := range c.Spans {
		seen := map[string]bool{}
		for _, s := range collector.named("") {
			if kinds[s.GetKind()] != promise.Kind {
				continue
			}
			for _, a := range s.GetAttributes() {
				seen[a.GetKey()] = true
				if !slices.ContainsFunc(promise.Attributes, func(f fieldPromise) bool { return f.Name == a.GetKey() }) {
					t.Errorf("a %s span, %q, has the attribute %s, which is not in the contract", promise.Kind, s.GetName(), a.GetKey())
				}
			}
		}
		for _, f := range promise.Attributes {
			if !f.Optional && !seen[f.Name] {
				t.Errorf("no %s span has the attribute %s of the contract", promise.Kind, f.Name)
			}
		}
	}
}

// Series are memory, here and in Prometheus: nobody outside may make as many as they like.
func TestTenThousandHostileRequestsMakeNoLabelValue(t *testing.T) {
	t.Parallel()
	c := readContract(t)
	db := pgtest.New(t)
	p := start(t, databaseEnviron(t, db.App), environ{
		"AUTH": "required", "RATE_LIMIT_ADDRESS": "1000000/1s", "RATE_LIMIT_TOKEN": "1000000/1s",
	})
	drive(t, p)
	const requests, clients = 10_000, 8
	var all sync.WaitGroup
	for n := range clients {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(n), 7))
			for range requests / clients {
				hostile(t, p.api, random)
			}
		})
	}
	all.Wait()
	_, _, page := call(t, "GET", p.admin+"/metrics", "")
	c.judge(t, page)
	series := strings.Count(page, "\nhttp_server_requests_total{")
	t.Logf("%d requests made %d series of http_server_requests_total", requests, series)
}

// hostile sends a request of which everything is made up: path, method, token, key, trace and address.
func hostile(t *testing.T, base string, random *rand.Rand) {
	t.Helper()
	word := func(alphabet string, most int) string {
		text := make([]byte, 1+random.IntN(most))
		for i := range text {
			text[i] = alphabet[random.IntN(len(alphabet))]
		}
		return string(text)
	}
	const letters, odd = "abcdefghijklmnopqrstuvwxyz0123456789", `abc/{}%22%7B..%00%2F"\'=,;*`
	methods := []string{"GET", "POST", "PUT", "DELETE", "PATCH", strings.ToUpper(word(letters[:26], 9))}
	path := "/" + word(letters, 12)
	switch random.IntN(4) {
	case 0:
		path = "/api/v1/books/" + word(letters, 20)
	case 1:
		path = "/docs/" + word(letters, 20)
	case 2:
		path = "/" + strings.ReplaceAll(word(odd, 30), "%", "%25")
	}
	req, err := http.NewRequestWithContext(t.Context(), methods[random.IntN(len(methods))], base, http.NoBody)
	if err != nil {
		t.Error(err)
		return
	}
	req.URL.Opaque = path // as it is, without a second thought
	for name, value := range map[string]string{
		"Authorization": "Bearer " + word(letters, 60), "Idempotency-Key": word(letters, 40), "X-Request-Id": word(letters, 64),
		"Traceparent": "00-" + word(letters, 32) + "-" + word(letters, 16) + "-01", "X-Forwarded-For": word(letters, 16),
	} {
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return // cut off, as some of these deserve
	}
	_ = res.Body.Close()
}
