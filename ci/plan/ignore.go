package plan

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// MaxIgnore is the furthest that a finding may be put off: after half a year somebody has to look again.
const MaxIgnore = 183 * 24 * time.Hour

// Ignore is one finding that somebody has decided to live with for a while.
type Ignore struct {
	ID      string `yaml:"id"`      // of the finding: CVE-2026-1234, DS-0002
	Package string `yaml:"package"` // only in this package or file; "" is everywhere
	Reason  string `yaml:"reason"`
	Expires string `yaml:"expires"` // 2026-12-31: the last day on which it counts, UTC

	last time.Time
}

// Ignores is a parsed ignore file.
type Ignores []Ignore

// ParseIgnores reads an ignore file:
//
//	ignore:
//	  - id: CVE-2026-1234
//	    package: golang.org/x/net
//	    reason: we do not parse HTML
//	    expires: 2026-12-31
//
// Every problem is reported at once. An entry that has expired is one: it has to be renewed or removed by somebody, and
// until then nothing passes.
func ParseIgnores(content []byte, now time.Time) (Ignores, error) {
	var file struct {
		Ignore []Ignore `yaml:"ignore"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("ignore file: %w", err)
	}
	var problems []error
	seen := map[[2]string]bool{}
	for i := range file.Ignore {
		entry := &file.Ignore[i]
		if err := entry.check(now); err != nil {
			problems = append(problems, fmt.Errorf("ignore file: entry %d (%s): %w", i+1, entry.ID, err))
		}
		key := [2]string{entry.ID, entry.Package}
		if seen[key] {
			problems = append(problems, fmt.Errorf("ignore file: entry %d (%s): it is there twice", i+1, entry.ID))
		}
		seen[key] = true
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return file.Ignore, nil
}

func (i *Ignore) check(now time.Time) error {
	var problems []error
	if strings.TrimSpace(i.ID) == "" {
		problems = append(problems, errors.New("it names no finding (id)"))
	}
	if strings.TrimSpace(i.Reason) == "" {
		problems = append(problems, errors.New("it gives no reason"))
	}
	day, err := time.Parse(time.DateOnly, i.Expires)
	if err != nil {
		return errors.Join(append(problems, fmt.Errorf("expires %q: want a day such as 2026-12-31", i.Expires))...)
	}
	i.last = day.AddDate(0, 0, 1)
	switch {
	case !now.Before(i.last):
		problems = append(problems, fmt.Errorf("it expired on %s: mend the finding, or decide again", i.Expires))
	case i.last.Sub(now) > MaxIgnore:
		problems = append(problems, fmt.Errorf("expires %s: that is more than %d days away", i.Expires, MaxIgnore/(24*time.Hour)))
	}
	return errors.Join(problems...)
}

// find returns the entry that covers the finding.
func (all Ignores) find(f Finding) (Ignore, bool) {
	for _, i := range all {
		if i.ID == f.ID && (i.Package == "" || i.Package == f.Where) {
			return i, true
		}
	}
	return Ignore{}, false
}
