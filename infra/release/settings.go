package release

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// setting is one key of a profile.
type setting struct {
	key, want string
	read      func(json.RawMessage) error // takes what has the right type
	valid     func() bool
	show      func() any // the value as it is written
}

// settings are all of a profile's, in the order of their description.
func (p *Profile) settings() []setting {
	return []setting{
		{
			key: "steps", want: "ascending numbers from 1 to 100, the last one 100, as in [5, 25, 50, 100]",
			read:  func(raw json.RawMessage) error { return unmarshal(raw, &p.Steps) },
			valid: func() bool { return ascending(p.Steps) },
			show:  func() any { return p.Steps },
		},
		duration("step", &p.Step, time.Second, time.Hour),
		duration("hold", &p.Hold, 0, time.Hour),
		duration("bake", &p.Bake, 0, time.Hour),
		duration("every", &p.Every, 100*time.Millisecond, time.Minute),
		duration("load", &p.Load, 0, time.Hour),
		count("load_rate", &p.LoadRate, 1, 1000),
		duration("lease", &p.Lease, 5*time.Second, time.Hour),
		duration("preflight", &p.Preflight, time.Second, 24*time.Hour),
		duration("restore", &p.Restore, time.Second, 7*24*time.Hour),
		duration("start", &p.Start, time.Second, 24*time.Hour),
		duration("smoke", &p.Smoke, time.Second, 24*time.Hour),
		duration("commit", &p.Commit, time.Second, 24*time.Hour),
		duration("drain", &p.Drain, time.Second, 24*time.Hour),
		number("confidence", &p.Rules.Confidence, 0.5, 0.9999999),
		count("min_samples", &p.Rules.MinSamples, 1, 1_000_000),
		count("fewest", &p.Rules.Fewest, 1, 1_000_000),
		number("error_tolerance", &p.Rules.ErrorTolerance, 0, 1),
		number("slow_tolerance", &p.Rules.SlowTolerance, 0, 1),
		number("risk", &p.Rules.Risk, 0.0001, 1),
		number("slow_factor", &p.Rules.SlowFactor, 1, 100),
		duration("slow_addition", &p.Rules.SlowAddition, 0, time.Minute),
		number("p50_ratio", &p.Rules.P50Ratio, 1, 100),
		number("p90_ratio", &p.Rules.P90Ratio, 1, 100),
	}
}

// problems are those of a whole profile: each value by itself, and those that do not go together.
func (p *Profile) problems() []error {
	var problems []error
	for _, s := range p.settings() {
		if !s.valid() {
			problems = append(problems, fmt.Errorf("%s = %v: want %s", s.key, s.show(), s.want))
		}
	}
	if p.Lease < 3*p.Every {
		problems = append(problems, fmt.Errorf("lease = %s: want at least three times every (%s), or a release that goes well would lose it", short(p.Lease), short(p.Every)))
	}
	if p.Rules.Fewest > p.Rules.MinSamples {
		problems = append(problems, fmt.Errorf("fewest = %d: want at most min_samples (%d)", p.Rules.Fewest, p.Rules.MinSamples))
	}
	return problems
}

// Validate returns every problem there is with a profile, each naming its key.
func (p *Profile) Validate() error { return errors.Join(p.problems()...) }

func ascending(steps []int) bool {
	last := 0
	for _, step := range steps {
		if step <= last || step > 100 {
			return false
		}
		last = step
	}
	return last == 100
}

func duration(key string, value *time.Duration, low, high time.Duration) setting {
	return setting{
		key: key, want: fmt.Sprintf("a duration from %s to %s, as in \"30s\"", short(low), short(high)),
		read: func(raw json.RawMessage) error {
			var text string
			if err := unmarshal(raw, &text); err != nil {
				return err
			}
			parsed, err := time.ParseDuration(text)
			if err == nil {
				*value = parsed
			}
			return err
		},
		valid: func() bool { return *value >= low && *value <= high },
		show:  func() any { return short(*value) },
	}
}

// short is a duration without the zeroes at its end: 1h instead of 1h0m0s.
func short(d time.Duration) string {
	text := d.String()
	for _, zeroes := range []string{"0s", "0m"} {
		if rest, cut := strings.CutSuffix(text, zeroes); cut && (strings.HasSuffix(rest, "m") || strings.HasSuffix(rest, "h")) {
			text = rest
		}
	}
	return text
}

func number(key string, value *float64, low, high float64) setting {
	return setting{
		key: key, want: fmt.Sprintf("a number from %v to %v", low, high),
		read:  func(raw json.RawMessage) error { return unmarshal(raw, value) },
		valid: func() bool { return !math.IsNaN(*value) && *value >= low && *value <= high },
		show:  func() any { return *value },
	}
}

func count(key string, value *int, low, high int) setting {
	return setting{
		key: key, want: fmt.Sprintf("a whole number from %d to %d", low, high),
		read:  func(raw json.RawMessage) error { return unmarshal(raw, value) },
		valid: func() bool { return *value >= low && *value <= high },
		show:  func() any { return *value },
	}
}

// unmarshal sets a value or leaves it alone. It takes no null, which json would pass over in silence.
func unmarshal[T any](raw json.RawMessage, value *T) error {
	var read *T
	if err := json.Unmarshal(raw, &read); err != nil {
		return err
	}
	if read == nil {
		return errors.New("null")
	}
	*value = *read
	return nil
}
