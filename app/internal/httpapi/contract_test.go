package httpapi

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	"github.com/pb33f/libopenapi-validator/errors"
	"github.com/pb33f/libopenapi-validator/responses"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"

	"bookshelf/app/internal/httpapi/media"
)

// descriptionFile is what the service serves at /openapi.yaml, as a test makes sure.
const descriptionFile = "description/openapi.yaml"

// openAPI reads it.
func openAPI(t *testing.T) []byte {
	t.Helper()
	whole, err := os.ReadFile(descriptionFile)
	if err != nil {
		t.Fatal(err)
	}
	return whole
}

// contract judges answers by the description of the API that the service serves.
type contract struct {
	mu      sync.Mutex // the model fills itself in while it is read, as the validator does
	model   *v3.Document
	answers responses.ResponseBodyValidator
}

// theDescription is read once for all tests: each of their answers is judged by it.
var theDescription = sync.OnceValues(readDescription)

func readDescription() (*contract, error) {
	whole, err := os.ReadFile(descriptionFile)
	if err != nil {
		return nil, err
	}
	document, err := libopenapi.NewDocument(whole)
	if err != nil {
		return nil, err
	}
	model, err := document.BuildV3Model()
	if err != nil {
		return nil, err
	}
	return &contract{model: &model.Model, answers: responses.NewResponseBodyValidator(&model.Model,
		// Clients must put up with members that they do not know. One that the description does not know is a mistake.
		config.WithStrictMode(),
		config.WithFormatAssertions(),
		config.WithoutSecurityValidation(), // it is the answers that are judged
		config.WithStrictIgnoredHeadersExtra(
			// What every answer may have is said in words, once.
			"X-Request-ID", "X-Bookshelf-Version", "Cache-Control", "X-Content-Type-Options", "Content-Security-Policy",
			"Referrer-Policy", "Connection", "Content-Length", "Content-Type", "Content-Encoding", "Vary", "RateLimit",
			"RateLimit-Policy", "Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Retry-After",
		),
	)}, nil
}

// modelOf returns the description for a test of its own, to read in.
func modelOf(t *testing.T) *v3.Document {
	t.Helper()
	c, err := readDescription()
	if err != nil {
		t.Fatalf("openapi.yaml: %v", err)
	}
	return c.model
}

// theContract fails the test when the description is not one.
func theContract(t testing.TB) *contract {
	t.Helper()
	c, err := theDescription()
	if err != nil {
		t.Fatalf("openapi.yaml: %v", err)
	}
	return c
}

// check complains about an answer that the description does not have.
func (c *contract) check(t testing.TB, r *http.Request, w *httptest.ResponseRecorder) {
	t.Helper()
	asked := r.Clone(t.Context())
	if asked.Method == http.MethodHead {
		asked.Method = http.MethodGet // which the recorder has the body of
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	path, item := c.resource(r.URL.EscapedPath())
	if item == nil || operations(item)[asked.Method] == nil {
		if w.Code < http.StatusBadRequest && asked.Method != http.MethodOptions {
			t.Errorf("%s %s is not described, and answered with %d", r.Method, r.URL, w.Code)
		}
		return
	}
	ok, mistakes := c.answers.ValidateResponseBodyWithPathItem(asked, w.Result(), item, path)
	if !ok {
		t.Errorf("%s %s: the answer %d is not as described:\n%s%s", r.Method, r.URL, w.Code, explain(mistakes), w.Body)
	}
}

// operations are those of a resource, by method.
func operations(item *v3.PathItem) map[string]*v3.Operation {
	out := map[string]*v3.Operation{}
	for method, operation := range item.GetOperations().FromOldest() {
		out[strings.ToUpper(method)] = operation
	}
	return out
}

// resource finds what a path is of, as literally as the service does: the validator's own search mends paths.
func (c *contract) resource(path string) (template string, item *v3.PathItem) {
	if item, ok := c.model.Paths.PathItems.Get(path); ok {
		return path, item
	}
	segments := strings.Split(path, "/")
	for template, item := range c.model.Paths.PathItems.FromOldest() {
		same := func(wanted, got string) bool { return wanted == got || strings.HasPrefix(wanted, "{") && got != "" }
		if slices.EqualFunc(strings.Split(template, "/"), segments, same) {
			return template, item
		}
	}
	return "", nil
}

func explain(mistakes []*errors.ValidationError) string {
	var out strings.Builder
	for _, m := range mistakes {
		fmt.Fprintf(&out, "  %s: %s\n", m.Message, m.Reason)
		for _, s := range m.SchemaValidationErrors {
			fmt.Fprintf(&out, "    %s: %s\n", s.FieldPath, s.Reason)
		}
	}
	return out.String()
}

func TestTheDescriptionIsOpenAPI(t *testing.T) {
	t.Parallel()
	document, err := libopenapi.NewDocument(openAPI(t))
	if err != nil {
		t.Fatal(err)
	}
	strict, problems := validator.NewValidator(document)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if ok, mistakes := strict.ValidateDocument(); !ok {
		t.Errorf("%s", explain(mistakes))
	}
	if version := document.GetVersion(); version != "3.1.0" {
		t.Errorf("it is of version %q", version)
	}
}

// Each route is described, with the scope that it wants, and nothing else is.
func TestTheDescriptionHasTheRoutes(t *testing.T) {
	t.Parallel()
	model := modelOf(t)
	described := map[string]string{}
	for path, item := range model.Paths.PathItems.FromOldest() {
		for method, operation := range operations(item) {
			described[method+" "+path] = scopeOf(model, operation)
		}
	}
	routed := map[string]string{}
	for _, r := range setup(t).api.routes() {
		routed[r.method+" "+r.template] = string(requiredScope(r))
	}
	if diff := gocmp.Diff(routed, described); diff != "" {
		t.Errorf("(-routed +described):\n%s", diff)
	}
}

// scopeOf is the only scope of an operation, or "" for one that needs no token.
func scopeOf(model *v3.Document, operation *v3.Operation) string {
	security := operation.Security
	if security == nil {
		security = model.Security
	}
	var scopes []string
	for _, requirement := range security {
		if requirement.Requirements == nil {
			continue
		}
		for _, wanted := range requirement.Requirements.FromOldest() {
			scopes = append(scopes, wanted...)
		}
	}
	return strings.Join(scopes, " ")
}

// A check that approves of everything would pass the tests that use it.
func TestTheCheckOfAnswersSeesWhatIsWrong(t *testing.T) {
	t.Parallel()
	const name, whole = `"title"`, `{"type": "urn:bookshelf:problem:x", "title": "x", "status": 404, "detail": "x", "instance": "x"}`
	for name, test := range map[string]struct {
		target, contentType, body string
		status                    int
		mistake                   bool
	}{
		"as described":          {"/api/v1/books/1", media.Problem, whole, 404, false},
		"another status":        {"/api/v1/books/1", media.Problem, whole, 409, true},
		"another type":          {"/api/v1/books/1", media.JSON, whole, 404, true},
		"a missing member":      {"/api/v1/books/1", media.Problem, strings.Replace(whole, name, `"x"`, 1), 404, true},
		"a member of its own":   {"/api/v1/books/1", media.Problem, strings.Replace(whole, "{", `{"y": 1, `, 1), 404, true},
		"a member of its type":  {"/livez", media.JSON, `{"status": 1}`, 200, true},
		"a path of no one":      {"/api/v1/authors", media.JSON, `{}`, 200, true},
		"a path that is no one": {"/api/v1/authors", media.Problem, whole, 404, false},
	} {
		w := httptest.NewRecorder()
		w.Header().Set("Content-Type", test.contentType)
		w.WriteHeader(test.status)
		_, _ = w.WriteString(test.body)
		var seen complaints
		seen.TB = t
		theContract(t).check(&seen, httptest.NewRequestWithContext(t.Context(), "GET", test.target, nil), w)
		if (seen.n > 0) != test.mistake {
			t.Errorf("%s: %d complaints", name, seen.n)
		}
	}
}

// complaints counts errors instead of failing.
type complaints struct {
	testing.TB

	n int
}

func (c *complaints) Errorf(string, ...any) { c.n++ }
