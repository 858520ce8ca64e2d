package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"bookshelf/tools/internal/load"
)

func TestAPlanComesInAndRoundsGoOut(t *testing.T) {
	t.Parallel()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "0")
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusCreated)
		}
	}))
	defer service.Close()
	address := service.Listener.Addr()
	plan := fmt.Sprintf(`{"this": {"addr": %q, "token": "t"}, "other": {"addr": %q, "token": "t"}, "operations": ["get"], "books": 5,
		"connections": 1, "rounds": 2, "seconds": 0.3, "first": 0, "rates": {"get": 100}}`, address, address)
	var out strings.Builder
	if err := run(t.Context(), nil, strings.NewReader(plan), &out); err != nil {
		t.Fatal(err)
	}
	var batch load.Batch
	if err := json.Unmarshal([]byte(out.String()), &batch); err != nil {
		t.Fatal(err)
	}
	if len(batch.Rounds) != 2 || batch.Rounds[1].Operation != "get" || !(batch.Rounds[1].This.PerSecond > 0) || batch.Rates["get"] != 100 {
		t.Errorf("%+v", batch)
	}
}

func TestWhatIsNoPlanIsRefusedWithoutAResult(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args  []string
		input string
		want  string
	}{
		"an argument":         {[]string{"get"}, "{}", `unexpected argument "get"`},
		"nothing":             {nil, "", "read the plan"},
		"no JSON":             {nil, "rounds: 3", "read the plan"},
		"a name nobody knows": {nil, `{"round": 3}`, `unknown field "round"`},
		"half of a plan":      {nil, `{"rounds": 3}`, "operations: none is named"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			err := run(t.Context(), test.args, strings.NewReader(test.input), &out)
			if err == nil || !strings.Contains(err.Error(), test.want) || out.Len() > 0 {
				t.Errorf("%v and %q, want an error with %q alone", err, out.String(), test.want)
			}
		})
	}
}
