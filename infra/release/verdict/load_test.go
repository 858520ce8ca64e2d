package verdict_test

import (
	"strings"
	"testing"
	"time"

	"bookshelf/infra/release/verdict"
	"bookshelf/infra/release/verdict/verdicttest"
)

// under is what so many requests met that took between these times, evenly spread.
func under(n int, from, to time.Duration) verdict.Sample {
	s := verdict.Sample{Requests: n}
	for i := range n {
		s.Latencies = append(s.Latencies, from+(to-from)*time.Duration(i)/time.Duration(n))
	}
	return s
}

func TestQuantilesAreComparedByTheirRatio(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	tail := under(1000, 2*ms, 4*ms)
	for i := 800; i < 1000; i++ {
		tail.Latencies[i] = 90 * ms
	}
	for name, test := range map[string]struct {
		new, old verdict.Sample
		want     verdict.Decision
		why      string
	}{
		"alike":               {under(1000, 2*ms, 4*ms), under(1000, 2*ms, 4*ms), verdict.Pass, ""},
		"faster":              {under(1000, 1*ms, 2*ms), under(1000, 2*ms, 4*ms), verdict.Pass, ""},
		"a trifle":            {under(1000, 300*time.Microsecond, 900*time.Microsecond), under(1000, 100*time.Microsecond, 200*time.Microsecond), verdict.Pass, ""},
		"twice as slow":       {under(1000, 8*ms, 16*ms), under(1000, 4*ms, 8*ms), verdict.Fail, "p50 (load): 12.0 ms, 2.00 times the old slot's 6.0 ms"},
		"a slow fifth":        {tail, under(1000, 2*ms, 4*ms), verdict.Fail, "p90 (load): 90.0 ms, 23.68 times the old slot's 3.8 ms"},
		"perhaps a bit":       {under(100, 3*ms, 13*ms), under(100, ms, 9*ms), verdict.Inconclusive, "p50 (load): 8.0 ms, 1.60 times the old slot's 5.0 ms under the same load"},
		"too few of the new":  {under(59, 2*ms, 4*ms), under(1000, 2*ms, 4*ms), verdict.Inconclusive, "too few, want 60 of each"},
		"none of the old one": {under(1000, 2*ms, 4*ms), verdict.Sample{}, verdict.Inconclusive, "too few, want 60 of each"},
	} {
		v := verdict.JudgeLoad(verdict.Loaded{New: test.new, Old: test.old}, nil, 20, verdicttest.Strict())
		if v.Decision != test.want || !strings.Contains(v.Why(), test.why) {
			t.Errorf("%s: want %s with %q, have %s: %s", name, test.want, test.why, v.Decision, v.Why())
		}
	}
}
