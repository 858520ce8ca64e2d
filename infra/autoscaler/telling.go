package autoscaler

import (
	"time"

	"bookshelf/infra/autoscale"
	"bookshelf/infra/observability/textfile"
)

// write puts what was decided where Prometheus finds it, in the folder of an environment's metrics; most is the most that may be chosen.
func write(folder string, d autoscale.Decision, most int, at time.Time) error {
	atMax := 0.0
	if d.Rule == autoscale.Limit && d.Replicas >= most {
		atMax = 1
	}
	return textfile.Write(folder, "autoscaler", []textfile.Sample{
		{Name: "autoscaler_last_round_timestamp_seconds", Value: float64(at.Unix())},
		{Name: "autoscaler_replicas", Value: float64(d.Replicas)},
		{Name: "autoscaler_max_replicas", Value: float64(most)},
		{Name: "autoscaler_at_max", Value: atMax},
	})
}
