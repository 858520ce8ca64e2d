package edge

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const exposition = `# HELP http_server_requests_total Requests answered.
# TYPE http_server_requests_total counter
http_server_requests_total{http_route="/a",http_request_method="GET",http_response_status_code="200",service_version="1"} 90
http_server_requests_total{http_route="/a",http_request_method="GET",http_response_status_code="503",service_version="1"} 10
# TYPE http_server_request_duration_seconds histogram
http_server_request_duration_seconds_bucket{http_route="/a",http_response_status_code="200",le="0.01"} 60
http_server_request_duration_seconds_bucket{http_route="/a",http_response_status_code="200",le="0.1"} 90
http_server_request_duration_seconds_bucket{http_route="/a",http_response_status_code="200",le="+Inf"} 90
http_server_request_duration_seconds_sum{http_route="/a",http_response_status_code="200"} 1.5
http_server_request_duration_seconds_count{http_route="/a",http_response_status_code="200"} 90
http_server_request_duration_seconds_bucket{http_route="/a",http_response_status_code="503",le="0.01"} 1
http_server_request_duration_seconds_bucket{http_route="/a",http_response_status_code="503",le="+Inf"} 10
http_server_request_duration_seconds_sum{http_route="/a",http_response_status_code="503"} 9
http_server_request_duration_seconds_count{http_route="/a",http_response_status_code="503"} 10
go_goroutines 12
`

func TestReplicasAreAddedUp(t *testing.T) {
	t.Parallel()
	var totals Totals
	for range 2 {
		if err := totals.Add(exposition); err != nil {
			t.Fatal(err)
		}
	}
	want := Totals{Requests: 200, Errors: 20, Within: map[float64]float64{0.01: 122, 0.1: 180, math.Inf(1): 200}}
	if diff := cmp.Diff(want, totals); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]float64{0.01, 0.1, math.Inf(1)}, totals.Bounds()); diff != "" {
		t.Error(diff)
	}
}

func TestAReplicaThatHasAnsweredNothingCountsAsNothing(t *testing.T) {
	t.Parallel()
	var totals Totals
	if err := totals.Add("go_goroutines 12\n"); err != nil || totals.Requests != 0 || len(totals.Bounds()) != 0 {
		t.Errorf("totals %+v, %v", totals, err)
	}
}

func TestMetricsThatCannotBeReadAreAnError(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, want string }{
		"no text format":         {"<html>", "read metrics"},
		"a status that is none":  {"http_server_requests_total{http_response_status_code=\"OK\"} 1\n", "http_response_status_code"},
		"a gauge for a duration": {"# TYPE http_server_request_duration_seconds gauge\nhttp_server_request_duration_seconds 1\n", "no histogram"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var totals Totals
			if err := totals.Add(test.text); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("want an error with %q, have %v", test.want, err)
			}
		})
	}
}
