package httpapi

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

func apiPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "api.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// The documentation's examples, a request and its response in turn, are what the API does.
func TestDocumentedExamplesAreTrue(t *testing.T) {
	t.Parallel()
	blocks := regexp.MustCompile("(?s)```http\n(.*?)```").FindAllStringSubmatch(apiPage(t), -1)
	if len(blocks) < 10 || len(blocks)%2 != 0 {
		t.Fatalf("found %d blocks, want pairs of request and response", len(blocks))
	}
	b := setup(t)
	for i := 0; i < len(blocks); i += 2 {
		name, _, _ := strings.Cut(blocks[i][1], "\n")
		head, body, _ := strings.Cut(blocks[i][1], "\n\n")
		req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head + "\nHost: x\n\n")))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		served := httptest.NewRequestWithContext(t.Context(), req.Method, req.RequestURI, strings.NewReader(body))
		served.Header = req.Header
		w := httptest.NewRecorder()
		b.api.ServeHTTP(w, served)
		theContract(t).check(t, served, w)

		wantHead, wantBody, _ := strings.Cut(blocks[i+1][1], "\n\n")
		status, headers, _ := strings.Cut(wantHead, "\n")
		if got := fmt.Sprintf("HTTP/1.1 %d %s", w.Code, http.StatusText(w.Code)); got != status {
			t.Errorf("%s: %s, documented is %s", name, got, status)
		}
		for line := range strings.Lines(headers) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			if got := w.Header().Get(key); key != "" && got != value {
				t.Errorf("%s: %s = %q, documented is %q", name, key, got, value)
			}
		}
		var want, got any
		if err := json.Unmarshal([]byte(wantBody), &want); err != nil {
			t.Fatalf("%s: documented body: %v", name, err)
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-documented +got):\n%s", name, diff)
		}
	}
}

func TestDocumentationListsEveryProblem(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile(filepath.Join("problem", "kind.go"))
	if err != nil {
		t.Fatal(err)
	}
	var declared []string
	for _, m := range regexp.MustCompile(`= Kind\{"([a-z-]+)", ".*", http\.Status(\w+)\}`).FindAllStringSubmatch(string(source), -1) {
		declared = append(declared, m[1]+" "+m[2])
	}
	// Names of statuses as in package net/http.
	codes := map[string]string{}
	for code := 400; code < 600; code++ {
		codes[fmt.Sprint(code)] = strings.NewReplacer(" ", "", "-", "").Replace(http.StatusText(code))
	}
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| (\\d{3}) \\|").FindAllStringSubmatch(apiPage(t), -1) {
		documented = append(documented, m[1]+" "+codes[m[2]])
	}
	slices.Sort(declared)
	slices.Sort(documented)
	if diff := gocmp.Diff(documented, declared); diff != "" || len(declared) == 0 {
		t.Errorf("(-documented +declared):\n%s", diff)
	}
}

func TestDocumentationListsEveryParameter(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for heading, req := range map[string]request{
		"## List books":   {method: "GET", target: "/api/v1/books?no-such=1"},
		"## Import books": {method: "POST", target: importTarget + "?no-such=1"},
	} {
		_, list, found := strings.Cut(b.do(t, req).Body.String(), "is not a parameter here; those are ")
		list, _, _ = strings.Cut(list, `"`)
		if !found {
			t.Errorf("%s: a parameter that there is not is no mistake", heading)
		}
		known := strings.Split(list, ", ")
		_, section, _ := strings.Cut(apiPage(t), heading)
		section, _, _ = strings.Cut(section, "Answers `200`")
		var documented []string
		for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(section, -1) {
			documented = append(documented, m[1])
		}
		slices.Sort(documented)
		if diff := gocmp.Diff(documented, known); diff != "" {
			t.Errorf("%s (-documented +known):\n%s", heading, diff)
		}
	}
}

func TestDocumentationListsEveryRoute(t *testing.T) {
	t.Parallel()
	page := apiPage(t)
	for _, r := range setup(t).api.routes() {
		if operation := "`" + r.method + " " + r.template + "`"; !strings.Contains(page, operation) {
			t.Errorf("%s is not documented", operation)
		}
	}
}
