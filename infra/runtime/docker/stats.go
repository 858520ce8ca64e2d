package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/docker/docker/api/types/container"
)

// CPUSeconds reads the counter once: with the one-shot form of the engine's statistics, which API 1.41 brought, it does not take the
// second that a comparison would.
func (e *Engine) CPUSeconds(ctx context.Context, id string) (float64, error) {
	answer, err := e.api.ContainerStatsOneShot(ctx, id)
	if err != nil {
		return 0, wrapNotFound("ask for CPU time", err)
	}
	defer answer.Body.Close()
	var stats container.StatsResponse
	if err := json.NewDecoder(answer.Body).Decode(&stats); err != nil {
		return 0, fmt.Errorf("read CPU time: %w", err)
	}
	return time.Duration(stats.CPUStats.CPUUsage.TotalUsage).Seconds(), nil
}
