package command

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"bookshelf/edge/internal/admin"
	"bookshelf/edge/internal/slots"
)

const (
	scrapeTimeout = 2 * time.Second
	maxScrape     = 16 << 20 // bytes of one replica's metrics
)

// scraped is one replica's metrics, or why there are none.
type scraped struct {
	Address string `json:"address"`
	Body    string `json:"body,omitempty"`
	Error   string `json:"error,omitempty"`
}

// scrape asks all replicas of a slot at once. A replica that does not answer is part of the result, not an error.
func scrape(ctx context.Context, client *admin.Client, name string, stdout io.Writer) error {
	text, err := client.Slots(ctx)
	if err != nil {
		return err
	}
	var state slots.State
	if err := json.Unmarshal(text, &state); err != nil {
		return fmt.Errorf("read the slots: %w", err)
	}
	slot, known := state.Slots[name]
	if !known {
		return &usageError{fmt.Sprintf("there is no slot %q", name)}
	}
	results := make([]scraped, len(slot.Replicas))
	var all sync.WaitGroup
	for i, replica := range slot.Replicas {
		all.Go(func() {
			results[i].Address = replica.Address
			if body, err := metricsOf(ctx, replica.Admin); err != nil {
				results[i].Error = err.Error()
			} else {
				results[i].Body = body
			}
		})
	}
	all.Wait()
	return json.NewEncoder(stdout).Encode(results)
}

func metricsOf(ctx context.Context, address string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, scrapeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", http.NoBody)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("/metrics answered %d", res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxScrape+1))
	if err == nil && len(body) > maxScrape {
		err = fmt.Errorf("/metrics is longer than %d bytes", maxScrape)
	}
	return string(body), err
}
