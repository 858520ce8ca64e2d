package verdict

import (
	"errors"
	"time"
)

// History is a slot's metrics from observation to observation, without a restart between them.
type History struct {
	at   []time.Time
	seen []Observation
	// Problem is why the latest observation is not among them, or cannot be compared with what was before.
	Problem error
}

// Add takes an observation. One from after a restart begins the history anew: a sum over replicas of which one counts from 0 again
// would look like a smaller number of requests.
func (h *History) Add(at time.Time, o Observation) {
	if h.Problem = o.Check(); h.Problem != nil {
		return
	}
	if last := len(h.seen) - 1; last >= 0 {
		if _, h.Problem = o.since(h.seen[last]); h.Problem != nil {
			h.at, h.seen = nil, nil
		}
	}
	h.at, h.seen = append(h.at, at), append(h.seen, o)
}

// Since is the difference between the latest observation and the last one that was made by then, or else the first one.
func (h *History) Since(from time.Time) (Observation, error) {
	start, last := 0, len(h.seen)-1
	for start+1 <= last && !h.at[start+1].After(from) {
		start++
	}
	if last <= start {
		return Observation{}, errors.New("the metrics have been read only once yet")
	}
	return h.seen[last].since(h.seen[start])
}
