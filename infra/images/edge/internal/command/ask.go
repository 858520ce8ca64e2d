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
	"bookshelf/edge/internal/load"
	"bookshelf/edge/internal/slots"
)

const (
	askTimeout = 2 * time.Second
	maxAnswer  = 16 << 20 // bytes of one replica's answer
)

// answer is what one replica said, or why it said nothing.
type answer struct {
	Address string `json:"address"`
	Status  int    `json:"status,omitempty"`
	Body    string `json:"body,omitempty"`
	Error   string `json:"error,omitempty"`
}

// ask asks all replicas of a slot at once, each for what where returns: HOST:PORT/PATH. A replica that does not answer is part of the
// result, not an error.
func ask(ctx context.Context, client *admin.Client, name string, where func(slots.ReplicaState) string, stdout io.Writer) error {
	state, err := stateOf(ctx, client)
	if err != nil {
		return err
	}
	slot, known := state.Slots[name]
	if !known {
		return &usageError{fmt.Sprintf("there is no slot %q", name)}
	}
	answers := make([]answer, len(slot.Replicas))
	var all sync.WaitGroup
	for i, replica := range slot.Replicas {
		all.Go(func() {
			answers[i].Address = replica.Address
			if err := get(ctx, "http://"+where(replica), &answers[i]); err != nil {
				answers[i].Error = err.Error()
			}
		})
	}
	all.Wait()
	return json.NewEncoder(stdout).Encode(answers)
}

func stateOf(ctx context.Context, client *admin.Client) (state slots.State, err error) {
	text, err := client.Slots(ctx)
	if err != nil {
		return state, err
	}
	if err := json.Unmarshal(text, &state); err != nil {
		return state, fmt.Errorf("read the slots: %w", err)
	}
	return state, nil
}

// press puts a load on slots.
func press(ctx context.Context, client *admin.Client, stdin io.Reader, stdout io.Writer) error {
	order, err := load.Parse(stdin)
	if err != nil {
		return err
	}
	state, err := stateOf(ctx, client)
	if err != nil {
		return err
	}
	results, err := load.Run(ctx, order, state)
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(results)
}

func get(ctx context.Context, url string, into *answer) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	}
	into.Status, into.Body = res.StatusCode, string(body)
	return err
}
