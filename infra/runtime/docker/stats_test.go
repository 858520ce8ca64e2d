package docker

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/docker/docker/client"

	"bookshelf/infra/runtime"
)

func TestTheCPUTimeOfAContainerIsReadOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		answer string
		want   float64
		err    string
	}{
		"one that runs":    {http.StatusOK, `{"cpu_stats":{"cpu_usage":{"total_usage":1500000000}}}`, 1.5, ""},
		"one that is gone": {http.StatusNotFound, `{"message":"No such container: app"}`, 0, runtime.ErrNotFound.Error()},
		"no statistics":    {http.StatusOK, `nothing`, 0, "read CPU time"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !strings.HasSuffix(r.URL.Path, "/containers/app/stats") || r.FormValue("stream") != "0" || r.FormValue("one-shot") != "1" {
					t.Errorf("asked for %s", r.URL)
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.answer)
			}))
			defer server.Close()
			api, err := client.NewClientWithOpts(client.WithHost("tcp://"+server.Listener.Addr().String()), client.WithVersion("1.41"))
			if err != nil {
				t.Fatal(err)
			}
			got, err := (&Engine{api: api}).CPUSeconds(t.Context(), "app")
			if got != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("%v seconds, %v; want %v, %q", got, err, test.want, test.err)
			}
			if test.status == http.StatusNotFound && !errors.Is(err, runtime.ErrNotFound) {
				t.Errorf("%v is not runtime.ErrNotFound", err)
			}
		})
	}
}
