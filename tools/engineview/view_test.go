package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// engine notes what it is asked and has two containers: aaaaaaaaaaaa of dev and bbbbbbbbbbbb of prod.
type engine struct{ asked []string }

func (e *engine) RoundTrip(r *http.Request) (*http.Response, error) {
	e.asked = append(e.asked, r.Method+" "+r.URL.RequestURI())
	body := `{"Id":"x"}`
	for id, environment := range map[string]string{"aaaaaaaaaaaa": "dev", "bbbbbbbbbbbb": "prod"} {
		if strings.HasSuffix(r.URL.Path, id+"/json") {
			body = `{"Id":"` + id + `","Args":["x"],"Config":{"Env":["PASSWORD=secret"],"Labels":{"delivery.environment":"` + environment + `"}}}`
		}
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Api-Version": {"1.41"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func ask(e *engine, method, target string) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	newView(e, "dev").ServeHTTP(recorder, httptest.NewRequest(method, target, nil))
	return recorder
}

func TestNothingThatChangesAnythingReachesTheEngine(t *testing.T) {
	t.Parallel()
	for _, question := range []string{
		"POST /containers/aaaaaaaaaaaa/stop", "POST /containers/create", "DELETE /containers/aaaaaaaaaaaa", "POST /v1.41/containers/aaaaaaaaaaaa/exec",
		"PUT /containers/aaaaaaaaaaaa/archive?path=/", "HEAD /containers/aaaaaaaaaaaa/archive", "GET /containers/aaaaaaaaaaaa/archive?path=/",
		"GET /containers/aaaaaaaaaaaa/export", "GET /containers/aaaaaaaaaaaa/logs", "GET /info", "GET /images/json", "GET /secrets", "GET /volumes",
		"GET /containers/aaaaaaaaaaaa/attach/ws", "GET /v1.41/v1.41/containers/json", "GET /containers/aaaaaaaaaaaa%2f..%2fbbbbbbbbbbbb/json",
		"GET /containers/../containers/json", "GET //containers/json", "CONNECT /containers/json",
	} {
		e := &engine{}
		method, target, _ := strings.Cut(question, " ")
		if got := ask(e, method, target); got.Code < 400 || len(e.asked) > 0 {
			t.Errorf("%s: status %d, and the engine was asked %q; want a refusal", question, got.Code, e.asked)
		}
	}
}

func TestOnlyTheEnvironmentsContainersAreShown(t *testing.T) {
	t.Parallel()
	for question, want := range map[string]int{
		"/containers/aaaaaaaaaaaa/json":                    http.StatusOK,
		"/v1.41/containers/aaaaaaaaaaaa/stats":             http.StatusOK,
		"/containers/bbbbbbbbbbbb/json":                    http.StatusNotFound,
		"/containers/bbbbbbbbbbbb/stats?stream=1":          http.StatusNotFound,
		"/containers/json?filters=%5B%5D":                  http.StatusBadRequest,
		"/containers/json?filters=no":                      http.StatusBadRequest,
		"/_ping":                                           http.StatusOK,
		"/v1.41/version":                                   http.StatusOK,
		"/v1.41/events?filters=%7B%7D&until=1":             http.StatusOK,
		"/containers/json?all=1&filters=%7B%7D":            http.StatusOK,
		"/containers/" + strings.Repeat("a", 65) + "/json": http.StatusForbidden,
	} {
		if got := ask(&engine{}, http.MethodGet, question); got.Code != want {
			t.Errorf("%s: status %d, want %d", question, got.Code, want)
		}
	}
}

func TestAListIsNarrowedWhateverIsAskedFor(t *testing.T) {
	t.Parallel()
	for _, filters := range []string{
		"", `{"label":{"delivery.environment=prod":true}}`, `{"label":["delivery.environment=prod"],"status":["running"]}`,
	} {
		for _, path := range []string{"/containers/json", "/v1.41/events"} {
			e := &engine{}
			request := httptest.NewRequest(http.MethodGet, path, nil)
			query := request.URL.Query()
			query.Set("filters", filters)
			ask(e, http.MethodGet, path+"?"+query.Encode())
			if len(e.asked) != 1 {
				t.Fatalf("%s with %s: the engine was asked %q", path, filters, e.asked)
			}
			asked := httptest.NewRequest(http.MethodGet, strings.TrimPrefix(e.asked[0], "GET "), nil)
			var sent map[string]map[string]bool
			if err := json.Unmarshal([]byte(asked.URL.Query().Get("filters")), &sent); err != nil || !sent["label"]["delivery.environment=dev"] {
				t.Errorf("%s with %s asks the engine for %v (%v), want dev's alone", path, filters, sent, err)
			}
		}
	}
}

func TestWhatAContainerWasGivenIsNotShown(t *testing.T) {
	t.Parallel()
	got := ask(&engine{}, http.MethodGet, "/containers/aaaaaaaaaaaa/json").Body.String()
	if strings.Contains(got, "secret") || strings.Contains(got, "Args") || !strings.Contains(got, "aaaaaaaaaaaa") {
		t.Errorf("the answer is %s, want the container without its variables and arguments", got)
	}
}
