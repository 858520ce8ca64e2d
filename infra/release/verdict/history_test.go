package verdict_test

import (
	"errors"
	"testing"
	"time"

	"bookshelf/infra/release/verdict"
	"bookshelf/infra/release/verdict/verdicttest"
)

func TestARestartBeginsTheMetricsAnew(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	at := func(second, requests int) (time.Time, verdict.Observation) {
		o := verdicttest.Nothing()
		for range requests {
			verdicttest.Meter(o, time.Millisecond, false)
		}
		return now.Add(time.Duration(second) * time.Second), *o
	}
	h := &verdict.History{}
	want := func(what string, from int, requests float64) {
		t.Helper()
		o, err := h.Since(now.Add(time.Duration(from) * time.Second))
		if err != nil || o.Requests != requests {
			t.Errorf("%s: want %v requests, have %v, %v", what, requests, o.Requests, err)
		}
	}
	h.Add(at(0, 100))
	if _, err := h.Since(now); err == nil {
		t.Error("one observation is compared with itself")
	}
	h.Add(at(1, 150))
	h.Add(at(2, 250))
	want("from the beginning", 0, 150)
	want("from before it", -5, 150)
	want("from between two", 1, 100)
	h.Add(at(3, 40))
	if !errors.Is(h.Problem, verdict.ErrRestarted) {
		t.Errorf("a restart is no problem: %v", h.Problem)
	}
	h.Add(at(4, 90))
	if h.Problem != nil {
		t.Errorf("a restart is a problem for ever: %v", h.Problem)
	}
	want("after a restart", 0, 50)
	_, partial := at(5, 95)
	partial.Missing = 1
	if h.Add(now, partial); h.Problem == nil {
		t.Error("half of the replicas are taken for all")
	}
	h.Add(at(6, 100))
	want("after a gap", 0, 60)
}
