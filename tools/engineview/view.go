package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
)

// label is what every container of an environment carries.
const label = "delivery.environment"

// The questions that are passed on, by their path without the version of the API (https://docs.docker.com/reference/api/engine/).
var (
	versioned = regexp.MustCompile(`^/v[0-9]{1,2}\.[0-9]{1,3}(/.*)$`)
	general   = regexp.MustCompile(`^/(_ping|version)$`)
	listing   = regexp.MustCompile(`^/(containers/json|events)$`)
	single    = regexp.MustCompile(`^/containers/([0-9a-f]{12,64})/(json|stats)$`)
)

// view is the handler: a window on an engine.
type view struct {
	engine      http.RoundTripper
	environment string
}

func newView(engine http.RoundTripper, environment string) http.Handler {
	return &view{engine: engine, environment: environment}
}

// ServeHTTP implements http.Handler.
func (v *view) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Paths are compared as they are: no cleaning, no decoding, so what is matched here is what the engine is asked.
	path := r.URL.EscapedPath()
	if m := versioned.FindStringSubmatch(path); m != nil {
		path = m[1]
	}
	if r.Method != http.MethodGet && (r.Method != http.MethodHead || path != "/_ping") {
		refuse(w, http.StatusMethodNotAllowed, "this view of the engine only answers questions")
		return
	}
	query := r.URL.Query()
	switch m := single.FindStringSubmatch(path); {
	case general.MatchString(path):
		query = nil
	case listing.MatchString(path):
		if err := v.narrow(query); err != nil {
			refuse(w, http.StatusBadRequest, err.Error())
			return
		}
	case m != nil:
		details, status, err := v.inspect(r, m[1])
		if err != nil || status != http.StatusOK {
			refuse(w, status, "no such container in this environment")
			return
		}
		if m[2] == "json" {
			answer(w, details)
			return
		}
	default:
		refuse(w, http.StatusForbidden, "this view of the engine does not show that")
		return
	}
	v.pass(w, r, query)
}

// narrow adds the environment to what is asked for. The engine joins labels with "and", so nothing that the asker adds widens it.
func (v *view) narrow(query url.Values) error {
	filters := map[string]map[string]bool{}
	if given := query.Get("filters"); given != "" {
		if err := decodeFilters(given, filters); err != nil {
			return err
		}
	}
	if filters["label"] == nil {
		filters["label"] = map[string]bool{}
	}
	filters["label"][label+"="+v.environment] = true
	text, err := json.Marshal(filters)
	if err != nil {
		return err
	}
	query.Set("filters", string(text))
	return nil
}

// decodeFilters reads both forms that the engine takes: {"label":{"a":true}} and {"label":["a"]}.
func decodeFilters(text string, filters map[string]map[string]bool) error {
	if json.Unmarshal([]byte(text), &filters) == nil {
		return nil
	}
	var lists map[string][]string
	if err := json.Unmarshal([]byte(text), &lists); err != nil {
		return fmt.Errorf("filters: %w", err)
	}
	clear(filters)
	for name, values := range lists {
		filters[name] = map[string]bool{}
		for _, value := range values {
			filters[name][value] = true
		}
	}
	return nil
}

// inspect asks for one container. What it was given in its environment variables and its command is taken out: neither is a metric.
func (v *view) inspect(r *http.Request, id string) (details map[string]any, status int, err error) {
	request, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "http://engine/containers/"+id+"/json", nil)
	if err != nil {
		return nil, http.StatusInternalServerError, err
	}
	response, err := v.engine.RoundTrip(request)
	if err != nil {
		return nil, http.StatusBadGateway, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, response.StatusCode, nil
	}
	if err := json.NewDecoder(response.Body).Decode(&details); err != nil {
		return nil, http.StatusBadGateway, err
	}
	config, _ := details["Config"].(map[string]any)
	labels, _ := config["Labels"].(map[string]any)
	if labels[label] != v.environment {
		return nil, http.StatusNotFound, nil
	}
	for _, private := range []string{"Env", "Cmd", "Entrypoint"} {
		delete(config, private)
	}
	delete(details, "Args")
	return details, http.StatusOK, nil
}

// pass asks the engine and copies its answer, as it comes: statistics and events are streams.
func (v *view) pass(w http.ResponseWriter, r *http.Request, query url.Values) {
	target := url.URL{Scheme: "http", Host: "engine", Path: r.URL.Path, RawQuery: query.Encode()}
	request, err := http.NewRequestWithContext(r.Context(), r.Method, target.String(), nil)
	if err != nil {
		refuse(w, http.StatusBadRequest, "not a question that can be asked")
		return
	}
	response, err := v.engine.RoundTrip(request)
	if err != nil {
		refuse(w, http.StatusBadGateway, "the engine does not answer")
		return
	}
	defer response.Body.Close()
	for _, name := range []string{"Content-Type", "Api-Version", "Ostype", "Docker-Experimental"} {
		if value := response.Header.Get(name); value != "" {
			w.Header().Set(name, value)
		}
	}
	w.WriteHeader(response.StatusCode)
	flusher := http.NewResponseController(w)
	buffer := make([]byte, 32<<10)
	for {
		n, err := response.Body.Read(buffer)
		if n > 0 {
			if _, err := w.Write(buffer[:n]); err != nil {
				return
			}
			if err := flusher.Flush(); err != nil {
				return
			}
		}
		if err != nil {
			return // io.EOF, or the stream's end; the status is sent already
		}
	}
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // who asked has left
}

// refuse answers as the engine does: {"message": …}.
func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	text, _ := json.Marshal(map[string]string{"message": message}) // a map of texts
	_, _ = io.WriteString(w, string(text)+"\n")
}
