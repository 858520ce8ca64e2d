package release

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"bookshelf/infra/release/verdict"
)

// Profile is how carefully a release goes. Its JSON form is one flat object with the keys of docs/releases.md.
type Profile struct {
	// Name is the profile of Profiles that this one began as.
	Name string
	// Steps are the shares of the traffic that the new slot gets one after the other, in percent. The last one is 100.
	Steps []int
	// Step is the least duration of each of them, Bake the one of the time with everything on the new slot and the former one warm.
	Step, Bake time.Duration
	// Hold is how much longer than Step nothing may be certain, before that counts as bad.
	Hold time.Duration
	// Every is how often the new slot is judged.
	Every time.Duration
	// Load is how long a turn of the load on both slots takes before the new one gets any traffic, 0 for none. LoadRate is how many
	// requests a second each slot gets.
	Load     time.Duration
	LoadRate int
	// Lease is how long the edge keeps a share that nobody renews. It also bounds the attempts to shift back: when it has run out, the
	// edge has done it by itself.
	Lease time.Duration
	// Time-outs of the phases.
	Preflight, Restore, Start, Smoke, Commit, Drain time.Duration
	// Rules are what verdicts go by.
	Rules verdict.Rules
}

// Profiles are the profiles by name: "standard" for an environment that matters, "fast" for one at a desk and for tests.
var Profiles = map[string]Profile{
	"standard": profile("standard", func(*Profile) {}),
	"fast": profile("fast", func(p *Profile) {
		p.Step, p.Hold, p.Bake = 3*time.Second, time.Minute, 10*time.Second
		p.Load, p.Rules.MinSamples, p.Rules.Risk = 3*time.Second, 30, 0.02
	}),
}

func profile(name string, change func(*Profile)) Profile {
	p := Profile{
		Name: name, Steps: []int{5, 25, 50, 100}, Step: time.Minute, Hold: 5 * time.Minute, Bake: 10 * time.Minute,
		Every: time.Second, Load: 30 * time.Second, LoadRate: 50, Lease: 30 * time.Second,
		Preflight: 2 * time.Minute, Restore: 30 * time.Minute, Start: 5 * time.Minute, Smoke: 30 * time.Second,
		Commit: 5 * time.Minute, Drain: time.Minute,
		Rules: verdict.Standard,
	}
	change(&p)
	return p
}

// DefaultProfile is the profile of an environment that names none.
const DefaultProfile = "standard"

// ParseProfile reads a JSON object of settings over those of a profile: {"profile": "fast", "bake": "30s", "steps": [10, 100]}. The
// error joins every problem, each naming its key. An empty text is the default profile.
func ParseProfile(text string) (Profile, error) {
	if strings.TrimSpace(text) == "" {
		text = "{}"
	}
	members, problems := object(text)
	if members == nil {
		return Profile{}, errors.Join(problems...)
	}
	name := DefaultProfile
	if raw, named := members["profile"]; named {
		delete(members, "profile")
		if err := unmarshal(raw, &name); err != nil || Profiles[name].Name == "" {
			problems = append(problems, fmt.Errorf("profile = %s: want one of %s", raw, strings.Join(slices.Sorted(maps.Keys(Profiles)), ", ")))
			name = DefaultProfile
		}
	}
	p := Profiles[name]
	for _, s := range p.settings() {
		raw, given := members[s.key]
		if !given {
			continue
		}
		delete(members, s.key)
		if err := s.read(raw); err != nil {
			problems = append(problems, fmt.Errorf("%s = %s: want %s", s.key, raw, s.want))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(members)) {
		problems = append(problems, fmt.Errorf("%s: no such key (there are %s)", key, strings.Join(Keys(), ", ")))
	}
	problems = append(problems, p.problems()...)
	if err := errors.Join(problems...); err != nil {
		return Profile{}, err
	}
	return p, nil
}

// UnmarshalJSON reads what MarshalJSON writes, and everything that ParseProfile takes.
func (p *Profile) UnmarshalJSON(text []byte) error {
	parsed, err := ParseProfile(string(text))
	if err == nil {
		*p = parsed
	}
	return err
}

// MarshalJSON writes every setting, so that a profile is what it was whatever the defaults become.
func (p Profile) MarshalJSON() ([]byte, error) {
	object := map[string]any{}
	if p.Name != "" {
		object["profile"] = p.Name
	}
	for _, s := range p.settings() {
		object[s.key] = s.show()
	}
	return json.Marshal(object)
}

// Keys lists the keys of a profile's JSON object, sorted.
func Keys() []string {
	keys := []string{"profile"}
	for _, s := range new(Profile).settings() {
		keys = append(keys, s.key)
	}
	slices.Sort(keys)
	return keys
}

// object reads a JSON object's members. It returns nil members when the text is none at all.
func object(text string) (map[string]json.RawMessage, []error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return nil, []error{fmt.Errorf("%.40q: want a JSON object", text)}
	}
	members := map[string]json.RawMessage{}
	var problems []error
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return nil, []error{fmt.Errorf("not JSON: %w", err)}
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, []error{fmt.Errorf("%v: not JSON: %w", key, err)}
		}
		if _, twice := members[key.(string)]; twice {
			problems = append(problems, fmt.Errorf("%v: given twice", key))
		}
		members[key.(string)] = value
	}
	if _, err := decoder.Token(); err != nil {
		return nil, []error{fmt.Errorf("not JSON: %w", err)}
	}
	if decoder.More() {
		return nil, []error{errors.New("something follows the JSON object")}
	}
	return members, problems
}
