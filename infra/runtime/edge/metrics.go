package edge

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// The metrics of docs/contract.md that a release is judged by.
const (
	requestsMetric = "http_server_requests_total"
	durationMetric = "http_server_request_duration_seconds"
	statusLabel    = "http_response_status_code"
)

// Totals is what the metrics of one or more replicas say since they started.
type Totals struct {
	// Requests counts answers, Errors those with a status of 500 or more.
	Requests, Errors float64
	// Within maps an upper bound in seconds to the number of answers that took at most so long; the last bound is infinite.
	Within map[float64]float64
}

// Bounds returns the upper bounds, ascending.
func (t Totals) Bounds() []float64 { return slices.Sorted(maps.Keys(t.Within)) }

// Add counts the metrics of one replica in, as Prometheus' text format has them.
func (t *Totals) Add(text string) error {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		return fmt.Errorf("read metrics: %w", err)
	}
	// A replica that has not answered anything yet has no series of either.
	for _, series := range families[requestsMetric].GetMetric() {
		status, err := strconv.Atoi(label(series, statusLabel))
		if err != nil {
			return fmt.Errorf("metric %s: label %s: %w", requestsMetric, statusLabel, err)
		}
		count := series.GetCounter().GetValue() + series.GetUntyped().GetValue()
		t.Requests += count
		if status >= 500 {
			t.Errors += count
		}
	}
	if t.Within == nil {
		t.Within = map[float64]float64{}
	}
	for _, series := range families[durationMetric].GetMetric() {
		histogram := series.GetHistogram()
		if histogram == nil {
			return fmt.Errorf("metric %s is no histogram", durationMetric)
		}
		for _, bucket := range histogram.GetBucket() {
			if !math.IsInf(bucket.GetUpperBound(), 1) {
				t.Within[bucket.GetUpperBound()] += float64(bucket.GetCumulativeCount())
			}
		}
		t.Within[math.Inf(1)] += float64(histogram.GetSampleCount())
	}
	return nil
}

func label(series *dto.Metric, name string) string {
	for _, pair := range series.GetLabel() {
		if pair.GetName() == name {
			return pair.GetValue()
		}
	}
	return ""
}
