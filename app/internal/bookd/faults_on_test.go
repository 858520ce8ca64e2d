//go:build faults

package bookd

import (
	"io"
	"strings"
	"testing"

	"bookshelf/app/internal/postgres/pgtest"
)

func TestAnUnknownFaultIsWrongUsage(t *testing.T) {
	t.Parallel()
	env := environ{"BOOKD_FAULT": "fire"}
	err := Run(t.Context(), []string{"serve"}, env.lookup, nil, io.Discard, io.Discard)
	if ExitCode(err) != 2 || !strings.Contains(err.Error(), `BOOKD_FAULT: must be one of start, unhealthy`) {
		t.Errorf("exit code %d: %v", ExitCode(err), err)
	}
}

func TestFaultsEndTheirCommands(t *testing.T) {
	t.Parallel()
	for fault, command := range map[string]string{"start": "serve", "migration": "migrate"} {
		env := environ{"BOOKD_FAULT": fault}
		err := Run(t.Context(), []string{command}, env.lookup, nil, io.Discard, io.Discard)
		if ExitCode(err) != 1 || !strings.Contains(err.Error(), "BOOKD_FAULT="+fault) {
			t.Errorf("%s: exit code %d: %v", command, ExitCode(err), err)
		}
	}
}

// What clients see is what the metrics show: a fault that went past them would be one that no release could notice.
func TestMetricsShowTheErrorsThatClientsSee(t *testing.T) {
	t.Parallel()
	p := start(t, databaseEnviron(t, pgtest.New(t).App), environ{"BOOKD_FAULT": "errors"})
	seen := map[int]int{}
	for range 20 {
		status, header, _ := call(t, "GET", p.api+"/api/v1/books", "")
		seen[status]++
		if header.Get("X-Bookshelf-Version") != "dev" {
			t.Errorf("an answer with %d does not carry its version", status)
		}
	}
	if seen[500] != 4 || seen[200] != 16 {
		t.Errorf("20 requests were answered with %v, want 4 × 500", seen)
	}
	_, _, body := call(t, "GET", p.admin+"/metrics", "")
	const series = `http_server_requests_total{http_route="/api/v1/books",http_request_method="GET",http_response_status_code="500",service_version="dev"} 4`
	if !strings.Contains(body, series+"\n") {
		t.Errorf("%q is missing in:\n%s", series, body)
	}
}

func TestAnUnhealthyServiceIsAliveAndNotReady(t *testing.T) {
	t.Parallel()
	p := start(t, databaseEnviron(t, pgtest.New(t).App), environ{"BOOKD_FAULT": "unhealthy"})
	for path, want := range map[string]int{"/livez": 200, "/readyz": 503, "/api/v1/books": 200} {
		if status, _, body := call(t, "GET", p.api+path, ""); status != want {
			t.Errorf("%s: %d %s, want %d", path, status, body, want)
		}
	}
}
