package httpapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi/datamodel/high/base"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"

	"bookshelf/app/internal/httpapi/media"
)

// operation is one that the description has.
type operation struct {
	method, path string
	described    *v3.Operation
	parameters   []*v3.Parameter // those of the path as well
}

// allOperations are those of the whole description.
func allOperations(model *v3.Document) (all []operation) {
	for path, item := range model.Paths.PathItems.FromOldest() {
		for method, described := range operations(item) {
			all = append(all, operation{method, path, described, slices.Concat(item.Parameters, described.Parameters)})
		}
	}
	return all
}

// call returns a request as the description wants it, for a book that is there, with one parameter set to values and
// with one member of the body changed.
func (o operation) call(t *testing.T, p *v3.Parameter, values []string, change func(map[string]any)) request {
	t.Helper()
	r := request{method: o.method, target: strings.ReplaceAll(o.path, "{file}", "start.js"), header: http.Header{}}
	id := "1"
	if p != nil {
		switch p.In {
		case "query":
			r.target += "?" + url.Values{p.Name: values}.Encode()
		case "header":
			r.header[p.Name] = values
		case "path":
			id = values[0]
		}
	}
	r.target = strings.ReplaceAll(r.target, "{id}", id)
	if schema, contentType := o.body(); schema != nil {
		body := map[string]any{"title": "Dune", "authors": []any{"Frank Herbert"}}
		if change != nil {
			change(body)
		}
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		r.body = string(text)
		r.header.Set("Content-Type", contentType)
	} else if o.described.RequestBody != nil {
		r.body = "title\n"
		r.header.Set("Content-Type", media.CSV)
	}
	return r
}

// body is the schema of a body that is a JSON object, or nil.
func (o operation) body() (schema *base.Schema, contentType string) {
	if o.described.RequestBody == nil {
		return nil, ""
	}
	for contentType, content := range o.described.RequestBody.Content.FromOldest() {
		if content.Schema != nil && slices.Contains(content.Schema.Schema().Type, "object") {
			return content.Schema.Schema(), contentType
		}
	}
	return nil, ""
}

// ask sends a request and returns the status of its answer, which the helper has compared with the description.
func ask(t *testing.T, r request) int {
	t.Helper()
	b := setup(t, func(o *Options) { o.MaxBodyBytes = 1 << 20 })
	b.add(t, "Emma")
	return b.do(t, r).Code
}

// samples are of every type that JSON has.
var samples = map[string]any{
	"null": nil, "boolean": true, "number": 1.5, "string": "x", "array": []any{}, "object": map[string]any{},
}

// wrong are values that a schema does not allow, each with what is wrong with it.
func wrong(s *base.Schema) map[string]any {
	out := map[string]any{}
	for kind, value := range samples {
		if !slices.Contains(s.Type, kind) {
			out[kind] = value
		}
	}
	if s.MinLength != nil && *s.MinLength > 0 {
		out["too short"] = strings.Repeat("x", int(*s.MinLength)-1)
	}
	if s.MaxLength != nil {
		out["too long"] = strings.Repeat("x", int(*s.MaxLength)+1)
	}
	if s.Minimum != nil {
		out["too small"] = *s.Minimum - 1
	}
	if s.Maximum != nil {
		out["too large"] = *s.Maximum + 1
	}
	if s.Items == nil {
		return out
	}
	list := func(n int64) []any { return slices.Repeat([]any{"x"}, int(n)) }
	if s.MinItems != nil && *s.MinItems > 0 {
		out["too few"] = list(*s.MinItems - 1)
	}
	if s.MaxItems != nil {
		out["too many"] = list(*s.MaxItems + 1)
	}
	for what, item := range wrong(s.Items.A.Schema()) {
		out["an item: "+what] = []any{"x", item}
	}
	return out
}

// right are the values at the bounds of a schema.
func right(s *base.Schema) map[string]any {
	out := map[string]any{}
	if s.MinLength != nil && *s.MinLength > 0 {
		out["shortest"] = strings.Repeat("x", int(*s.MinLength))
	}
	if s.MaxLength != nil {
		out["longest"] = strings.Repeat("x", int(*s.MaxLength))
	}
	if s.Minimum != nil {
		out["smallest"] = *s.Minimum
	}
	if s.Maximum != nil {
		out["largest"] = *s.Maximum
	}
	if s.Items != nil && s.MaxItems != nil {
		for what, item := range right(s.Items.A.Schema()) {
			out["most, "+what] = slices.Repeat([]any{item}, int(*s.MaxItems))
		}
	}
	if slices.Contains(s.Type, "null") {
		out["null"] = nil
	}
	return out
}

// wrongTexts are the values that a parameter cannot have; each is all the lines or repetitions of it.
func wrongTexts(p *v3.Parameter) map[string][]string {
	out := map[string][]string{}
	s := p.Schema.Schema()
	for what, value := range wrong(s) {
		if what == "too short" || what == "too long" || what == "too small" || what == "too large" {
			out[what] = []string{fmt.Sprint(value)}
		}
	}
	switch {
	case slices.Contains(s.Type, "integer"):
		out["a word"], out["a fraction"], out["beyond 64 bits"] = []string{
			"x",
		}, []string{
			"1.5",
		}, []string{
			"99999999999999999999",
		}
	case slices.Contains(s.Type, "boolean"):
		out["a word"] = []string{"maybe"}
	case len(s.Enum) > 0:
		out["none of the words"] = []string{"nonsense"}
	}
	if p.In == "query" {
		out["twice"] = []string{"1", "1"}
	}
	return out
}

// rightTexts are the values at a parameter's bounds.
func rightTexts(p *v3.Parameter) map[string]string {
	out := map[string]string{}
	s := p.Schema.Schema()
	for what, value := range right(s) {
		out[what] = fmt.Sprint(value)
	}
	for _, word := range s.Enum {
		out[word.Value] = word.Value
	}
	return out
}

// Whatever the description does not allow is a mistake of the client's: neither an effect nor a mistake of ours.
func TestWhatIsNotDescribedIsRefused(t *testing.T) {
	t.Parallel()
	tried := 0
	refused := func(name string, r request) {
		tried++
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if status := ask(t, r); status < 400 || status >= 500 {
				t.Errorf("%s %.200s %.200s: %d, want a 4xx", r.method, r.target, r.body, status)
			}
		})
	}
	for _, o := range allOperations(modelOf(t)) {
		name := o.described.OperationId
		for _, p := range o.parameters {
			if p.Name == "file" {
				continue // any name will do, and most are of nothing
			}
			for what, values := range wrongTexts(p) {
				refused(name+"/"+p.Name+"/"+what, o.call(t, p, values, nil))
			}
		}
		if o.described.Responses.Codes.GetOrZero("400") != nil { // probes take whatever they are asked with
			refused(
				name+"/unknown parameter",
				o.call(t, &v3.Parameter{Name: "nonsense", In: "query"}, []string{"1"}, nil),
			)
		}
		schema, _ := o.body()
		if schema == nil {
			continue
		}
		for member, proxy := range schema.Properties.FromOldest() {
			for what, value := range wrong(proxy.Schema()) {
				refused(name+"/"+member+"/"+what, o.call(t, nil, nil, func(b map[string]any) { b[member] = value }))
			}
		}
		for _, member := range schema.Required {
			refused(name+"/"+member+"/missing", o.call(t, nil, nil, func(b map[string]any) { delete(b, member) }))
		}
		refused(name+"/unknown member", o.call(t, nil, nil, func(b map[string]any) { b["nonsense"] = 1 }))
		for _, text := range []string{"", "null", "[]", "7", `"x"`, "{", "{}x", "\xff", strings.Repeat("[", 5000)} {
			r := o.call(t, nil, nil, nil)
			r.body = text
			refused(name+"/body "+text[:min(len(text), 8)], r)
		}
	}
	if tried < 200 {
		t.Errorf("the description gave %d requests, want hundreds", tried)
	}
}

// The bounds of the description are those of the service and no narrower: what is just within is taken.
func TestTheBoundsOfTheDescriptionAreTaken(t *testing.T) {
	t.Parallel()
	// There are rules beyond these bounds. A year depends on the clock, a tag has a form, relevance needs a search, and
	// two characters are a delimiter only as \t.
	beyond := map[string]bool{
		"published_year/largest": true, "language/longest": true, "language/shortest": true, "sort/relevance": true,
		"delimiter/longest": true, "isbn/shortest": true, "cursor/shortest": true, "If-Match/shortest": true,
		"If-None-Match/shortest": true,
	}
	tried := 0
	taken := func(operation, name string, r request) {
		if beyond[name] {
			return
		}
		tried++
		t.Run(operation+"/"+name, func(t *testing.T) {
			t.Parallel()
			if status := ask(t, r); status >= 300 {
				t.Errorf("%s %.200s %.200s: %d, want it to be taken", r.method, r.target, r.body, status)
			}
		})
	}
	for _, o := range allOperations(modelOf(t)) {
		for _, p := range o.parameters {
			for what, value := range rightTexts(p) {
				taken(o.described.OperationId, p.Name+"/"+what, o.call(t, p, []string{value}, nil))
			}
		}
		schema, _ := o.body()
		if schema == nil {
			continue
		}
		for _, member := range slices.Sorted(maps.Keys(maps.Collect(schema.Properties.FromOldest()))) {
			for what, value := range right(schema.Properties.GetOrZero(member).Schema()) {
				taken(o.described.OperationId, member+"/"+what,
					o.call(t, nil, nil, func(b map[string]any) { b[member] = value }))
			}
		}
	}
	if tried < 50 {
		t.Errorf("the description gave %d requests, want more", tried)
	}
}
