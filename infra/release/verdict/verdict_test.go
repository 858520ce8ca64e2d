package verdict_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/quick"
	"time"

	"bookshelf/infra/release/verdict"
	"bookshelf/infra/release/verdict/verdicttest"
)

// shown is a side of so many requests, of which some failed and some were slow.
func shown(requests, failed, slow int) verdict.Side {
	s := verdict.Side{Probe: verdict.Sample{Requests: requests, Failed: failed}, Metrics: *verdicttest.Nothing()}
	for i := range requests {
		latency := 3 * time.Millisecond
		if i >= requests-slow {
			latency = 300 * time.Millisecond
		}
		s.Probe.Latencies = append(s.Probe.Latencies, latency)
		verdicttest.Meter(&s.Metrics, latency, i < failed)
	}
	return s
}

// seen is the evidence of a step at 50 % in which both slots got so many requests.
func seen(new, old verdict.Side) verdict.Evidence {
	return verdict.Evidence{Percent: 50, Looks: 100, Step: verdict.Sides{new, old}, Lately: verdict.Sides{new, old}}
}

func TestAVerdictIsWhatItsChecksSay(t *testing.T) {
	t.Parallel()
	good := shown(1000, 0, 0)
	for name, test := range map[string]struct {
		evidence verdict.Evidence
		want     verdict.Decision
		why      string
	}{
		"alike":               {seen(good, good), verdict.Pass, "0.00 % of 1000 failed, 0.00 % of 1000 of the old slot's: at most 0.66 % more, and 2.00 % may be risked at 50 %"},
		"failing":             {seen(shown(1000, 100, 0), good), verdict.Fail, "10.00 % of 1000 failed"},
		"both failing":        {seen(shown(1000, 100, 0), shown(1000, 100, 0)), verdict.Inconclusive, "may be up to"},
		"the old one failing": {seen(good, shown(1000, 300, 0)), verdict.Pass, "at most"},
		"slow":                {seen(shown(1000, 0, 400), good), verdict.Fail, "slower than 23ms"},
		"both slow":           {seen(shown(1000, 0, 400), shown(1000, 0, 400)), verdict.Pass, "slower than 450ms"},
		"a little worse":      {seen(shown(1000, 12, 0), good), verdict.Inconclusive, "1.20 % more, 1.00 % is tolerated, and it may be chance"},
		"too few of the new":  {seen(shown(30, 0, 0), good), verdict.Inconclusive, "too few requests, want 60 of each"},
		"too few of the old":  {seen(good, shown(30, 0, 0)), verdict.Inconclusive, "too few requests, want 60 of each"},
		"few, but terrible":   {seen(shown(20, 20, 0), good), verdict.Fail, "100.00 % of 20"},
		"terrible, but fewer": {seen(shown(19, 19, 0), good), verdict.Inconclusive, "too few"},
		"nothing":             {verdict.Evidence{Percent: 5, Looks: 1}, verdict.Inconclusive, "too few"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := verdict.Judge(test.evidence, verdicttest.Strict())
			if v.Decision != test.want || !strings.Contains(v.Why(), test.why) {
				t.Errorf("want %s with %q, have %s: %s", test.want, test.why, v.Decision, v.Why())
			}
		})
	}
}

func TestWhatIsLookedAtOftenMustBeMoreCertain(t *testing.T) {
	t.Parallel()
	e := seen(shown(250, 8, 0), shown(4750, 0, 0))
	for looks, want := range map[int]verdict.Decision{1: verdict.Fail, 1000: verdict.Inconclusive} {
		e.Looks = looks
		if c := verdict.Judge(e, verdict.Standard).Checks[0]; c.Decision != want {
			t.Errorf("%d looks: want %s, have %s: %s", looks, want, c.Decision, c.Why)
		}
	}
}

func TestWhatNobodyAnsweredIsTheNewSlotsFault(t *testing.T) {
	t.Parallel()
	good := shown(1000, 0, 0)
	for name, test := range map[string]struct {
		lost, lostBefore, sentBefore int
		want                         verdict.Decision
	}{
		"it never was so":   {60, 0, 5000, verdict.Fail},
		"it always was so":  {60, 150, 5000, verdict.Pass},
		"it was rarer":      {60, 5, 5000, verdict.Fail},
		"nobody looked":     {60, 0, 0, verdict.Fail},
		"one of ten before": {60, 1, 10, verdict.Fail},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := seen(good, good)
			e.Nobody = verdict.Sample{Requests: test.lost, Lost: test.lost}
			e.LostBefore, e.SentBefore = test.lostBefore, test.sentBefore
			if v := verdict.Judge(e, verdicttest.Strict()); v.Checks[0].Decision != test.want {
				t.Errorf("want %s, have %s: %s", test.want, v.Checks[0].Decision, v.Checks[0].Why)
			}
		})
	}
}

func TestSlownessWithoutComparisonHoldsAndFailuresDoNot(t *testing.T) {
	t.Parallel()
	slow, failing, good := shown(1000, 0, 900), shown(1000, 100, 0), shown(1000, 0, 0)
	for name, test := range map[string]struct {
		new  verdict.Side
		want verdict.Decision
	}{"slow": {slow, verdict.Inconclusive}, "failing": {failing, verdict.Fail}, "good": {good, verdict.Pass}} {
		e := seen(test.new, good)
		e.Percent, e.Apart = 100, "during the canary (12:00:00 to 12:00:30)"
		v := verdict.Judge(e, verdicttest.Strict())
		if v.Decision != test.want || !strings.Contains(v.Why(), e.Apart) {
			t.Errorf("%s: want %s and from when the old figures are, have %s: %s", name, test.want, v.Decision, v.Why())
		}
	}
}

func TestMetricsThatCannotBeReckonedWithAreInconclusive(t *testing.T) {
	t.Parallel()
	good := shown(1000, 0, 0)
	broken := func(change func(*verdict.Side)) verdict.Side {
		s := shown(1000, 0, 0)
		change(&s)
		return s
	}
	for name, test := range map[string]struct {
		side verdict.Side
		why  string
	}{
		"unread":        {broken(func(s *verdict.Side) { s.Problem = errors.New("no answer") }), "no answer"},
		"in part":       {broken(func(s *verdict.Side) { s.Metrics.Missing = 1 }), "the metrics of 1 replicas could not be read"},
		"no number":     {broken(func(s *verdict.Side) { s.Metrics.Requests = math.NaN() }), "there cannot be 0 errors in NaN requests"},
		"no end":        {broken(func(s *verdict.Side) { s.Metrics.Errors = math.Inf(1) }), "there cannot be +Inf errors"},
		"below zero":    {broken(func(s *verdict.Side) { s.Metrics.Errors = -1 }), "there cannot be -1 errors"},
		"too many":      {broken(func(s *verdict.Side) { s.Metrics.Errors = 1001 }), "there cannot be 1001 errors in 1000"},
		"no histogram":  {broken(func(s *verdict.Side) { s.Metrics.Latency = nil }), "there is no distribution"},
		"no last bound": {broken(func(s *verdict.Side) { s.Metrics.Latency = s.Metrics.Latency[:3] }), "the distribution of latencies has no infinite bound"},
		"falling":       {broken(func(s *verdict.Side) { s.Metrics.Latency[5].Count = 1 }), "the distribution of latencies does not ascend at 0.05 s"},
		"a wild bucket": {broken(func(s *verdict.Side) { s.Metrics.Latency[0].Count = math.NaN() }), "the distribution of latencies does not ascend at 0.001 s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for slot, e := range map[string]verdict.Evidence{"the new slot": seen(test.side, good), "the old slot": seen(good, test.side)} {
				v := verdict.Judge(e, verdicttest.Strict())
				if v.Decision != verdict.Inconclusive || !strings.Contains(v.Why(), slot+": "+test.why) {
					t.Errorf("%s: have %s: %s", slot, v.Decision, v.Why())
				}
			}
		})
	}
	other := broken(func(s *verdict.Side) { s.Metrics.Latency[3].Seconds = 0.02 })
	if v := verdict.Judge(seen(other, good), verdicttest.Strict()); !strings.Contains(v.Why(), "different bounds") {
		t.Errorf("other bounds: have %s: %s", v.Decision, v.Why())
	}
}

// TestAVerdictIsSound looks for evidence that makes one worse by being better, or that cannot be written down.
func TestAVerdictIsSound(t *testing.T) {
	t.Parallel()
	rules := verdict.Standard
	rank := map[verdict.Decision]int{verdict.Pass: 0, verdict.Inconclusive: 1, verdict.Fail: 2}
	property := func(new, old, failed, fewer uint16, percent, looks uint8) bool {
		n, o := int(new%1500), int(old%1500)
		f := int(failed) % (n + 1)
		better := f - int(fewer)%(f+1)
		judge := func(failed int) verdict.Verdict {
			e := seen(shown(n, failed, 0), shown(o, o/100, 0))
			e.Percent, e.Looks = int(percent%100)+1, int(looks)
			return verdict.Judge(e, rules)
		}
		worse, best := judge(f), judge(better)
		for _, c := range worse.Checks {
			if c.Why == "" || c.Low > c.New-c.Old+1e-9 || c.High < c.New-c.Old-1e-9 || c.Decision == verdict.Fail && c.Low <= c.Threshold {
				return false
			}
		}
		_, err := json.Marshal(worse)
		return err == nil && rank[best.Decision] <= rank[worse.Decision]
	}
	if err := quick.Check(property, &quick.Config{MaxCount: 300}); err != nil {
		t.Error(err)
	}
}
